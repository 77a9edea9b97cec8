from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from metric_rows import by_seed

import gmemgpu
from gmemgpu.cli.main import COMMANDS, main
from gmemgpu.html_table import html_table
from gmemgpu.metrics.quantity import MORE_QUANTITIES, QUANTITIES
from gmemgpu.report.comparison import compare
from gmemgpu.report.samples import read_samples
from gmemgpu.sweeping.store.files import RESULTS
from gmemgpu.units import GIB

SPEC = {
    "name": "a <b> & c",
    "seeds": 2,
    "backend": "numpy",
    "policies": ["merged", "capped"],
    "workload": {
        "preset": "mixed-pods",
        "host": {"name": "pod", "memory_bytes": "16 GiB", "cores": 4},
        "horizon_ns": "90 s",
        "warmup_ns": "10 s",
        "sizes": {"scale": 0.125},
        "arrivals": {"vms_per_s": [0.2, 0.5]},
    },
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> gmemgpu.Results:
    from distributed import Client

    folder = tmp_path_factory.mktemp("results") / "out"
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        return gmemgpu.sweep(SPEC, folder, client)


def test_a_sweep_returns_what_its_directory_opens_to(results: gmemgpu.Results) -> None:
    assert isinstance(results, gmemgpu.Results)
    assert (results.n_rows, results.n_computed) == (12, 12)  # the oracle runs along
    again = gmemgpu.open_results(str(results.directory))
    assert (again.directory, again.n_rows, again.n_computed) == (results.directory, 12, 0)
    assert again.status() == results.status()
    assert again.status().is_merged


def test_the_table_has_every_figure_of_every_row(results: gmemgpu.Results) -> None:
    table = results.table()
    assert table.num_rows == 12
    keys = [quantity.key for quantity in (*QUANTITIES, *MORE_QUANTITIES)]
    assert table.column_names == ["label", "preset", "arrivals.vms_per_s", "seed", "policy", *keys]
    assert all(table.schema.field(key).type == pa.float64() for key in keys)
    quantity = next(one for one in QUANTITIES if one.key == "coverage")
    samples = read_samples(results.directory, [quantity])
    expected = np.stack([by_seed(group.sums["coverage"]) for group in samples.groups])  # group, policy, seed
    np.testing.assert_allclose(table["coverage"].to_numpy().reshape(2, 2, 3), expected.transpose(0, 2, 1))
    exact = results.table(exact=True)
    assert exact["optimized_core_ns"].type == pa.decimal128(38, 0)
    assert exact.equals(results.to_arrow())


def test_comparisons_and_decisions_are_those_of_the_commands(
    results: gmemgpu.Results, capsys: pytest.CaptureFixture[str]
) -> None:
    found = results.compare("capped", quantities=["never"])
    assert found.groups == compare(results.directory, baseline="capped", quantities=["never"]).groups
    assert main(["show", str(results.directory), "--baseline", "capped", "--metric", "never"]) == 0
    assert capsys.readouterr().out == f"{found}\n"
    assert repr(found) == "<Compared: 2 groups of a <b> & c with capped; print() shows them>"
    answer = results.decide(share=0.01)
    assert repr(answer) == f"<Decided: {answer.sentence}>"
    assert main(["decide", str(results.directory), "--worth", "1 %"]) == 0
    assert capsys.readouterr().out == f"{answer}\n"
    assert main(["decide", str(results.directory), "--worth", "1 %", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sentence"] == answer.sentence
    with pytest.raises(gmemgpu.SpecError, match="--baseline"):
        results.compare("cappd")


def test_rows_of_an_unfinished_sweep_are_there(results: gmemgpu.Results) -> None:
    (results.directory / RESULTS).rename(results.directory / "aside")
    try:
        assert results.table().num_rows == 12
        assert not results.status().is_merged
    finally:
        (results.directory / "aside").rename(results.directory / RESULTS)


def test_no_sweep_to_open(tmp_path: Path) -> None:
    with pytest.raises(gmemgpu.StoreError, match="holds no sweep"):
        gmemgpu.open_results(tmp_path)


def test_what_ships_is_to_be_had_by_name() -> None:
    presets, policies = gmemgpu.presets(), gmemgpu.policies()
    assert presets["last-big-VM"].horizon_ns > 0
    assert list(policies)[-1] == "oracle"
    assert all(policy.name == name for name, policy in policies.items())


def trace() -> gmemgpu.Trace:
    return gmemgpu.Trace(
        host=gmemgpu.Host(memory_bytes=2 * GIB, nodes=1, cores=4, threads_per_core=2),
        horizon_ns=60 * 10**9,
        t_ns=np.array([0, 10**9]),
        kind=np.array([gmemgpu.Kind.ASSIGN, gmemgpu.Kind.RELEASE], np.int8),
        pfn=np.array([0, 0]),
        npages=np.array([262_144, 262_144]),
        vm=np.zeros(2, np.int32),
        inode=np.zeros(2, np.int32),
        folio_pages=np.array([512, 512], np.int32),
    )


def test_notebooks_show_tables_traces_and_results(results: gmemgpu.Results) -> None:
    shown = trace()._repr_html_()
    assert "<td" in shown
    for text in ("2 events", "2\u00a0GiB, 4 cores", "60\u00a0s", "assign", "release"):
        assert text in shown
    assert "vm_destroy" not in shown
    table = gmemgpu.MetricTable.from_rows([{"policy": "<i>", "passes": 12_345, "latency_histogram": [1]}])
    assert table._repr_html_().count("&lt;i&gt;") == 1
    assert "12,345" in table._repr_html_()
    assert "latency_histogram" not in table._repr_html_()
    assert "<table" in gmemgpu.MetricTable.from_rows([])._repr_html_()
    assert "a &lt;b&gt; &amp; c" in results._repr_html_()
    assert "a <b>" not in results._repr_html_()
    for printed in (results.compare(), results.decide()):
        assert printed._repr_html_().startswith("<pre>")
        assert "<b>" not in printed._repr_html_()


def test_every_word_of_a_table_is_escaped_and_long_tables_are_cut() -> None:
    shown = html_table(["<a>", "b"], [["<c>", i] for i in range(103)], caption="<d>")
    assert all(f"&lt;{name}&gt;" in shown for name in "acd")
    assert not any(f"<{name}>" in shown for name in "acd")
    assert shown.count("<tr>") == 101
    assert "… and 3 more rows" in shown


def test_shells_learn_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert all(command in script for command in COMMANDS)
    assert "--group-by" in script
    # Bash can read it.
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef gmemgpu")


def test_without_shtab_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert capsys.readouterr().err == 'gmemgpu: completion needs shtab; run: pip install "gmemgpu[completion]"\n'


def test_a_sweep_adds_seeds_until_it_is_precise(tmp_path: Path) -> None:
    from distributed import Client

    spec = {name: value for name, value in SPEC.items() if name != "seeds"}
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        found = gmemgpu.sweep(spec, tmp_path / "out", client, until="core-s: 1 ns", max_seeds=16)
        # Two scenarios, three policies; a round of 8 seeds was not enough.
        assert (found.n_rows, found.n_computed) == (96, 96)
        until = found.status().until
        assert until is not None
        assert (until["rounds"], until["stop"], until["max_seeds"]) == ([8, 16], "ceiling", 16)
        assert len(set(found.table()["seed"].to_pylist())) == 16
        with pytest.raises(gmemgpu.SpecError, match="--until"):
            gmemgpu.sweep(spec, tmp_path / "other", client, until="regret: 1 s")
        with pytest.raises(gmemgpu.SpecError, match="max_seeds: is about until"):
            gmemgpu.sweep(spec, tmp_path / "other", client, max_seeds=16)
        with pytest.raises(gmemgpu.SpecError, match="baseline: is about until"):
            gmemgpu.sweep(spec, tmp_path / "other", client, baseline="v10")
        with pytest.raises(gmemgpu.SpecError, match='did you mean "merged"'):
            gmemgpu.sweep(spec, tmp_path / "other", client, until="core-s: 1 ns", baseline="merge")
    assert not (tmp_path / "other").exists()
