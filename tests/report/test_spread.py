from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from gmemgpu.cli.main import main
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.report import comparison
from gmemgpu.report.spread import read_spread, spread_lines
from gmemgpu.sweeping.store.read import StoredRows

# Of four hosts: what never says of the baseline and of two policies, in each of six seeds.
NEVER: dict[str, dict[str, int | None]] = {
    "a": {"v10": 10, "refcount": 0, "v3": 10},
    "b": {"v10": 40, "refcount": 0, "v3": 60},
    "c": {"v10": 0, "refcount": 0, "v3": 0},
    "d": {"v10": 20, "refcount": 5, "v3": None},
}
N_SEEDS = 6


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        (host, seed, policy, never)
        for host, policies in NEVER.items()
        for policy, never in policies.items()
        for seed in range(N_SEEDS)
    ]
    host, seed, policy, never = zip(*rows, strict=True)
    table = pa.table(
        {
            "label": list(host),
            "preset": ["p"] * len(rows),
            "vm_table.host": list(host),
            "seed": pa.array(seed, pa.int64()),
            "policy": list(policy),
            "never": pa.array([-1 if one is None else one for one in never], metric_arrow_type("never")),
        }
    )
    found = StoredRows(name="fleet", table=table, axes=("vm_table.host",), n_parts=30, n_parts_done=24)
    monkeypatch.setattr(comparison, "read_rows", lambda directory, columns=(): found)


def test_a_fleet_is_told_by_its_hosts() -> None:
    spread = read_spread(Path(), "vm_table.host", quantity="never")
    assert (spread.n_values, spread.n_seeds, spread.baseline) == (4, N_SEEDS, "v10")
    base, refcount, v3 = spread.policies
    assert (base.policy, base.least, base.median, base.most, base.worst_at) == ("v10", 0, 15, 40, "b")
    assert not base.verdicts
    assert (refcount.least, refcount.median, refcount.most, refcount.worst_at) == (0, 0, 5, "d")
    assert refcount.verdicts == {"better": 3, "same": 1}
    # Nothing says how v3 does on d.
    assert (v3.median, v3.most, v3.worst_at) == (10, 60, "b")
    assert v3.verdicts == {"same": 2, "worse": 1}


def test_its_lines() -> None:
    assert list(spread_lines(read_spread(Path(), "vm_table.host", quantity="never"))) == [
        "never at 4 values of vm_table.host · 6 seeds at each",
        "",
        "policy    least  median  most  worst at  better  same  ?  worse",
        "v10           0      15    40         b",
        "refcount      0       0     5         d       3     1  0      0",
        "v3            0      10    60         b       0     2  0      1",
        "",
        "better … worse: than v10, at how many values, on the same traces; ?: one can't",
        "tell there.",
        "Not finished: 24 of 30 parts.",
    ]


def test_on_a_narrow_terminal_counts_are_below_figures() -> None:
    spread = read_spread(Path(), "vm_table.host", quantity="never")
    assert list(spread_lines(spread, 60)) == [
        "never at 4 values of vm_table.host · 6 seeds at each",
        "",
        "policy    least  median  most  worst at",
        "v10           0      15    40         b",
        "refcount      0       0     5         d",
        "v3            0      10    60         b",
        "",
        "policy    better  same  ?  worse",
        "refcount       3     1  0      0",
        "v3             0     2  0      1",
        "",
        "better … worse: than v10, at how many values, on the same",
        "traces; ?: one can't tell there.",
        "Not finished: 24 of 30 parts.",
    ]
    # As long a name as policies have, and hosts named by their addresses.
    longest = replace(spread.policies[1], policy="conv_debounce_with_retry_10s", worst_at="rack-17-node-04.example")
    wide = replace(spread, policies=(spread.policies[0], longest))
    for width in (60, 80, 120):
        lines = list(spread_lines(wide, width))
        assert max(map(len, lines)) <= width
        assert sum("rack-17-node-04.example" in line for line in lines) == 1


def test_ascii_only_terminals_get_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    assert main(["show", ".", "--spread", "vm_table.host", "--metric", "never"]) == 0
    out.seek(0)
    assert "vm_table.host - 6 seeds" in out.read()


def test_what_does_not_go_with_a_spread_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", ".", "--spread", "label", "--metric", "never", "core_s", "--sort", "never", "--json"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "gmemgpu: --json: does not go with --spread; leave it out",
        "gmemgpu: --sort: does not go with --spread; leave it out",
        "gmemgpu: --metric: a spread shows one figure, not 2",
    ]
    assert main(["show", ".", "--spread", "vm_table.hsot", "--metric", "nevr"]) == 2
    err = capsys.readouterr().err
    assert 'did you mean "vm_table.host"?' in err
    assert "nevr" in err
    assert main(["show", ".", "--spread", "vm_table.host", "--metric", "never", "--baseline", "refcount"]) == 0
    assert "better … worse: than refcount" in capsys.readouterr().out
