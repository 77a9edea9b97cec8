"""From what the device counted to the metrics of MODEL.md section 7, in Python's integers."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.engine.class_code import CACHED, CLEAN, N_CODES
from gmemgpu.engine.cupy.defines import GroupField, OutField, TotalField
from gmemgpu.engine.cupy.pairs import PairRun
from gmemgpu.model.metric import METRIC_NAMES, MetricRow
from gmemgpu.model.trace import Int64Array

__all__ = ["metric_row", "oracle_row"]

_TIME_BITS = 31
_LIMB_BITS = 20
_OUT = {
    "requests": OutField.REQUESTS,
    "requests_lost": OutField.REQUESTS_LOST,
    "requests_hazard": OutField.REQUESTS_HAZARD,
    "passes": OutField.PASSES,
    "passes_empty": OutField.PASSES_EMPTY,
    "passes_skipped": OutField.PASSES_SKIPPED,
    "passes_hazard": OutField.PASSES_HAZARD,
    "scan_wall_ns": OutField.SCAN_WALL_NS,
    "pass_wall_max_ns": OutField.PASS_WALL_MAX_NS,
    "attempts_new": OutField.NEW,
    "attempts_cached": OutField.CACHED,
    "attempts_failed": OutField.FAILED,
    "attempts_wasted": OutField.WASTED,
    "attempts_early": OutField.EARLY,
    "reoptimized": OutField.LATENCIES,
    "latency_p50_ns": OutField.P50_NS,
    "latency_p90_ns": OutField.P90_NS,
    "latency_p99_ns": OutField.P99_NS,
    "latency_max_ns": OutField.MAX_NS,
}
"""Metrics that come as they are."""


def _time(row: Sequence[int], high: int) -> int:
    return (row[high] << _TIME_BITS) + row[high + 1]


def _page_time(row: Sequence[int], high: int) -> int:
    return (((row[high] << _TIME_BITS) + row[high + 1]) << _LIMB_BITS) + row[high + 2]


def _constant(totals: Int64Array) -> MetricRow:
    row = dict.fromkeys(METRIC_NAMES, 0)
    for group in totals.tolist():
        row["optimizable_ns"] += _time(group, TotalField.FREE_HIGH)
        row["in_use_ns"] += _page_time(group, TotalField.USED_HIGH)
        row["episodes"] += group[TotalField.EPISODES]
    return row


def metric_row(run: PairRun, totals: Int64Array, core_counts: Sequence[int]) -> MetricRow:
    """
    Compute the row of one pair.

    Parameters
    ----------
    run : PairRun
    totals : (n_groups, len(TotalField)) int64
        Of the trace.
    core_counts : sequence of int
        Cores that cover the regions of each group.
    """
    row = _constant(totals)
    out = run.out.tolist()
    for name, field in _OUT.items():
        row[name] = out[field]
    row["request_folios"] = run.n_folios
    row["never"] = int(totals[:, TotalField.LASTING].sum()) - out[OutField.LASTING]
    row["overtaken"] = row["episodes"] - row["reoptimized"] - row["never"]
    for index, (group, cores) in enumerate(zip(run.groups.tolist(), core_counts, strict=True)):
        set_ns = _time(group, GroupField.SET_HIGH)
        row["optimized_ns"] += set_ns
        row["optimized_core_ns"] += cores * set_ns
        row["in_use_optimized_core_ns"] += cores * _page_time(group, GroupField.USED_HIGH)
        # Costs of failed attempts are linear in the blocks looked at, so that two sums say all.
        first = index * N_CODES
        for name, table in run.code_costs.totals.items():
            clean, cached = int(table[first + CLEAN]), int(table[first + CACHED])
            block = int(table[first + 1]) - int(table[first])
            row[name] += (
                group[GroupField.FAIL] * (int(table[first]) - block)
                + group[GroupField.BLOCKS] * block
                + group[GroupField.CLEAN] * clean
                + group[GroupField.CACHED] * cached
            )
    return row


def oracle_row(totals: Int64Array, core_counts: Sequence[int]) -> MetricRow:
    """
    Compute the row of the bound: every free episode of a covered region optimized from its first instant, for nothing.

    Parameters
    ----------
    totals, core_counts
        As for `metric_row`.
    """
    row = _constant(totals)
    for group, cores in zip(totals.tolist(), core_counts, strict=True):
        if not cores:
            continue
        set_ns = _time(group, TotalField.FREE_HIGH)
        row["optimized_ns"] += set_ns
        row["optimized_core_ns"] += cores * set_ns
        row["in_use_optimized_core_ns"] += cores * _page_time(group, TotalField.FREE_USED_HIGH)
    row["reoptimized"] = row["episodes"]
    for name in ("latency_p50_ns", "latency_p90_ns", "latency_p99_ns", "latency_max_ns"):
        row[name] = 0 if row["episodes"] else -1
    return row
