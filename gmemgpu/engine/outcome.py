"""From bits and counts to the metrics of MODEL.md section 7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gmemgpu.engine.class_code import CodeCosts
from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.metric import METRIC_NAMES, MetricRow
from gmemgpu.model.trace import Int32Array, Int64Array
from gmemgpu.timeline.integral import exact_sum

__all__ = [
    "PERCENTILES",
    "AttemptCounts",
    "empty_row",
    "latency_bins",
    "add_episodes",
    "add_latencies",
    "add_attempts",
    "oracle_row",
]

_POWERS_OF_2 = 1 << np.arange(63)
PERCENTILES = (("latency_p50_ns", 50), ("latency_p90_ns", 90), ("latency_p99_ns", 99), ("latency_max_ns", 100))
"""Metrics of latencies, and the percent of each; nearest rank."""


@dataclass(frozen=True, slots=True, eq=False)
class AttemptCounts:
    """
    Attempts of counted passes.

    Parameters
    ----------
    new, cached, failed, wasted : int
        By outcome (MODEL.md section 4).
    early : int
        Those among the failed that met pages in conversion.
    codes : (n_groups * N_CODES,) int64
        By class code, as `CodeCosts` numbers them.
    """

    new: int
    cached: int
    failed: int
    wasted: int
    early: int
    codes: Int64Array


def empty_row(prepared: Prepared) -> MetricRow:
    """
    Return a row with what no policy alters, and zeros.

    Parameters
    ----------
    prepared : Prepared
        The trace.

    Returns
    -------
    MetricRow
        Every metric, in column order.
    """
    row: MetricRow = dict.fromkeys(METRIC_NAMES, 0)
    row |= prepared.constant_metrics
    for name, _ in PERCENTILES:
        row[name] = -1
    row["latency_histogram"] = []
    return row


def _add_set_time(row: MetricRow, prepared: Prepared, region: Int32Array, begin: Int64Array, end: Int64Array) -> None:
    # The time from `begin` to `end`, cut to what is counted, with the bit of `region` set.
    begin = np.maximum(begin, prepared.warmup_ns)
    end = np.minimum(end, prepared.horizon_ns)
    kept = begin < end
    region, begin, end = region[kept], begin[kept], end[kept]
    cores = prepared.cores[region]
    used = None if prepared.used is None else prepared.used.between(region, begin, end)
    for count in prepared.core_counts:
        mine = cores == count
        set_ns = exact_sum(end[mine] - begin[mine])
        row["optimized_ns"] += set_ns
        row["optimized_core_ns"] += count * set_ns
        if prepared.used is not None and used is not None:
            row["in_use_optimized_core_ns"] += count * prepared.used.exact(used[0][mine], used[1][mine])


def add_latencies(row: MetricRow, latency_ns: Int64Array) -> None:
    """
    Add the re-optimized episodes, their latencies and the bins that those fall into.

    Parameters
    ----------
    row : MetricRow
        Receives them.
    latency_ns : (n,) int64
        From the beginning of an episode to its bit.
    """
    n = len(latency_ns)
    row["reoptimized"] = n
    ordered = np.sort(latency_ns)
    for name, percent in PERCENTILES:
        if n:
            row[name] = int(ordered[-(-n * percent // 100) - 1])  # nearest rank
    row["latency_histogram"] = np.bincount(latency_bins(ordered)).tolist()


def latency_bins(latency_ns: Any, xp: Any = np) -> Any:
    """
    Find the bin of the histogram that each latency falls into.

    Parameters
    ----------
    latency_ns : (n,) int64
        From 0 on.
    xp : module or Namespace
        What the array is of.

    Returns
    -------
    (n,) int64
        MODEL.md section 7: bins are at most an eighth wide.
    """
    # Not by a logarithm: from 2**53 on a float can be the next power of two.
    exponent = xp.maximum(xp.searchsorted(xp.asarray(_POWERS_OF_2), latency_ns, "right") - 1, 3)
    return xp.where(latency_ns < 8, latency_ns, 8 * (exponent - 2) + (latency_ns >> (exponent - 3)) - 8)


def add_episodes(row: MetricRow, prepared: Prepared, begin: Int64Array, end: Int64Array, done: Int64Array) -> None:
    """
    Add what became of the free episodes.

    Parameters
    ----------
    row : MetricRow
        Receives it.
    prepared : Prepared
        The trace.
    begin, end : (n,) int64
        Those in which a bit was set.
    done : (n,) int64
        When it was set.
    """
    # An episode that begins with an epoch is fresh, whatever else happened at that instant.
    fresh = np.isin(begin, [epoch[0] for epoch in prepared.snp.epochs])
    counted = ~fresh & (begin >= prepared.warmup_ns)
    add_latencies(row, (done - begin)[counted])
    lasting = int((counted & (end >= prepared.horizon_ns)).sum())
    row["never"] = prepared.n_lasting - lasting
    row["overtaken"] = row["episodes"] - row["reoptimized"] - row["never"]


def add_attempts(row: MetricRow, counts: AttemptCounts, code_costs: CodeCosts) -> None:
    """
    Add the attempts by outcome and what they cost.

    Parameters
    ----------
    row : MetricRow
        Receives them.
    counts : AttemptCounts
        What was attempted.
    code_costs : CodeCosts
        What each attempt costs.
    """
    row["attempts_new"] = counts.new
    row["attempts_cached"] = counts.cached
    row["attempts_failed"] = counts.failed
    row["attempts_wasted"] = counts.wasted
    row["attempts_early"] = counts.early
    seen = np.flatnonzero(counts.codes)
    for name, table in code_costs.totals.items():
        # Python integers: counts times costs can pass 63 bits on their way.
        pairs = zip(counts.codes[seen].tolist(), table[seen].tolist(), strict=True)
        row[name] = sum(count * each for count, each in pairs)


def oracle_row(prepared: Prepared) -> MetricRow:
    """
    Return the bound: every free episode of a covered region optimized from its first instant, for nothing.

    Parameters
    ----------
    prepared : Prepared
        The trace.

    Returns
    -------
    MetricRow
        Of the oracle.
    """
    row = empty_row(prepared)
    episodes = prepared.episodes
    covered = prepared.cores[episodes.region] > 0
    region, begin, end = episodes.region[covered], episodes.begin_ns[covered], episodes.end_ns[covered]
    _add_set_time(row, prepared, region, begin, end)
    add_latencies(row, np.zeros(row["episodes"], np.int64))
    return row
