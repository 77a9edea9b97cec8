from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.cli.main import main
from gmemgpu.engine import fallback
from gmemgpu.engine.array import NumpyEngine
from gmemgpu.engine.choice import EngineChoice
from gmemgpu.engine.registry import available_engines, missing_engines
from gmemgpu.errors import DeviceLost
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.model.trace import Trace
from gmemgpu.trace.write import write_trace
from gmemgpu.units import GIB

NAMES = [policy.name for policy in named_policies()]
STATES = 8 * 4 * 2
"""Of eight images four regions, the pages and the first block of each."""


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """A guest of one region that goes after 1 s; a host with so many cores that a metric passes 2**63."""
    made = Trace(
        host=Host(memory_bytes=4 * GIB, nodes=1, cores=10**9, threads_per_core=2),
        horizon_ns=60 * 10**9,
        t_ns=np.array([0, 0, 10**9, 10**9]),
        kind=np.array([Kind.ASSIGN, Kind.USE, Kind.VM_DESTROY, Kind.RELEASE], np.int8),
        pfn=np.array([0, 262_144, 0, 0]),
        npages=np.array([262_144, 1000, 0, 262_144]),
        vm=np.zeros(4, np.int32),
        inode=np.array([0, -1, -1, 0], np.int32),
        folio_pages=np.array([512, 1, 0, 512], np.int32),
    )
    path = tmp_path / "t.parquet"
    write_trace(made, path)
    return str(path)


