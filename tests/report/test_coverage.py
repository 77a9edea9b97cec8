"""Intervals hold the truth as often as they say, on rows that the model computed.

`two_presets.parquet` has what a decision table reads of `iaas-mixed` as it ships and of `mixed-pods` over 12 minutes,
2 of them warm-up, each with seeds 0 to 199: the merged rows of a sweep of `jobs/quickstart.toml`'s first two scenarios
with `seeds = 200`, and of its columns and policies those that are used here.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from gmemgpu.metrics.quantity import TABLE_QUANTITIES, quantity_named
from gmemgpu.report.comparison import ComparisonTable, comparison_table
from gmemgpu.report.decision import DecisionTable, decision_table
from gmemgpu.report.paired import Difference
from gmemgpu.report.statistics import Estimate
from gmemgpu.sweeping.store.read import StoredRows

N_SEEDS = 200
N_DRAWN = 8
N_DRAWS = 600
N_PAIRED_DRAWS = 200


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return pq.read_table(Path(__file__).with_name("two_presets.parquet"))


def stored(table: pa.Table) -> StoredRows:
    return StoredRows(name="x", table=table, axes=(), n_parts=1, n_parts_done=1)


def drawn(rows: pa.Table, n_draws: int, n_seeds: int, random: np.random.Generator) -> pa.Table:
    """Return rows of some seeds, many times: a scenario for each draw, whose preset is the scenario drawn from."""
    of_seed: dict[int, list[int]] = {}
    for i, seed in enumerate(rows["seed"].to_pylist()):
        of_seed.setdefault(seed, []).append(i)
    chosen = [random.permutation(N_SEEDS)[:n_seeds] for _ in range(n_draws)]
    indices = [[i for seed in sorted(seeds.tolist()) for i in of_seed[seed]] for seeds in chosen]
    found = rows.take(pa.array([i for of_draw in indices for i in of_draw]))
    labels = found["label"].to_pylist()
    draw = np.repeat(np.arange(n_draws), [len(of_draw) for of_draw in indices]).tolist()
    found = found.set_column(found.schema.get_field_index("preset"), "preset", pa.array(labels))
    return found.set_column(0, "label", pa.array([f"{label} {i}" for label, i in zip(labels, draw, strict=True)]))


def by_line(table: DecisionTable) -> dict[tuple[str, str, str], list[Estimate]]:
    found: dict[tuple[str, str, str], list[Estimate]] = {}
    for group in table.groups:
        for line in group.lines:
            for key, estimate in line.estimates.items():
                if estimate is not None:
                    found.setdefault((group.keys["preset"], line.policy, key), []).append(estimate)
    return found


def holds(found: Estimate, truth: float, unit: str) -> bool:
    """Return whether an interval holds the truth, as both are printed: three digits, of a share two after the point."""
    step = 10.0 ** (math.floor(math.log10(abs(truth))) - 2) if truth else 0.0
    step = max(step, 1e-4) if unit == "share" else step
    assert found.low is not None
    return found.low - step / 2 <= truth and (found.high is None or truth <= found.high + step / 2)


def test_every_printed_interval_of_eight_seeds_holds_the_truth_in_93_percent(rows: pa.Table) -> None:
    truth = {}
    whole = rows.set_column(rows.schema.get_field_index("preset"), "preset", rows["label"])
    for line, (estimate,) in by_line(decision_table(stored(whole), group_by=["preset"])).items():
        truth[line] = estimate.value
    random = np.random.Generator(np.random.Philox(11))
    table = decision_table(stored(drawn(rows, N_DRAWS, N_DRAWN, random)), group_by=["preset", "label"])
    shares: dict[tuple[str, str, str], float] = {}
    for line, estimates in by_line(table).items():
        quantity = quantity_named(line[2])
        assert quantity is not None
        intervals = [one for one in estimates if one.low is not None]
        if line[1] != "oracle" and intervals:
            shares[line] = sum(holds(one, truth[line], quantity.unit) for one in intervals) / len(intervals)
    assert len(shares) >= 100
    assert not {line: share for line, share in shares.items() if share < 0.93}
    assert sum(shares.values()) / len(shares) >= 0.95


def compared(table: ComparisonTable) -> dict[tuple[str, str, str], list[Difference]]:
    found: dict[tuple[str, str, str], list[Difference]] = {}
    for group in table.groups:
        for one in group.comparisons:
            if one.found is not None:
                found.setdefault((group.keys["preset"], one.policy, one.quantity.key), []).append(one.found)
    return found


RARE = {
    # On one of the hosts v3 and v10 do the same, but for a few seeds of which eight are mostly none.
    *(("cloud", "v3", key) for key in ("coverage", "benefit", "regret", "missed_gib_h", "core_s", "latency_p99_ns")),
    ("cloud", "v3", "latency_p50_ns"),
    # Three seeds of four have no pass of v10, whose figures are half of the difference.
    *(("pods", policy, key) for policy in ("dirty_10s", "gmem_tracked") for key in ("ipis_per_region", "core_s")),
}
"""The lines whose differences to v10 hold less than 92 % in 1,600 draws; told in the page on metrics."""


def test_printed_differences_of_eight_seeds_hold_the_truth_in_93_percent(rows: pa.Table) -> None:
    options: dict[str, Any] = {"baseline": "v10", "quantities": [one.key for one in TABLE_QUANTITIES]}
    whole = rows.set_column(rows.schema.get_field_index("preset"), "preset", rows["label"])
    truth = compared(comparison_table(stored(whole), group_by=["preset"], **options))
    random = np.random.Generator(np.random.Philox(13))
    made = stored(drawn(rows, N_PAIRED_DRAWS, N_DRAWN, random))
    shares = {}
    for line, differences in compared(comparison_table(made, group_by=["preset", "label"], **options)).items():
        true = truth[line][0].difference
        ends = [(one.low, one.high) for one in differences if one.low is not None and not one.same]
        if len(ends) >= N_PAIRED_DRAWS / 10:
            rounding = abs(true) / 2000
            shares[line] = sum(low - rounding <= true <= high + rounding for low, high in ends) / len(ends)
    assert len(shares) >= 80
    # 93 % and two standard errors.
    least = 0.93 - 2 * math.sqrt(0.93 * 0.07 / N_PAIRED_DRAWS)
    assert {line for line, share in shares.items() if share < least} <= RARE
    others = [share for line, share in shares.items() if line not in RARE]
    assert sum(others) / len(others) >= 0.95


@pytest.mark.parametrize("policy", ["v3", "v10", "dirty_10s"])
def test_policies_made_alike_are_called_different_no_more_often_than_stated(rows: pa.Table, policy: str) -> None:
    # One policy under three names, each on eight seeds of its own: alike, and with no luck in common.
    n_sweeps, names = 200, ["first", "second", "third"]
    of_policy = rows.filter(pc.equal(rows["policy"].cast(pa.string()), policy))
    start = {label: of_policy["label"].to_pylist().index(label) for label in ("cloud", "pods")}
    random = np.random.Generator(np.random.Philox(12))
    wrong = 0
    for label, begin in start.items():
        chosen = np.concatenate([random.permutation(N_SEEDS)[: 3 * N_DRAWN] for _ in range(n_sweeps)])
        table = of_policy.slice(begin, N_SEEDS).take(pa.array(chosen.tolist()))
        made = {
            "label": [f"{label} {sweep}" for sweep in range(n_sweeps) for _ in range(3 * N_DRAWN)],
            "policy": [name for _ in range(n_sweeps) for name in names for _ in range(N_DRAWN)],
            "seed": list(range(N_DRAWN)) * (3 * n_sweeps),
        }
        for name, values in made.items():
            table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
        quantities = ["coverage", "never", "core_s", "ipis_per_region"]
        compared = comparison_table(stored(table), baseline="first", quantities=quantities)
        assert len(compared.groups) == n_sweeps
        wrong += sum(any(one.verdict in ("better", "worse") for one in group.comparisons) for group in compared.groups)
    # 5 % of 400, and two standard errors.
    assert wrong <= 29
