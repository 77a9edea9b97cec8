"""The metrics of one (trace, policy): names, units, meanings, and what holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Metric", "METRICS", "METRIC_NAMES", "MetricRow"]

MetricRow: TypeAlias = dict[str, Any]
"""One value a metric, keyed by `METRIC_NAMES`: a Python integer, or a list of them where `Metric.is_list` says so.

Any, since all but one of them are counted up and compared as plain integers."""


@dataclass(frozen=True, slots=True)
class Metric:
    """
    One result column (MODEL.md section 7).

    Parameters
    ----------
    name, unit, meaning : str
        The column's name, its unit, and a sentence about it.
    wide : bool
        Whether it can pass 2**63: a decimal(38, 0) in Arrow and Parquet, else int64.
    is_list : bool
        Whether it is a list of counts, int64 each; tables and CSV leave it out.
    """

    name: str
    unit: str
    meaning: str
    wide: bool = False
    is_list: bool = False


METRICS = (
    Metric("optimizable_ns", "region·ns", "time free, summed over all regions", wide=True),
    Metric("optimized_ns", "region·ns", "time with the RMPOPT bit set, summed over regions", wide=True),
    Metric("optimized_core_ns", "core·region·ns", "the same, each region times the cores that cover it", wide=True),
    Metric("in_use_ns", "page·ns", "HV-owned pages in use, integrated over time, all regions", wide=True),
    Metric(
        "in_use_optimized_core_ns",
        "core·page·ns",
        "the same while the bit is set, times the covering cores: the pages that profit",
        wide=True,
    ),
    Metric("episodes", "count", "free episodes of covered regions that a guest's going made"),
    Metric("reoptimized", "count", "episodes whose bit got set before they ended"),
    Metric("overtaken", "count", "episodes that ended before the horizon without"),
    Metric("never", "count", "episodes still free and not optimized at the horizon"),
    Metric("latency_p50_ns", "ns", "median time from free to the bit, over reoptimized; -1 if none"),
    Metric("latency_p90_ns", "ns", "90th percentile of the same, nearest rank"),
    Metric("latency_p99_ns", "ns", "99th percentile of the same, nearest rank"),
    Metric("latency_max_ns", "ns", "longest of the same"),
    Metric(
        "latency_histogram",
        "counts",
        "how many of the same fall into each bin, without trailing zeros; those of seeds add up",
        is_list=True,
    ),
    Metric("requests", "count", "hook firings"),
    Metric("requests_lost", "count", "requests that came while a pass ran and were dropped"),
    Metric("request_folios", "count", "folios that the requesting events cover"),
    Metric("requests_hazard", "count", "requests during SNP shutdown or after KVM was unloaded"),
    Metric("passes", "count", "passes that had a region to visit"),
    Metric("passes_empty", "count", "passes left with no region"),
    Metric("passes_skipped", "count", "passes not run because SNP was off"),
    Metric("passes_hazard", "count", "passes that ran in part during SNP shutdown"),
    Metric("attempts", "count", "region visits"),
    Metric("attempts_new", "count", "visits that set a bit"),
    Metric("attempts_cached", "count", "visits that found the bit set"),
    Metric("attempts_failed", "count", "visits that found the region busy"),
    Metric("attempts_wasted", "count", "visits whose region was assigned again before they were complete"),
    Metric("attempts_early", "count", "failed visits while a guest's pages there were still being converted"),
    Metric("rmpopts", "count", "RMPOPT instructions executed"),
    Metric("ipis", "count", "inter-processor interrupts"),
    Metric("scan_wall_ns", "ns", "pass lengths, summed"),
    Metric("pass_wall_max_ns", "ns", "longest pass; 0 if none"),
    Metric("leader_busy_ns", "ns", "CPU time of leaders"),
    Metric("follower_busy_ns", "ns", "CPU time of followers, summed over them"),
    Metric("rmp_bytes_read", "bytes", "RMP bytes that scanners read, 64 a block"),
    Metric("tracker_updates", "count", "folios that the policy's count of pages or bitmap would have to be told of"),
)
"""Every metric, in the order of the result columns."""

METRIC_NAMES = tuple(metric.name for metric in METRICS)
