from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.engine.array.latency import latency_bins
from gmemgpu.errors import SpecError, StoreError
from gmemgpu.metrics.quantity import QUANTITIES
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.model.rmp_figure import RMP_FIGURE_NAMES
from gmemgpu.report import decision
from gmemgpu.report.decision import DecisionTable, PolicyLine, decision_table
from gmemgpu.report.estimate_text import estimate_text
from gmemgpu.report.export import csv_lines, json_lines
from gmemgpu.report.statistics import Estimate, Kind
from gmemgpu.sweeping.store.read import RunReader, StoredRows

METRICS = [name for quantity in QUANTITIES for name in quantity.columns if name != "cores"]
TYPED = (*METRICS, "latency_histogram")
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
        "admitted": 10,
        "rejected": 0,
        "horizon_ns": 110,
        "warmup_ns": 10,
        "running_vm_ns": 1250,
        "running_snp_vm_ns": 500,
        **dict.fromkeys(METRICS, 0),
        "latency_p50_ns": -1,
        "latency_p99_ns": -1,
        "latency_histogram": [],
        "optimizable_ns": WIDE,
        "optimized_core_ns": int(share * 8) * CORES * WIDE // 8,
        "in_use_optimized_core_ns": int(share * 8) * WIDE,
        **metrics,
    }


def stored(rows: Sequence[dict[str, Any]], n_parts: int = 1) -> StoredRows:
    types = {name: metric_arrow_type(name) for name in TYPED}
    types |= dict.fromkeys(("running_vm_ns", "running_snp_vm_ns"), metric_arrow_type("optimizable_ns"))
    columns = {name: pa.array([row[name] for row in rows], types.get(name)) for name in rows[0]}
    return StoredRows(name="test", table=pa.table(columns), axes=("axis",), n_parts=n_parts, n_parts_done=1)


def latency(ns: int) -> dict[str, Any]:
    """One episode."""
    return {
        "latency_p50_ns": ns,
        "latency_p99_ns": ns,
        "latency_histogram": np.bincount(latency_bins(np.array([ns]))).tolist(),
    }


ROWS = [
    row("a 1", 0, "slow", 0.25, ipis=30, attempts_new=10, leader_busy_ns=10**9),
    row("a 1", 0, "fast", 0.75, **latency(100), never=1),
    row("a 1", 0, "oracle", 1.0),
    row("a 1", 1, "slow", 0.75, **latency(300), ipis=70, attempts_new=10, follower_busy_ns=3 * 10**9),
    row("a 1", 1, "fast", 0.75, **latency(200), never=3),
    row("a 1", 1, "oracle", 1.0),
    row("a 2", 0, "slow", 0.5),
    row("a 2", 0, "fast", 1.0),
    row("a 2", 0, "oracle", 1.0),
]


def line(table: DecisionTable, group: int, policy: str) -> PolicyLine:
    (found,) = (line for line in table.groups[group].lines if line.policy == policy)
    return found


def value(line: PolicyLine, key: str) -> float | None:
    found = line.estimates[key]
    return None if found is None else found.value


def test_each_scenario_has_its_lines_in_the_order_of_the_sweep() -> None:
    table = decision_table(stored(ROWS))
    assert [group.keys for group in table.groups] == [{"label": "a 1"}, {"label": "a 2"}]
    assert [line.policy for line in table.groups[0].lines] == ["slow", "fast", "oracle"]
    assert [line.n_seeds for line in table.groups[0].lines] == [2, 2, 2]


def test_each_figure_is_made_as_befits_it() -> None:
    slow = line(decision_table(stored(ROWS)), 0, "slow")
    assert value(slow, "coverage") == 0.5
    assert value(slow, "benefit") == 0.5
    assert value(slow, "regret") == 0.5
    assert value(slow, "ipis_per_region") == 5.0
    assert value(slow, "core_s") == 2.0
    assert {key: found.kind for key, found in slow.estimates.items() if found} == {
        **dict.fromkeys(["coverage", "benefit", "ipis_per_region", "regret"], "ratio"),
        **dict.fromkeys(["profit_gib_h", "missed_gib_h", "core_s", "tracker_updates"], "mean"),
        **dict.fromkeys(["never", "longest_pass_ns"], "range"),
        **dict.fromkeys(["latency_p50_ns", "latency_p99_ns"], "percentile"),
    }
    never = line(decision_table(stored(ROWS)), 0, "fast").estimates["never"]
    assert never == Estimate(2.0, 1.0, 3.0, 2, "range")


