"""From bits and counts to the metrics of MODEL.md section 7."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.class_code import CodeCosts
from gmemgpu.engine.numpy.prepared import Prepared
from gmemgpu.engine.numpy.visit import Visits
from gmemgpu.model.metric import METRIC_NAMES, MetricRow
from gmemgpu.model.trace import Int32Array, Int64Array
from gmemgpu.timeline.integral import exact_sum

__all__ = ["empty_row", "add_bits", "add_latencies", "add_attempts", "oracle_row"]

_PERCENTILES = (("latency_p50_ns", 50), ("latency_p90_ns", 90), ("latency_p99_ns", 99), ("latency_max_ns", 100))


def empty_row(prepared: Prepared) -> MetricRow:
    """Return a row with what no policy alters, and zeros."""
    row = dict.fromkeys(METRIC_NAMES, 0)
    row |= prepared.constant_metrics
    for name, _ in _PERCENTILES:
        row[name] = -1
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
    Add the re-optimized episodes and their latencies.

    Parameters
    ----------
    row : MetricRow
    latency_ns : (n,) int64
        From the beginning of an episode to its bit.
    """
    n = len(latency_ns)
    row["reoptimized"] = n
    ordered = np.sort(latency_ns)
    for name, percent in _PERCENTILES:
        if n:
            row[name] = int(ordered[-(-n * percent // 100) - 1])  # nearest rank


def add_bits(row: MetricRow, prepared: Prepared, bits: list[int]) -> None:
    """
    Add what the set bits are worth.

    Parameters
    ----------
    row : MetricRow
    prepared : Prepared
    bits : list of int
        As `Visits` collects them.
    """
    region, begin, end, done = np.array(bits, np.int64).reshape(-1, 4).T
    _add_set_time(row, prepared, region.astype(np.int32), done, end)
    # An episode that begins with an epoch is fresh, whatever else happened at that instant.
    fresh = np.isin(begin, [epoch[0] for epoch in prepared.snp.epochs])
    counted = ~fresh & (begin >= prepared.warmup_ns)
    add_latencies(row, (done - begin)[counted])
    lasting = int((counted & (end >= prepared.horizon_ns)).sum())
    row["never"] = prepared.n_lasting - lasting
    row["overtaken"] = row["episodes"] - row["reoptimized"] - row["never"]


def add_attempts(row: MetricRow, visits: Visits, code_costs: CodeCosts) -> None:
    """
    Add the attempts by outcome and what they cost.

    Parameters
    ----------
    row : MetricRow
    visits : Visits
    code_costs : CodeCosts
    """
    row["attempts_new"] = visits.new
    row["attempts_cached"] = visits.cached
    row["attempts_failed"] = visits.failed
    row["attempts_wasted"] = visits.wasted
    row["attempts_early"] = visits.early
    counts = np.array(visits.codes, np.int64)
    seen = np.flatnonzero(counts)
    for name, table in code_costs.totals.items():
        # Python integers: counts times costs can pass 63 bits on their way.
        pairs = zip(counts[seen].tolist(), table[seen].tolist(), strict=True)
        row[name] = sum(count * each for count, each in pairs)


def oracle_row(prepared: Prepared) -> MetricRow:
    """Return the bound: every free episode of a covered region optimized from its first instant, for nothing."""
    row = empty_row(prepared)
    episodes = prepared.episodes
    covered = prepared.cores[episodes.region] > 0
    region, begin, end = episodes.region[covered], episodes.begin_ns[covered], episodes.end_ns[covered]
    _add_set_time(row, prepared, region, begin, end)
    add_latencies(row, np.zeros(row["episodes"], np.int64))
    return row
