"""Sums over all changes that lie before a point in two orders at once."""

from __future__ import annotations

from gmemgpu.engine.array.xp.namespace import Array, Namespace

__all__ = ["dominance_sums"]

_CELLS_A_POINT = 1
"""Measured: a table half or twice as large is no slower, one eight times as large is."""


def dominance_sums(
    xp: Namespace,
    place: Array,
    height: Array,
    weight: Array,
    query_place: Array,
    query_height: Array,
    n_places: int,
    n_bits: int,
) -> Array:
    """
    Sum the weights at places up to, and heights below, those of each query.

    Parameters
    ----------
    xp : Namespace
    place, height, weight : (n,) int64
        Points; places and heights from 0 on.
    query_place, query_height : (m,) int64
    n_places : int
        At least 1.
    n_bits : int
        Of the largest height.

    Returns
    -------
    (m,) int64

    Notes
    -----
    Heights are parted into blocks, as many as make a table of places and blocks no larger than the points; sums over
    whole blocks come from it. Within a block a wavelet matrix goes on: points, sorted by place, are parted by one bit
    of the height after the other, highest first. At each bit a query's range is known in both parts, and where its own
    bit is 1 all points of the range whose bit is 0 lie below it.
    """
    n = len(place)
    low_bits = n_bits
    while low_bits and (n_places << (n_bits - low_bits + 1)) <= _CELLS_A_POINT * n:
        low_bits -= 1
    n_blocks = 1 << (n_bits - low_bits)
    cell = place * n_blocks + (height >> low_bits)
    size = n_places * n_blocks
    sums = xp.sums_along(xp.sum_at(size, cell, weight).reshape(n_places, n_blocks), 0)
    sums = xp.sums_along(sums, 1) - sums
    block = query_height >> low_bits
    query_cell = query_place * n_blocks + block
    found = sums.ravel()[query_cell]
    if not low_bits:
        return found

    counts = xp.sums_along(xp.count_at(size, cell).reshape(n_places, n_blocks), 0)
    begin = xp.sums(counts[-1])[block]
    stop = begin + counts.ravel()[query_cell]
    del sums, counts, cell
    order = xp.stable_order((height >> low_bits) * n_places + place)
    height, weight = height[order], weight[order]
    del place, order
    for bit in range(low_bits - 1, -1, -1):
        low = (height >> bit) & 1 == 0
        below, lower = xp.sums(low), xp.sums(weight * low)
        own = (query_height >> bit) & 1 == 1
        found += xp.where(own, lower[stop] - lower[begin], 0)
        if bit:
            lo, hi = below[begin], below[stop]
            begin = xp.where(own, below[-1] + begin - lo, lo)
            stop = xp.where(own, below[-1] + stop - hi, hi)
            parted = xp.concatenate([xp.flatnonzero(low), xp.flatnonzero(~low)])
            height, weight = height[parted], weight[parted]
    return found
