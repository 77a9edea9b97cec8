"""Sums over all changes that lie before a point in two orders at once."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.array.xp import Array, stable_order

__all__ = ["dominance_sums"]


def dominance_sums(
    place: Array, height: Array, weight: Array, query_place: Array, query_height: Array, n_bits: int
) -> Array:
    """
    Sum the weights at places up to, and heights below, those of each query.

    Parameters
    ----------
    place, height, weight : (n,) int64
        Points; places and heights from 0 on.
    query_place, query_height : (m,) int64
    n_bits : int
        Of the largest height.

    Returns
    -------
    (m,) int64

    Notes
    -----
    A wavelet matrix: sorted by place, the points are parted by one bit of the height after the other, highest first.
    At each bit a query's range is known in both parts, and where its own bit is 1 all points of the range whose bit
    is 0 lie below it.
    """
    order = stable_order(place)
    height, weight = height[order], weight[order]
    stop = np.searchsorted(place[order], query_place, "right")
    begin = np.zeros_like(stop)
    found = np.zeros(len(query_place), np.int64)
    n = len(height)
    below, sums = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    for bit in range(n_bits - 1, -1, -1):
        low = (height >> bit) & 1 == 0
        np.cumsum(low, out=below[1:])
        np.cumsum(weight * low, out=sums[1:])
        own = (query_height >> bit) & 1 == 1
        found += np.where(own, sums[stop] - sums[begin], 0)
        lo, hi = below[begin], below[stop]
        begin = np.where(own, below[-1] + begin - lo, lo)
        stop = np.where(own, below[-1] + stop - hi, hi)
        if bit:
            height, weight = (np.concatenate([column[low], column[~low]]) for column in (height, weight))
    return found