def json_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_json_has_every_metric_as_an_integer(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json_of(capsys, "evaluate", trace, "--json")
    assert [row["policy"] for row in rows] == NAMES
    for row in rows:
        assert list(row) == ["policy", *METRIC_NAMES]
        counts = row.pop("latency_histogram")
        assert all(type(value) is int for value in (*counts, *(row[name] for name in row if name != "policy")))
    # The only episode that a guest's going made, optimized at once.
    assert counts == [1]
    # The oracle: region 0 from 1 s on and three regions all the time, on every core.
    assert rows[-1]["optimized_core_ns"] == (3 * 60 + 59) * 10**9 * 10**9 > 2**63


def test_csv_has_the_same_integers(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json_of(capsys, "evaluate", trace, "--json", "--policy", "v10", "oracle")
    assert main(["evaluate", trace, "--csv", "--policy", "v10", "--policy", "oracle"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert lines == [{name: str(value) for name, value in row.items() if name != "latency_histogram"} for row in rows]


@pytest.mark.parametrize("backend", ["auto", "numpy", "reference"])
def test_backends_agree(trace: str, capsys: pytest.CaptureFixture[str], backend: str) -> None:
    assert json_of(capsys, "evaluate", trace, "--json", "--backend", backend) == json_of(
        capsys, "evaluate", trace, "--json"
    )


def test_a_table_for_people_measures_against_the_oracle(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", trace, "--policy", "v10", "never"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][:2] == ["policy", "coverage"]
    (v10,), (never,) = ([line for line in lines if line[0] == name] for name in ("v10", "never"))
    # Region 0 is optimized 10 s after its guest went, of 239 region-seconds that were free.
    assert v10[1:3] == ["95.8", "%"]
    assert never[1:3] == ["0", "%"]
    assert not any(line[0] == "oracle" for line in lines)


def test_policies_and_costs_of_ones_own(trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policies, costs = tmp_path / "p.toml", tmp_path / "c.toml"
    policies.write_text('[[policy]]\nname = "mine"\nhook = "free_folio"\n[[policy]]\nname = "v10"\nhook = "none"\n')
    costs.write_text("round_clean = 0\n")
    own = json_of(capsys, "evaluate", trace, "--json", "--policies", str(policies))
    assert [row["policy"] for row in own] == ["mine", "v10"]
    chosen = json_of(
        capsys,
        "evaluate",
        trace,
        "--json",
        "--policies",
        str(policies),
        "--policy",
        "oracle",
        "v10",
        "--costs",
        str(costs),
    )
    assert [row["policy"] for row in chosen] == ["oracle", "v10"]
    # The file's v10 has no hook.
    assert chosen[1]["requests"] == 0
    assert chosen[1]["pass_wall_max_ns"] < own[1]["pass_wall_max_ns"]


def test_verify_says_that_engines_agree(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", trace, trace]) == 0
    lines = capsys.readouterr().out.splitlines()
    n = len(NAMES) * len(METRIC_NAMES)
    states = f"{STATES:,} states of regions in images of the RMP"
    told = f"{trace}: equal: {n:,} integers, {states}, 4 events, {len(NAMES)} policies; engines "
    told += ", ".join(engine.name for engine in available_engines())
    assert lines[:2] == [told, told]
    assert lines[2:] == [f"not run: {name}: {reason}" for name, reason in missing_engines().items()]


DOUBTFUL = """t_ns,kind,pfn,npages,vm,inode,folio_pages
0,assign,1,512,1,1,512
1,evict_end,0,0,1,1,0
2,assign,1024,1,1,1,1
900,vm_destroy,0,0,1,-1,0
"""


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "FILE", "--policy", "v10"],
        ["evaluate", "FILE", "--json"],
        ["verify", "FILE", "--policy", "v10"],
        ["trace", "info", "FILE"],
        ["trace", "scan", "FILE"],
    ],
)
def test_what_is_doubtful_is_told_wherever_a_trace_is_read(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(DOUBTFUL)
    host = f"memory_bytes = {4 * GIB}\nnodes = 1\ncores = 4\nthreads_per_core = 2\n"
    path.with_suffix(".toml").write_text(f"horizon_ns = 900\n[host]\n{host}")
    assert main([str(path) if word == "FILE" else word for word in command]) == 0
    warning = f"gmemgpu: warning: {path}:"
    assert capsys.readouterr().err.splitlines() == [
        f"{warning} rows from 4: 1 of 4 events are at or after the horizon and do not count",
        f"{warning} row 3, column inode: inode 1 comes again, after its evict_end in row 2; ids are unique in a trace",
        f"{warning} row 1, column pfn: a folio of 512 pages cannot begin at PFN 1",
    ]
    # Among all that `trace check` finds, once.
    assert main(["trace", "check", str(path)]) == 0
    assert len([line for line in capsys.readouterr().err.splitlines() if "cannot begin" in line]) == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_why_auto_took_an_engine_is_told_on_a_terminal(
    without_cupy: None, trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for options, told in [
        (["--policy", "v10"], "backend numpy (auto: CuPy is not installed; pip install 'gmemgpu[cuda13]'"),
        (["--policy", "v10", "--json"], ""),
        (["--policy", "v10", "--csv"], ""),
        (["--policy", "v10", "--backend", "numpy"], ""),
    ]:
        errors = Terminal()
        monkeypatch.setattr(sys, "stderr", errors)
        assert main(["evaluate", trace, *options]) == 0
        assert errors.getvalue().startswith(told)
        assert errors.getvalue().count("\n") == (1 if told else 0)


def test_a_device_that_fails_is_told_and_numpy_answers(
    trace: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(NumpyEngine):
        name = "failing"

        def evaluate(self, *arguments: Any) -> Any:
            raise DeviceLost("cudaErrorLaunchFailure: unspecified launch failure")

    monkeypatch.setattr(fallback, "_lost", {})
    monkeypatch.setattr(fallback, "engine", lambda name: Failing() if name == "failing" else NumpyEngine())
    expected = json_of(capsys, "evaluate", trace, "--json", "--backend", "numpy")
    for module in "gmemgpu.api.choose_engine", "gmemgpu.engine.choice.choose_engine":
        monkeypatch.setattr(module, lambda *_, **__: EngineChoice(Failing(), "the batch is large"))
    assert main(["evaluate", trace, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == expected
    why = "cudaErrorLaunchFailure: unspecified launch failure"
    assert told.err == f"gmemgpu: warning: numpy did the work of failing: {why}\n"
    for module in "gmemgpu.api.choose_engine", "gmemgpu.engine.choice.choose_engine":
        monkeypatch.setattr(module, lambda *_, **__: EngineChoice(Failing(), None))
    assert main(["evaluate", trace, "--json", "--backend", "failing"]) == 1
    assert capsys.readouterr() == ("", f"gmemgpu: {why}\n")


def test_verify_names_what_differs(
    trace: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = NumpyEngine.evaluate

    def wrong(self: NumpyEngine, *arguments: Any) -> Any:
        rows = right(self, *arguments)
        rows[0][1]["ipis"] += 1
        return rows

    monkeypatch.setattr(NumpyEngine, "evaluate", wrong)
    assert main(["verify", trace, "--policy", "never", "v10"]) == 1
    out = capsys.readouterr().out
    assert "DIFFERENT: 1 of 72 integers" in out
    ipis = next(line for line in out.splitlines() if line.startswith("  v10, ipis: reference "))
    told = [int(word) for word in ipis.replace(",", "").split() if word.isdigit()]
    names = [engine.name for engine in available_engines()]
    values = {name: told[0] + (name == "numpy") for name in names}
    assert told == list(values.values())
    assert main(["verify", trace, "--policy", "never", "v10", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["traces"][0]["equal"] is False
    assert report["traces"][0]["differences"] == [{"policy": "v10", "metric": "ipis", "values": values}]


def test_verify_holds_images_against_the_timeline(
    trace: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["verify", trace, "--policy", "never", "--backend", "numpy"]
    assert main(command) == 0
    assert f"only one engine ran, {STATES:,} states of regions in images of the RMP, " in capsys.readouterr().out
    right = NumpyEngine.scan_rmp

    def wrong(self: NumpyEngine, *arguments: Any) -> Any:
        scan = right(self, *arguments)
        scan.assigned[3, 0] += 1
        return scan

    monkeypatch.setattr(NumpyEngine, "scan_rmp", wrong)
    assert main([*command, "reference"]) == 1
    out = capsys.readouterr().out
    assert f"DIFFERENT: 0 of 36 integers, 1 of {STATES:,} states" in out
    assert "  region 0 at " in out
    assert main([*command, "reference", "--json"]) == 1
    (of,) = json.loads(capsys.readouterr().out)["traces"]
    assert (of["equal"], of["states"], of["engines"]) == (False, STATES, ["numpy", "reference"])
    (found,) = of["state_differences"]
    assert (found["region"], found["state"]) == (0, "assigned")
    values = found["values"]
    assert values == {"timeline": values["timeline"], "numpy": values["timeline"] + 1, "reference": values["timeline"]}
    assert main(["verify", trace, "--backend", "abacus"]) == 2


@pytest.mark.parametrize("command", ["evaluate", "verify"])
def test_a_policy_that_visits_nothing_is_told_or_refused(
    command: str, trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policies = tmp_path / "p.toml"
    policies.write_text('[[policy]]\nname = "mine"\nhook = "region_free"\nscope = "vm"\n')
    told = 'policies: policy "mine": hook = "region_free" with scope = "vm" visits nothing'
    assert main([command, trace, "--policies", str(policies)]) == 0
    assert capsys.readouterr().err.startswith(f"gmemgpu: warning: {told}")
    assert main([command, trace, "--policies", str(policies), "--strict"]) == 2
    assert capsys.readouterr().err.startswith(f"gmemgpu: {told}")
