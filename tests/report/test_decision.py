from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from gmemgpu.errors import SpecError, StoreError
from gmemgpu.metrics.quantity import QUANTITIES, TABLE_QUANTITIES
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.report import decision
from gmemgpu.report.decision import DecisionTable, PolicyLine, decision_table
from gmemgpu.report.export import table_csv, table_json
from gmemgpu.report.render import estimate_text, render
from gmemgpu.report.statistics import Estimate
from gmemgpu.sweeping.store.read import StoredRows

METRICS = [name for quantity in QUANTITIES for name in quantity.columns if name != "cores"]
CORES = 4
WIDE = 2**70


def row(label: str, seed: int, policy: str, share: float, **metrics: int) -> dict[str, Any]:
    """One row in which a policy recovers `share` of what the oracle does, in numbers beyond 63 bits."""
    return {
        "label": label,
        "preset": "p",
        "axis": label[-1],
        "seed": seed,
        "policy": policy,
        "cores": CORES,
        **dict.fromkeys(METRICS, 0),
        "optimizable_ns": WIDE,
        "optimized_core_ns": int(share * 8) * CORES * WIDE // 8,
        "in_use_optimized_core_ns": int(share * 8) * WIDE,
        **metrics,
    }


def stored(rows: Sequence[dict[str, Any]], n_parts: int = 1) -> StoredRows:
    columns = {
        name: pa.array([row[name] for row in rows], metric_arrow_type(name) if name in METRICS else None)
        for name in rows[0]
    }
    return StoredRows(name="test", table=pa.table(columns), axes=("axis",), n_parts=n_parts, n_parts_done=1)


ROWS = [
    row("a 1", 0, "slow", 0.25, latency_p50_ns=-1, ipis=30, attempts_new=10, leader_busy_ns=10**9),
    row("a 1", 0, "fast", 0.75, latency_p50_ns=100, never=1),
    row("a 1", 0, "oracle", 1.0),
    row("a 1", 1, "slow", 0.75, latency_p50_ns=300, ipis=70, attempts_new=10, follower_busy_ns=3 * 10**9),
    row("a 1", 1, "fast", 0.75, latency_p50_ns=200, never=3),
    row("a 1", 1, "oracle", 1.0),
    row("a 2", 0, "slow", 0.5),
    row("a 2", 0, "fast", 1.0),
    row("a 2", 0, "oracle", 1.0),
]


def line(table: DecisionTable, group: int, policy: str) -> PolicyLine:
    (found,) = (line for line in table.groups[group].lines if line.policy == policy)
    return found


def mean(line: PolicyLine, key: str) -> float | None:
    found = line.estimates[key]
    return None if found is None else found.mean


def test_each_scenario_has_its_lines_in_the_order_of_the_sweep() -> None:
    table = decision_table(stored(ROWS))
    assert [group.keys for group in table.groups] == [{"label": "a 1"}, {"label": "a 2"}]
    assert [line.policy for line in table.groups[0].lines] == ["slow", "fast", "oracle"]
    assert [line.n_seeds for line in table.groups[0].lines] == [2, 2, 2]


def test_ratios_are_taken_a_seed_at_a_time_and_then_averaged() -> None:
    slow = line(decision_table(stored(ROWS)), 0, "slow")
    assert mean(slow, "coverage") == 0.5
    assert mean(slow, "benefit") == 0.5
    assert mean(slow, "regret") == 0.5
    assert mean(slow, "ipis_per_region") == 5.0
    assert mean(slow, "core_s") == 2.0
    coverage = slow.estimates["coverage"]
    assert coverage is not None
    # Values 0.25 and 0.75: s/√2 = 0.25, t(1) = 12.7062.
    assert coverage.half_width == pytest.approx(3.17655, abs=1e-5)


def test_a_seed_without_the_quantity_does_not_count() -> None:
    latency = line(decision_table(stored(ROWS)), 0, "slow").estimates["latency_p50_ns"]
    assert latency == Estimate(mean=300.0, half_width=None, n=1)
    assert line(decision_table(stored(ROWS)), 0, "fast").estimates["ipis_per_region"] is None


