"""Exact sums and integrals whose values pass 63 bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.model.trace import Int32Array, Int64Array
from gmemgpu.timeline.build import Timeline, last_row_at

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

    def between(self, region: Int32Array, begin_ns: Int64Array, end_ns: Int64Array) -> tuple[Int64Array, Int64Array]:
        """
        Integrate U of some regions over some intervals.

        Parameters
        ----------
        region : (m,) int32
            Index of each region.
        begin_ns, end_ns : (m,) int64
            Half open interval of each.

        Returns
        -------
        high : (m,) int64
            Part in units of 2**20 page·ns.
        low : (m,) int64
            Part in page·ns; the integral is ``high * 2**20 + low``, exactly.
        """
        end_high, end_low = self._until(region, end_ns)
        begin_high, begin_low = self._until(region, begin_ns)
        return end_high - begin_high, end_low - begin_low

    def _until(self, region: Int32Array, t_ns: Int64Array) -> tuple[Int64Array, Int64Array]:
        row = last_row_at(self.offset, self.t_ns, region, t_ns)
        since = t_ns - self.t_ns[row]
        used = self.used[row]
        return self.high[row] + used * (since >> LIMB_BITS), self.low[row] + used * (since & _LIMB)

    def exact(self, high: Int64Array, low: Int64Array) -> int:
        """
        Sum integrals exactly.

        Parameters
        ----------
        high, low : (m,) int64
            As `between` returns them.

        Returns
        -------
        int
            In page·ns.
        """
        return (exact_sum(high) << LIMB_BITS) + exact_sum(low)


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
