"""Which pages are assigned, event by event: intervals, region by region, exact to the page."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Int64Array, Trace
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["AssignedReplay", "replay_assigned"]


@dataclass(frozen=True, slots=True)
class AssignedReplay:
    """
    What every event of a trace did to the assigned pages.

    Parameters
    ----------
    pages : (n,) int64
        Pages that it assigned that were not (positive), or that it cleared (negative).
    regions : (n,) int64
        Regions that it made busy (positive) or free (negative).
    """

    pages: Int64Array
    regions: Int64Array


class _Region:
    """The assigned pages of one region: disjoint intervals that do not touch, ascending."""

    __slots__ = ("ends", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []

    def _overlap(self, i: int, j: int, low: int, high: int) -> int:
        """Count the pages of [low, high) in intervals i to j - 1, which it touches."""
        starts, ends = self.starts, self.ends
        if j - i == 1:
            return min(ends[i], high) - max(starts[i], low)
        return sum(ends[i:j]) - sum(starts[i:j]) - max(low - starts[i], 0) - max(ends[j - 1] - high, 0)

    def assign(self, low: int, high: int) -> int:
        starts, ends = self.starts, self.ends
        i = bisect_left(ends, low)
        j = bisect_right(starts, high, i)
        if i == j:
            starts.insert(i, low)
            ends.insert(i, high)
            return high - low
        held = self._overlap(i, j, low, high)
        starts[i:j] = [min(starts[i], low)]
        ends[i:j] = [max(ends[j - 1], high)]
        return high - low - held

    def clear(self, low: int, high: int) -> int:
        starts, ends = self.starts, self.ends
        i = bisect_right(ends, low)
        j = bisect_left(starts, high, i)
        if i == j:
            return 0
        held = self._overlap(i, j, low, high)
        first, last = starts[i], ends[j - 1]
        starts[i:j] = ([first] if first < low else []) + ([high] if last > high else [])
        ends[i:j] = ([low] if first < low else []) + ([last] if last > high else [])
        return held


def replay_assigned(trace: Trace) -> AssignedReplay:
    """
    Compute what `assign`, `release` and `share` do to the assigned pages.

    Parameters
    ----------
    trace : Trace
        A valid one.

    Returns
    -------
    AssignedReplay
        One value an event.

    Notes
    -----
    Intervals and not a bitmap: a page array of a 3 TiB host would be touched again for every extent. Lists are kept
    by region, since one list would be moved in memory for every page that lies alone.
    """
    host: defaultdict[int, _Region] = defaultdict(_Region)
    pages = np.zeros(len(trace), np.int64)
    regions = np.zeros(len(trace), np.int64)
    rows = np.flatnonzero(np.isin(trace.kind, (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE)) & (trace.npages > 0))
    extents = zip(
        rows.tolist(),
        (trace.kind[rows] == Kind.ASSIGN).tolist(),
        trace.pfn[rows].tolist(),
        (trace.pfn[rows] + trace.npages[rows]).tolist(),
        strict=True,
    )
    for row, assigns, low, end in extents:
        changed = turned = 0
        while low < end:
            index = low // PAGES_PER_REGION
            high = min(end, (index + 1) * PAGES_PER_REGION)
            region = host[index]
            was_busy = bool(region.starts)
            changed += region.assign(low, high) if assigns else -region.clear(low, high)
            turned += bool(region.starts) - was_busy
            low = high
        pages[row] = changed
        regions[row] = turned
    return AssignedReplay(pages, regions)