def test_a_group_of_scenarios_counts_each_seed_once() -> None:
    table = decision_table(stored(ROWS), group_by=["preset"])
    (group,) = table.groups
    assert (group.keys, group.n_scenarios) == ({"preset": "p"}, 2)
    # Seed 0: mean of 0.25 and 0.5; seed 1: 0.75.
    coverage = line(table, 0, "slow").estimates["coverage"]
    assert coverage is not None
    assert (coverage.mean, coverage.n) == (0.5625, 2)


def test_sorting_puts_the_best_first_whatever_the_column() -> None:
    def order(sort: str) -> list[str]:
        return [line.policy for line in decision_table(stored(ROWS), sort=sort).groups[0].lines]

    assert order("coverage") == ["oracle", "fast", "slow"]
    assert order("regret") == ["oracle", "fast", "slow"]
    assert order("core_s") == ["fast", "oracle", "slow"]
    assert order("policy") == ["fast", "oracle", "slow"]
    # As a table prints it, too.
    for quantity in QUANTITIES:
        assert order(quantity.header) == order(quantity.key)
    # Only slow has IPIs for a new region; who has none comes last.
    assert order("ipis_per_region")[0] == "slow"


def test_policies_can_be_chosen_and_ordered_while_the_oracle_still_measures() -> None:
    table = decision_table(stored(ROWS), policies=["fast", "slow"])
    assert [line.policy for line in table.groups[0].lines] == ["fast", "slow"]
    assert mean(line(table, 0, "fast"), "regret") == 0.25


def test_every_unknown_name_is_reported() -> None:
    with pytest.raises(SpecError) as caught:
        decision_table(stored(ROWS), group_by=["presets"], policies=["fats"], sort="coverag")
    assert [str(problem) for problem in caught.value.problems] == [
        '--group-by: "presets": unknown name; did you mean "preset"?',
        '--policy: "fats": unknown name; did you mean "fast"?',
        '--sort: "coverag": unknown name; did you mean "coverage"?',
    ]


def test_an_unknown_column_to_sort_by_is_told_those_of_the_table() -> None:
    with pytest.raises(SpecError, match=r'"cores": unknown name; did you mean "core-s"\?'):
        decision_table(stored(ROWS), sort="cores")
    with pytest.raises(SpecError) as caught:
        decision_table(stored(ROWS), sort="zzz")
    headers = ", ".join(quantity.header for quantity in QUANTITIES)
    assert str(caught.value) == f'--sort: "zzz": unknown name; known: policy, {headers}'


def test_without_an_oracle_what_needs_it_is_empty() -> None:
    table = decision_table(stored([row("a 1", 0, "slow", 0.5)]))
    assert mean(line(table, 0, "slow"), "coverage") == 0.5
    assert mean(line(table, 0, "slow"), "regret") is None