def test_a_seed_without_the_quantity_does_not_count() -> None:
    latency = line(decision_table(stored(ROWS)), 0, "slow").estimates["latency_p50_ns"]
    assert latency == Estimate(300.0, None, None, 1, "percentile")
    assert line(decision_table(stored(ROWS)), 0, "fast").estimates["ipis_per_region"] is None


def test_a_group_of_scenarios_counts_each_seed_once() -> None:
    table = decision_table(stored(ROWS), group_by=["preset"])
    (group,) = table.groups
    assert (group.keys, group.n_scenarios) == ({"preset": "p"}, 2)
    # Three traces of equal weight: 0.25 and 0.5 of seed 0, 0.75 of seed 1.
    coverage = line(table, 0, "slow").estimates["coverage"]
    assert coverage is not None
    assert (coverage.value, coverage.n) == (0.5, 2)


def test_vms_are_those_of_each_trace_once() -> None:
    rows = [{**one, "admitted": 10 + one["seed"], "rejected": 1} for one in ROWS]
    first, second = decision_table(stored(rows)).groups
    assert (first.traces.admitted, first.traces.rejected) == (10 + 11, 2)
    assert (second.traces.admitted, second.traces.rejected) == (10, 1)


def test_running_vms_are_a_mean_over_counted_time() -> None:
    more = {0: 1500 << 40, 1: 250 << 40}  # of both seeds in wide columns; of 3 × 100 counted
    rows = [{**one, "running_vm_ns": one["running_vm_ns"] + more[one["seed"]]} for one in ROWS]
    (group,) = decision_table(stored(rows), group_by=["preset"]).groups
    assert group.traces.mean_running == (3 * 1250 + (2 * 1500 + 250 << 40)) / 300
    assert group.traces.mean_running_snp == 5.0


def test_quantities_can_be_chosen() -> None:
    table = decision_table(stored(ROWS), quantities=["never", "core-s at 10 ns"], sort="coverage")
    assert [one.key for one in table.quantities] == ["never", "core_s_at_10ns", "coverage"]
    assert set(table.groups[0].lines[0].estimates) == {"never", "core_s_at_10ns", "coverage"}


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
    assert value(line(table, 0, "fast"), "regret") == 0.25


