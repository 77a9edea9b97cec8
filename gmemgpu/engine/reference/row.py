"""Integrals, episodes and latencies: the metrics that the bits make (MODEL.md section 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gmemgpu.engine.reference.history import TraceHistory
from gmemgpu.engine.reference.region import Episode
from gmemgpu.model.metric import METRIC_NAMES, MetricRow

__all__ = ["metric_row", "SetTime"]

SetTime = Callable[[int, Episode], int | None]
"""Of a region and one of its free episodes: when the bit got set, None if never."""


# The p-th percentile by nearest rank: the smallest value that at least p % do not exceed; -1 of nothing.
def _nearest_rank(ordered: Sequence[int], percent: int) -> int:
    return ordered[-(-percent * len(ordered) // 100) - 1] if ordered else -1


# The bin of a latency: its own below 8 ns, then eight of equal width from each power of two to the next.
def _latency_bin(latency_ns: int) -> int:
    if latency_ns < 8:
        return latency_ns
    exponent = latency_ns.bit_length() - 1
    return 8 * (exponent - 2) + (latency_ns >> (exponent - 3)) - 8


# Of ascending latencies; the last bin is not empty.
def _histogram(ordered: Sequence[int]) -> list[int]:
    counts = [0] * (_latency_bin(ordered[-1]) + 1) if ordered else []
    for latency_ns in ordered:
        counts[_latency_bin(latency_ns)] += 1
    return counts


def metric_row(history: TraceHistory, set_time: SetTime, counts: MetricRow) -> MetricRow:
    """
    Compute the whole row of a policy.

    Parameters
    ----------
    history : TraceHistory
        Regions and their free episodes.
    set_time : SetTime
        When each bit got set.
    counts : MetricRow
        What requests and passes counted; what is not in it becomes 0.

    Returns
    -------
    MetricRow
        Exactly `METRIC_NAMES`, in that order.
    """
    row: MetricRow = {**dict.fromkeys(METRIC_NAMES, 0), **counts}
    warmup_ns, horizon_ns = history.warmup_ns, history.horizon_ns
    latencies_ns = []
    for region, of_region in enumerate(history.regions):
        if region in history.hole_regions:
            continue
        n_cores = history.covering_cores[region]
        row["in_use_ns"] += of_region.in_use_ns(warmup_ns, horizon_ns)
        for episode in of_region.episodes:
            # Free time is a host's, covered or not; integrals run over [warm-up, horizon).
            row["optimizable_ns"] += max(0, episode.end_ns - max(episode.start_ns, warmup_ns))
            set_ns = set_time(region, episode) if n_cores else None
            if set_ns is not None:
                # Only an assignment or SNP's end clears a bit, and both end the episode.
                from_ns = max(set_ns, warmup_ns)
                optimized_ns = max(0, episode.end_ns - from_ns)
                row["optimized_ns"] += optimized_ns
                row["optimized_core_ns"] += n_cores * optimized_ns
                row["in_use_optimized_core_ns"] += n_cores * of_region.in_use_ns(from_ns, episode.end_ns)
            if n_cores == 0 or episode.fresh or episode.start_ns < warmup_ns:
                continue
            row["episodes"] += 1
            if set_ns is not None:
                row["reoptimized"] += 1
                latencies_ns.append(set_ns - episode.start_ns)
            elif episode.end_ns < horizon_ns:
                row["overtaken"] += 1
            else:
                row["never"] += 1
    latencies_ns.sort()
    for percent in (50, 90, 99):
        row[f"latency_p{percent}_ns"] = _nearest_rank(latencies_ns, percent)
    row["latency_max_ns"] = latencies_ns[-1] if latencies_ns else -1
    row["latency_histogram"] = _histogram(latencies_ns)
    return row