@pytest.mark.parametrize("n_parts", [1, 2])
def test_a_directory_is_read_a_column_at_a_time_once_it_is_finished(
    n_parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stored(ROWS, n_parts)
    most = 0

    def read_rows(directory: str, columns: Sequence[str]) -> StoredRows:
        nonlocal most
        assert directory == "results"
        most = max(most, len(columns))
        return replace(whole, table=whole.table.select(columns))

    monkeypatch.setattr(decision, "read_rows", read_rows)
    options = {"group_by": ["preset", "axis"], "sort": "IPIs/region", "policies": ["fast", "slow"]}
    assert decision.read_decision_table("results", **options) == decision_table(whole, **options)
    assert most == (1 if n_parts == 1 else 5 + len(set(METRICS)) + 1)


def test_rows_that_change_while_they_are_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_rows(directory: str, columns: Sequence[str]) -> StoredRows:
        return stored(ROWS[3:] if "ipis" in columns else ROWS)

    monkeypatch.setattr(decision, "read_rows", read_rows)
    with pytest.raises(StoreError, match="results: its rows changed while they were read; try again"):
        decision.read_decision_table("results")


def test_json_has_every_estimate_in_full() -> None:
    document = json.loads(table_json(decision_table(stored(ROWS, n_parts=3))))
    assert (document["name"], document["parts"], document["parts_done"]) == ("test", 3, 1)
    slow = document["groups"][0]["policies"][0]
    assert (slow["policy"], slow["seeds"]) == ("slow", 2)
    assert slow["coverage"]["mean"] == 0.5
    assert slow["coverage"]["low"] == pytest.approx(0.5 - 3.17655, abs=1e-5)
    assert slow["latency_p50_ns"] == {"mean": 300.0, "low": None, "high": None, "n": 1}
    assert set(slow) == {"policy", "seeds", *(quantity.key for quantity in QUANTITIES)}


def test_csv_has_a_line_for_each_group_and_policy() -> None:
    lines = list(csv.DictReader(io.StringIO(table_csv(decision_table(stored(ROWS), group_by=["preset", "axis"])))))
    assert [(entry["preset"], entry["axis"], entry["policy"]) for entry in lines] == [
        ("p", axis, policy) for axis in ("1", "2") for policy in ("slow", "fast", "oracle")
    ]
    assert lines[0]["coverage"] == "0.5"
    assert float(lines[0]["coverage_high"]) == pytest.approx(0.5 + 3.17655, abs=1e-5)
    assert lines[0]["latency_p50_ns_low"] == ""


@pytest.mark.parametrize(
    ("found", "unit", "text"),
    [
        (None, "share", "–"),
        (Estimate(mean=0.97312, half_width=0.00423, n=3), "share", "97.3 % ±0.4"),
        (Estimate(mean=1.0, half_width=0.0, n=3), "share", "100 %"),
        (Estimate(mean=0.00001, half_width=0.00001, n=3), "share", "<0.01 %"),
        (Estimate(mean=0.0, half_width=0.0, n=3), "share", "0 %"),
        (Estimate(mean=10.31e9, half_width=0.2e9, n=3), "ns", "10.3 s ±0.2"),
        (Estimate(mean=95e9, half_width=None, n=1), "ns", "95.0 s"),
        (Estimate(mean=240e9, half_width=None, n=1), "ns", "4.00 min"),
        (Estimate(mean=151_750.0, half_width=2.0, n=2), "ns", "152 µs"),
        (Estimate(mean=0.0, half_width=0.0, n=2), "ns", "0"),
        (Estimate(mean=18742.3, half_width=1080.2, n=2), "count", "18,742 ±1,080"),
        (Estimate(mean=3.0, half_width=4.5, n=2), "count", "3.00 ±4.50"),
        (Estimate(mean=3.0, half_width=None, n=1), "count", "3"),
        (Estimate(mean=2.5, half_width=None, n=1), "count", "2.50"),
        (Estimate(mean=79.46, half_width=3.19, n=2), "s", "79.5 ±3.2"),
    ],
)
def test_estimates_are_written_as_a_person_would(found: Estimate | None, unit: str, text: str) -> None:
    assert estimate_text(found, unit) == text


def drawn(table: DecisionTable, width: int = 160) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    for piece in render(table):
        console.print(piece)
    return console.export_text()


def test_the_table_says_all_that_a_reader_needs() -> None:
    text = drawn(decision_table(stored(ROWS, n_parts=3)))
    for expected in ("a 1 · 2 seeds", "a 2 · 1 seed ", *(quantity.header for quantity in TABLE_QUANTITIES)):
        assert expected in text
    assert "± is half of the 95 % interval over seeds (Student's t)." in text
    assert "Not finished: 1 of 3 parts" in text
    assert "50.0 % ±317.7" in text


def test_a_narrow_terminal_folds_figures_and_cuts_none() -> None:
    assert "…" not in drawn(decision_table(stored(ROWS)), width=72)


def test_a_finished_table_of_single_seeds_explains_nothing_that_is_not_there() -> None:
    text = drawn(decision_table(stored(ROWS[6:])))
    assert "±" not in text
    assert "Not finished" not in text
    assert "(2 scenarios)" in drawn(decision_table(stored(ROWS), group_by=["preset"]))
