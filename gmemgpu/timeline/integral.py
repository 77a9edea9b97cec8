"""Exact sums and integrals whose values pass 63 bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.build import Timeline

__all__ = ["LIMB_BITS", "exact_sum", "UsedIntegral", "used_integral"]

LIMB_BITS = 20
"""Integrals are kept in two parts: units of 2**20 page·ns, and page·ns."""
_LIMB = (1 << LIMB_BITS) - 1


def exact_sum(values: Int64Array) -> int:
    """
    Sum int64 values without overflow.

    Parameters
    ----------
    values : (n,) int64
        Fewer than 2**32 of them.

    Returns
    -------
    int
        The exact sum, of any size.
    """
    half = 31
    return (int((values >> half).sum()) << half) + int((values & ((1 << half) - 1)).sum())


@dataclass(frozen=True, slots=True, eq=False)
class UsedIntegral:
    """
    The running integral of U for every region.

    Parameters
    ----------
    offset : (n_regions + 1,) int64
        First row of each region, and the number of rows.
    t_ns : (n,) int64
        When U changes; the first row of each region is at 0.
    used : (n,) int64
        Pages in use that are HV-owned (U) from there on.
    high, low : (n,) int64
        The integral up to `t_ns` is ``high * 2**20 + low``. Both sums run on over all regions and may wrap;
        only differences within a region are taken, which fit: `low` grows by less than 2**38 a row, and
        `high` over a region by less than 2**(18 + 63 - 20).
    """

    offset: Int64Array
    t_ns: Int64Array
    used: Int64Array
    high: Int64Array
    low: Int64Array


def used_integral(timeline: Timeline) -> UsedIntegral | None:
    """
    Integrate U over time for every region of a timeline.

    Parameters
    ----------
    timeline : Timeline
        Step functions of all regions.

    Returns
    -------
    UsedIntegral or None
        None if no page is ever in use.
    """
    if not timeline.used.any():
        return None
    head = np.zeros(len(timeline.t_ns), bool)
    head[timeline.offset[:-1]] = True
    rows = np.flatnonzero(head | (np.diff(timeline.used, prepend=np.int32(0)) != 0))
    t_ns = timeline.t_ns[rows]
    used = timeline.used[rows].astype(np.int64)
    # The step from the last row of a region to the first of the next is negative and wraps; see `high`.
    step = np.diff(t_ns, prepend=t_ns[0])
    before = np.append(0, used[:-1])
    step[head[rows]] = 0
    return UsedIntegral(
        offset=np.searchsorted(rows, timeline.offset),
        t_ns=t_ns,
        used=used,
        high=np.cumsum(before * (step >> LIMB_BITS)),
        low=np.cumsum(before * (step & _LIMB)),
    )
