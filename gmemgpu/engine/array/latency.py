"""Latencies of re-optimized episodes: percentiles and histograms (MODEL.md section 7)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from gmemgpu.engine.array.xp.namespace import Array, Namespace, begins
from gmemgpu.model.trace import Int64Array

__all__ = ["PERCENTILES", "latency_bins", "latencies", "histograms"]

_POWERS_OF_2 = 1 << np.arange(63)
PERCENTILES = (("latency_p50_ns", 50), ("latency_p90_ns", 90), ("latency_p99_ns", 99), ("latency_max_ns", 100))
"""Metrics of latencies, and the percent of each; nearest rank."""


def latency_bins(latency_ns: Any, xp: Any = np) -> Any:
    """Find the bin of the histogram that each latency falls into: bins are at most an eighth wide."""
    # Not by a logarithm: from 2**53 on a float can be the next power of two.
    exponent = xp.maximum(xp.searchsorted(xp.asarray(_POWERS_OF_2), latency_ns, "right") - 1, 3)
    return xp.where(latency_ns < 8, latency_ns, 8 * (exponent - 2) + (latency_ns >> (exponent - 3)) - 8)


def latencies(xp: Namespace, n_pairs: int, pair: Array, latency_ns: Array) -> tuple[dict[str, Array], Array, int]:
    """
    Sort the latencies of some pairs, and count them by bin.

    Parameters
    ----------
    xp : Namespace
    n_pairs : int
    pair, latency_ns : (n,) int64
        Of each episode.

    Returns
    -------
    percentiles : dict of str to (n_pairs,) int64
        By metric; -1 for pairs without any.
    counts : (n_pairs * n_bins,) int64
        Latencies by pair and bin.
    n_bins : int
    """
    if not len(pair):
        return {name: xp.full(n_pairs, -1, np.int64) for name, _ in PERCENTILES}, xp.zeros(n_pairs, np.int64), 1
    if n_pairs == 1:
        latency_ns = xp.sort(latency_ns)
    else:
        order = xp.stable_order(latency_ns)
        order = order[xp.stable_order(pair[order])]
        pair, latency_ns = pair[order], latency_ns[order]
    at = xp.edges(pair, n_pairs)
    n, begin = xp.diff(at), at[:-1]
    percents = xp.asarray(np.array([percent for _, percent in PERCENTILES]))[:, None]
    rank = xp.minimum(begin + xp.maximum((n * percents + 99) // 100, 1) - 1, len(pair) - 1)
    ranked = xp.where(n > 0, latency_ns[rank], -1)
    found = {name: ranked[i] for i, (name, _) in enumerate(PERCENTILES)}
    bins = latency_bins(latency_ns, xp)
    n_bins = int(bins.max()) + 1
    return found, xp.count_at(n_pairs * n_bins, pair * n_bins + bins), n_bins


def histograms(n_pairs: int, n_bins: int, filled: Int64Array, count: Int64Array) -> list[list[int]]:
    """List the counts by bin of each pair, without trailing zeros, from the places that are filled; on the host."""
    at = np.searchsorted(filled, n_bins * np.arange(n_pairs + 1))
    pair, own = divmod(filled, n_bins)
    sizes = np.zeros(n_pairs, np.int64)
    some = np.flatnonzero(np.diff(at))
    sizes[some] = own[at[1:][some] - 1] + 1
    begin = begins(sizes)
    bins = np.zeros(begin[-1], np.int64)
    bins[begin[pair] + own] = count
    flat = bins.tolist()
    return [flat[a:b] for a, b in pairwise(begin.tolist())]
