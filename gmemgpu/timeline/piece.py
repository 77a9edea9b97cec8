"""Events cut at region borders: one piece for each region that an extent touches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Int32Array, Int64Array, Trace
from gmemgpu.units import PAGES_PER_REGION

__all__ = [
    "RegionPieces",
    "IdRegions",
    "Owners",
    "cut_at_regions",
    "id_regions",
    "state_pieces",
    "EVICT_BEGIN",
    "EVICT_END",
    "REGION_SHIFT",
]

EVICT_BEGIN = int(Kind.EVICT_BEGIN)
EVICT_END = int(Kind.EVICT_END)

REGION_SHIFT = PAGES_PER_REGION.bit_length() - 1
"""From a page to its region: NumPy divides integers some ten times slower than it shifts them."""
_CHANGES_PAGES = np.zeros(max(Kind) + 1, bool)
_CHANGES_PAGES[[Kind.ASSIGN, Kind.RELEASE, Kind.SHARE, Kind.USE, Kind.UNUSE]] = True


@dataclass(frozen=True, slots=True, eq=False)
class RegionPieces:
    """
    Parts of events, each within one region.

    Parameters
    ----------
    event : (n,) int64
        Row of the trace.
    region : (n,) int32
        Index of the region.
    lo, hi : (n,) int32
        Pages of the region, half open; 0, 0 for evictions.
    """

    event: Int64Array
    region: Int32Array
    lo: Int32Array
    hi: Int32Array

    def take(self, order: NDArray[np.intp]) -> RegionPieces:
        """
        Select or reorder rows.

        Parameters
        ----------
        order : (m,) intp
            Rows wanted.

        Returns
        -------
        RegionPieces
            Those rows, in that order.
        """
        return RegionPieces(self.event[order], self.region[order], self.lo[order], self.hi[order])


def cut_at_regions(trace: Trace, events: Int64Array) -> RegionPieces:
    """
    Cut the extents of some events at region borders; empty extents vanish.

    Parameters
    ----------
    trace : Trace
        A valid one.
    events : (m,) int64
        Rows of the trace that carry extents.

    Returns
    -------
    RegionPieces
        In the order of `events`, ascending region within one.
    """
    events = events[trace.npages[events] > 0]
    begin = trace.pfn[events]
    end = begin + trace.npages[events]
    first = begin >> REGION_SHIFT
    n_pieces = ((end - 1) >> REGION_SHIFT) - first + 1
    if (n_pieces == 1).all():
        # The common case on hosts with free memory in pieces: nothing to cut.
        base = first << REGION_SHIFT
        lo, hi = (begin - base).astype(np.int32), (end - base).astype(np.int32)
        return RegionPieces(events, first.astype(np.int32), lo, hi)
    owner = np.repeat(np.arange(len(events)), n_pieces)
    # Position within its own extent: a running index less the index at which the extent's pieces start.
    within = np.arange(len(owner)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    region = first[owner] + within
    base = region * PAGES_PER_REGION
    return RegionPieces(
        events[owner],
        region.astype(np.int32),
        np.maximum(begin[owner] - base, 0).astype(np.int32),
        np.minimum(end[owner] - base, PAGES_PER_REGION).astype(np.int32),
    )


@dataclass(frozen=True, slots=True, eq=False)
class IdRegions:
    """
    The regions in which each VM or inode ever had assigned pages, and since when.

    Parameters
    ----------
    ids : (n,) int64
        Ascending; the regions of one id ascend.
    region : (n,) int32
        Index of the region.
    since_ns : (n,) int64
        Time of the first `assign` of this id there.
    """

    ids: Int64Array
    region: Int32Array
    since_ns: Int64Array


def id_regions(trace: Trace, assigns: RegionPieces, ids: Int32Array) -> IdRegions:
    """
    Find where each id of `assign` events ever had pages of a guest_memfd.

    Parameters
    ----------
    trace : Trace
        A valid one.
    assigns : RegionPieces
        Parts of the trace's `assign` events, in time order.
    ids : (n events,) int32
        ``trace.vm`` or ``trace.inode``; -1 names none.

    Returns
    -------
    IdRegions
        By id, then region.
    """
    mine = ids[assigns.event].astype(np.int64)
    keep = (mine >= 0) & (trace.inode[assigns.event] >= 0)
    n_regions = trace.host.n_regions
    key, first = np.unique(mine[keep] * n_regions + assigns.region[keep], return_index=True)
    since = trace.t_ns[assigns.event[keep][first]]
    return IdRegions(key // n_regions, (key % n_regions).astype(np.int32), since)


class Owners:
    """
    Where ids of a trace ever had pages, each found on first use.

    Parameters
    ----------
    trace : Trace
        Cut at its horizon.
    by_inode, by_vm : IdRegions, optional
        What is known already.
    """

    def __init__(self, trace: Trace, by_inode: IdRegions | None = None, by_vm: IdRegions | None = None) -> None:
        self._trace, self._by_inode, self._by_vm = trace, by_inode, by_vm

    @cached_property
    def _assigns(self) -> RegionPieces:
        # Parts of the `assign` events, in time order.
        return cut_at_regions(self._trace, np.flatnonzero(self._trace.kind == Kind.ASSIGN))

    @cached_property
    def by_inode(self) -> IdRegions:
        """Where each inode ever had pages, and since when."""
        return self._by_inode or id_regions(self._trace, self._assigns, self._trace.inode)

    @cached_property
    def by_vm(self) -> IdRegions:
        """Where the guest_memfds of each VM ever had pages, and since when."""
        return self._by_vm or id_regions(self._trace, self._assigns, self._trace.vm)


def state_pieces(trace: Trace, by_inode: IdRegions) -> RegionPieces:
    """
    Collect everything that changes the state of a region.

    Parameters
    ----------
    trace : Trace
        Cut at its horizon.
    by_inode : IdRegions
        Regions of inodes: an eviction concerns those in which its inode ever had pages.

    Returns
    -------
    RegionPieces
        Grouped by region, each group in event order.
    """
    kind = trace.kind
    extents = cut_at_regions(trace, np.flatnonzero(_CHANGES_PAGES[kind]))
    events = np.flatnonzero(((kind == EVICT_BEGIN) | (kind == EVICT_END)) & (trace.inode >= 0))
    lo = np.searchsorted(by_inode.ids, trace.inode[events], "left")
    n_pieces = np.searchsorted(by_inode.ids, trace.inode[events], "right") - lo
    owner = np.repeat(np.arange(len(events)), n_pieces)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    none = np.zeros(len(owner), np.int32)
    event = np.concatenate([extents.event, events[owner]])
    region = np.concatenate([extents.region, by_inode.region[lo[owner] + within]])
    # Two ascending runs: a stable sort merges them, and a second one, of small integers, is a radix sort.
    order = np.argsort(event, kind="stable")
    small = region[order].astype(np.uint16 if trace.host.n_regions <= 1 << 16 else np.int32)
    pieces = RegionPieces(event, region, np.concatenate([extents.lo, none]), np.concatenate([extents.hi, none]))
    return pieces.take(order[np.argsort(small, kind="stable")])
