"""Sums over all changes that lie before a point in two orders at once."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.array.xp.namespace import Array, Namespace

__all__ = ["dominance_sums", "span_points"]

_CELLS_A_POINT = 1
"""Measured: a table half or twice as large is no slower, one eight times as large is."""

_LEAST_TILE_BITS = 6
"""A warp of a device looks at a tile of points: two loads a lane are soon done."""
_WARP = 32


def span_points(
    xp: Namespace,
    spans: tuple[Array, Array, Array, Array],
    table_row: Array,
    position: Array,
    place: Array,
) -> tuple[tuple[Array, Array, Array], int]:
    """
    Compute the ends of spans of passes, as points whose weights sum up to what spans take.

    Parameters
    ----------
    xp : Namespace
    spans : (low, high, of, length_ns), each (n,) int64
        Passes ``low:high`` of each span, its row, and how long each of its attempts takes.
    table_row : (n_rows,) int64
    position : (n_table_rows,) int64
        Index of the region.
    place : (n_passes + 1,) int64
        How many passes that are asked for come before each.

    Returns
    -------
    points : (place, height, weight), each (m,) int64
    n_places : int
        A device knows no better than the number of passes, and leaves points at the last place that none of those asked
        for looks at.
    """
    low, high, of, length_ns = spans
    n, n_passes = len(low), len(place) - 1
    if xp.fuses:
        points = xp.empty(2 * n, np.int64), xp.empty(2 * n, np.int64), xp.empty(2 * n, np.int64)
        xp.fused("span_points", n, *spans, table_row, position, place, *points, n_passes)
        return points, n_passes + 1
    n_places = int(place[-1])
    low, high = place[low], place[high]
    kept = xp.flatnonzero(low < high)
    ended = kept[high[kept] < n_places]
    both = xp.concatenate([kept, ended])
    weight = xp.concatenate([length_ns[kept], -length_ns[ended]])
    return (xp.concatenate([low[kept], high[ended]]), position[table_row[of[both]]], weight), n_places


def dominance_sums(
    xp: Namespace,
    place: Array,
    height: Array,
    weight: Array,
    query_place: Array,
    query_height: Array,
    n_places: int,
    n_heights: int,
) -> Array:
    """
    Sum the weights at places up to, and heights below, those of each query.

    Parameters
    ----------
    xp : Namespace
    place, height, weight : (n,) int64
        Points; places and heights from 0 on.
    query_place, query_height : (m,) int64
    n_places, n_heights : int
        At least 1.

    Returns
    -------
    (m,) int64

    Notes
    -----
    Heights are parted into blocks, as many as make a table of places and blocks no larger than the points; sums over
    whole blocks come from it. Within a block a wavelet matrix goes on: points, sorted by place, are parted by one bit
    of the height after the other, highest first. At each bit a query's range is known in both parts, and where its own
    bit is 1 all points of the range whose bit is 0 lie below it.

    On a device points sorted by place are parted into tiles of about as many as there are heights: sums over whole
    tiles come from a table of tiles and heights, and of the tile in which a query ends a warp looks at the points.
    """
    if xp.fuses:
        return _fused(xp, place, height, weight, query_place, query_height, n_heights)
    n, n_bits = len(place), max(1, (n_heights - 1).bit_length())
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


def _fused(
    xp: Namespace,
    place: Array,
    height: Array,
    weight: Array,
    query_place: Array,
    query_height: Array,
    n_heights: int,
) -> Array:
    n, m = len(place), len(query_place)
    # So that the table has about two elements a point at the most.
    tile_bits = max(_LEAST_TILE_BITS, (n_heights - 1).bit_length() - 1)
    n_tiles = (n >> tile_bits) + 1
    ordered = xp.empty(n, np.int64), xp.empty(n, np.int32), xp.empty(n, np.int64)
    table = xp.zeros(n_heights * n_tiles if n_tiles > 1 else 0, np.int64)
    xp.fused("dominance_tiles", n, xp.stable_order(place), place, height, weight, *ordered, table, n_tiles, tile_bits)
    if n_tiles > 1:
        running = xp.cumsum(table)
        xp.fused("dominance_table", len(table), running, table, n_heights)
        table = xp.cumsum(table)
    found = xp.empty(m, np.int64)
    numbers = n, n_heights, tile_bits
    xp.fused("dominance_sums", _WARP * m, *ordered, table, query_place, query_height, found, *numbers)
    return found
