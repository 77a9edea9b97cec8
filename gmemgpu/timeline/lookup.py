"""Looking up step functions of many regions at many times."""

from __future__ import annotations

import numpy as np

from gmemgpu.model.trace import Int32Array, Int64Array

__all__ = ["last_row_at"]


def last_row_at(
    offset: Int64Array, times_ns: Int64Array, region: Int32Array | Int64Array, t_ns: Int64Array
) -> Int64Array:
    """
    Find the last row of a region that is at or before a time, for many pairs at once.

    Parameters
    ----------
    offset : (n_regions + 1,) int64
        Rows of region r are ``offset[r]:offset[r + 1]``; the first of each is at 0.
    times_ns : (n,) int64
        Ascending within a region.
    region, t_ns : (m,) int
        Where to look, and when.

    Returns
    -------
    (m,) int64
    """
    lo = offset[region]
    hi = offset[np.asarray(region) + 1] - 1
    while np.any(lo < hi):
        middle = (lo + hi + 1) >> 1
        later = times_ns[middle] > t_ns
        hi = np.where(later, middle - 1, hi)
        lo = np.where(later, lo, middle)
    return lo