def test_every_unknown_name_is_reported() -> None:
    with pytest.raises(SpecError) as caught:
        decision_table(stored(ROWS), group_by=["presets"], policies=["fats"], sort="coverag", quantities=["nevr"])
    assert [str(problem) for problem in caught.value.problems] == [
        '--group-by: "presets": unknown name; did you mean "preset"?',
        '--policy: "fats": unknown name; did you mean "fast"?',
        '--metric: "nevr": unknown name; did you mean "never"?',
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
    assert value(line(table, 0, "slow"), "coverage") == 0.5
    assert value(line(table, 0, "slow"), "regret") is None


def test_figures_of_images_are_sums_over_the_traces_of_a_group() -> None:
    least = {("a 1", 0): 5, ("a 1", 1): 3}
    rows = [
        {**one, **dict.fromkeys(RMP_FIGURE_NAMES, 10 + one["seed"])}
        | {"rmp_free_regions_least": least.get((one["label"], one["seed"]), -1)}
        for one in ROWS
    ]
    first, second = (group.traces.images for group in decision_table(stored(rows)).groups)
    assert first == dict.fromkeys(RMP_FIGURE_NAMES, 10 + 11) | {"rmp_free_regions_least": 3}
    assert second == dict.fromkeys(RMP_FIGURE_NAMES, 10) | {"rmp_free_regions_least": -1}
    assert json.loads("".join(json_lines(decision_table(stored(rows)))))["groups"][0]["images"] == first
    lines = list(csv.DictReader(io.StringIO("".join(csv_lines(decision_table(stored(rows)))))))
    assert {name: int(lines[0][name]) for name in RMP_FIGURE_NAMES} == first
    assert {name: int(lines[-1][name]) for name in RMP_FIGURE_NAMES} == second
    assert "rmp_images" not in "".join(csv_lines(decision_table(stored(ROWS))))
    assert decision_table(stored(ROWS)).groups[0].traces.images is None


@pytest.mark.parametrize("n_parts", [1, 2])
def test_a_directory_is_read_as_its_rows_are_needed_once_it_is_finished(
    n_parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stored(ROWS, n_parts)
    most = 0

    def read_rows(directory: str, columns: Sequence[str]) -> StoredRows:
        nonlocal most
        assert directory == "results"
        most = max(most, len(columns))
        return replace(whole, table=whole.table.select(columns), source=whole.pieces)

    monkeypatch.setattr(decision, "read_rows", read_rows)
    options = {"group_by": ["preset", "axis"], "sort": "IPIs/region", "policies": ["fast", "slow"]}
    assert decision.read_decision_table("results", **options) == decision_table(whole, **options)
    assert most == (1 if n_parts == 1 else 11 + len(set(METRICS)) + 1)


def test_rows_that_end_early_are_told() -> None:
    whole = stored(ROWS)
    fewer = replace(whole, table=whole.table.select(["policy"]), source=stored(ROWS[3:]).pieces)
    with pytest.raises(StoreError, match="rows changed while they were read; try again"):
        decision_table(fewer)


@pytest.mark.parametrize("group_by", [(), ("axis",), ("preset",)])
@pytest.mark.parametrize("most_groups", [None, 1, 3])
def test_runs_of_few_rows_give_what_one_of_all_gives(
    group_by: Sequence[str], most_groups: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        row(f"{x} {x % 2}", seed, policy, (seed + x) % 7 / 8, never=x, ipis=seed, **latency(100 + 50 * seed * x))
        for x in range(5)
        for seed in (4, 0, 7)
        for policy in ("slow", "fast", "oracle")
    ]
    whole = stored(rows)

    def source(name: str, first: int) -> Iterator[pa.Array]:
        # Pieces of 7 rows, whatever the groups.
        for start in range(first, len(rows), 7):
            yield whole.table[name].chunk(0).slice(start, 7)

    in_pieces = replace(whole, table=whole.table.select(["policy"]), source=source)
    options = {"group_by": group_by, "most_groups": most_groups}
    expected = decision_table(whole, **options)
    for n in (1, 10, 20):
        monkeypatch.setattr(decision, "_ROWS_AT_ONCE", n)
        assert decision_table(in_pieces, **options) == expected


@given(data=st.data())
def test_a_run_of_rows_is_read_whatever_was_read_before(data: st.DataObject) -> None:
    values = list(range(data.draw(st.integers(1, 12))))
    cuts = sorted(data.draw(st.lists(st.sampled_from(values))))
    pieces = [pa.array(values[a:b], pa.int64()) for a, b in pairwise([0, *cuts, len(values)])]
    table = pa.table({"seed": pa.chunked_array(pieces)})
    reader = RunReader(StoredRows(name="x", table=table, axes=(), n_parts=1, n_parts_done=1))
    for _ in range(4):
        start = data.draw(st.sampled_from(values))
        stop = data.draw(st.integers(start + 1, len(values)))
        assert reader.column("seed", start, stop).to_pylist() == values[start:stop]
    with pytest.raises(StoreError, match="changed while they were read"):
        reader.column("seed", 0, len(values) + 1)


def test_json_is_what_the_encoder_writes() -> None:
    (policy,) = decision_table(stored([row("ä", 0, '"quoted" ✓', 0.5)])).groups[0].lines
    found = {
        key: Estimate(0.1 + 0.2, None, 1e300, 3, "ratio") if key == "never" else one
        for key, one in policy.estimates.items()
    }
    table = decision_table(stored([row("ä", 0, '"quoted" ✓', 0.5), row("b", 0, "p", 1.0)]))
    table = replace(
        table, groups=(replace(table.groups[0], lines=(replace(policy, estimates=found),)), *table.groups[1:])
    )
    text = "".join(json_lines(table))
    again = json.dumps(json.loads(text), ensure_ascii=False)
    assert again == text.replace("[\n", "[").replace(",\n", ", ").replace("\n]}\n", "]}")


def test_json_has_every_estimate_in_full() -> None:
    document = json.loads("".join(json_lines(decision_table(stored(ROWS, n_parts=3)))))
    assert (document["name"], document["parts"], document["parts_done"]) == ("test", 3, 1)
    slow = document["groups"][0]["policies"][0]
    assert (slow["policy"], slow["seeds"]) == ("slow", 2)
    assert slow["coverage"] == {"value": 0.5, "low": 0.0, "high": 1.0, "n": 2, "kind": "ratio"}
    assert slow["latency_p50_ns"] == {"value": 300.0, "low": None, "high": None, "n": 1, "kind": "percentile"}
    assert slow["latency_p99_ns"]["n"] == 1
    fast = document["groups"][0]["policies"][1]
    assert fast["ipis_per_region"] == {"value": None, "low": None, "high": None, "n": 0, "kind": None}
    assert set(slow) == {"policy", "seeds", *(quantity.key for quantity in QUANTITIES)}
    assert document["seeds"] == [0, 1]
    group = document["groups"][0]
    assert [group[key] for key in ("admitted", "rejected", "running", "running_snp")] == [20, 0, 12.5, 5.0]


def test_csv_has_a_line_for_each_group_and_policy() -> None:
    lines = list(
        csv.DictReader(io.StringIO("".join(csv_lines(decision_table(stored(ROWS), group_by=["preset", "axis"])))))
    )
    assert [(entry["preset"], entry["axis"], entry["policy"]) for entry in lines] == [
        ("p", axis, policy) for axis in ("1", "2") for policy in ("slow", "fast", "oracle")
    ]
    assert lines[0]["coverage"] == "0.5"
    assert (lines[0]["coverage_high"], lines[0]["coverage_n"], lines[0]["coverage_kind"]) == ("1.0", "2", "ratio")
    assert lines[0]["latency_p50_ns_low"] == ""


@pytest.mark.parametrize(
    ("found", "unit", "text"),
    [
        (None, "share", "–"),
        (Estimate(0.97312, 0.96889, 0.97735, 8, "ratio"), "share", "97.3 % ±0.4"),
        (Estimate(0.456, 0.342, 0.575, 8, "ratio"), "share", "45.6 % (34.2–57.5)"),
        (Estimate(0.999, 0.994, 1.0, 8, "ratio"), "share", "99.9 % (99.4–100.0)"),
        (Estimate(0.9994, 0.9944, 1.0, 8, "ratio"), "share", "99.9 % (99.4–100.0)"),
        (Estimate(1.0, 1.0, 1.0, 8, "ratio"), "share", "100 %"),
        (Estimate(0.00001, 0.000005, 0.00002, 8, "ratio"), "share", "<0.01 %"),
        (Estimate(0.0, 0.0, 0.0, 8, "ratio"), "share", "0 %"),
        (Estimate(0.0001, 0.0, 0.0005, 8, "ratio"), "share", "0.01 % (0–0.05)"),
        (Estimate(10.31e9, 10.11e9, 10.51e9, 8, "percentile"), "ns", "10.3 s ±0.2"),
        (Estimate(264e9, 210e9, None, 8, "percentile"), "ns", "4.40 min (≥3.50 min)"),
        (Estimate(10.4 * 3600e9, 7.2e9, None, 8, "percentile"), "ns", "10.4 h (≥7.20 s)"),
        (Estimate(97e9, 0.0, None, 3, "percentile"), "ns", "97.0 s (≥0) 3/8"),
        (Estimate(95e9, None, None, 1, "percentile"), "ns", "95.0 s 1/8"),
        (Estimate(240e9, 240e9, 240e9, 8, "percentile"), "ns", "4.00 min"),
        (Estimate(151_750.0, 151_748.0, 151_752.0, 8, "percentile"), "ns", "152 µs"),
        (Estimate(0.0, 0.0, 0.0, 8, "percentile"), "ns", "0"),
        (Estimate(0.0, 0.0, 61.6e6, 8, "median"), "ns", "0 ms (0–61.6)"),
        (Estimate(18742.3, 17662.1, 19822.5, 8, "mean"), "count", "18,742 ±1,080"),
        (Estimate(3.0, 1.0, 8.0, 8, "median"), "count", "3 (1–8)"),
        (Estimate(10.5, 0.0, 30.0, 8, "median"), "count", "10.5 (0–30)"),
        (Estimate(3.0, 2.0, 4.0, 3, "range"), "count", "3 (2–4) 3/8"),
        (Estimate(0.0, 0.0, 1.0, 8, "median"), "count", "0 (0–1)"),
        (Estimate(3.0, 0.5, 6.0, 8, "mean"), "count", "3.00 (0.50–6.00)"),
        (Estimate(2.5, None, None, 8, "mean"), "count", "2.50"),
        (Estimate(79.46, 76.27, 82.65, 8, "mean"), "s", "79.5 ±3.2"),
        (Estimate(0.03, 0.0, 0.10, 8, "mean"), "s", "0.03 (0–0.10)"),
    ],
)
def test_estimates_are_written_as_a_person_would(found: Estimate | None, unit: str, text: str) -> None:
    assert estimate_text(found, unit, 8) == text


@given(
    ends=st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted),
    kind=st.sampled_from(["mean", "ratio", "median", "percentile"]),
)
def test_no_text_leaves_the_domain(ends: list[float], kind: Kind) -> None:
    low, figure, high = ends
    text = estimate_text(Estimate(figure, low, high, 8, kind), "share", 8)
    assert "-" not in text
    if "±" in text:
        shown, reach = (float(part.strip(" %").replace(",", "")) for part in text.split("±"))
        assert shown - reach >= -1e-9
        assert shown + reach <= 100 + 1e-9
