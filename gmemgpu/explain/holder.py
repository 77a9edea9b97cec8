"""Whose pages are assigned in a region at a time."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from gmemgpu.explain.prepared import Prepared
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.piece import RegionPieces, cut_at_regions
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["Holder", "Holders"]


class Holder(NamedTuple):
    """
    Pages of one owner.

    Parameters
    ----------
    vm, inode : int
        Of the event that assigned them; -1 for none.
    n_pages : int
        Of the region.
    is_evicting : bool
        Whether the inode is being evicted: its pages are under conversion.
    """

    vm: int
    inode: int
    n_pages: int
    is_evicting: bool


class Holders:
    """
    Looks up owners in one trace, page by page.

    Parameters
    ----------
    prepared : Prepared
        The trace.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._trace = prepared.trace
        self._n_regions = len(prepared.cores)

    @cached_property
    def _pieces(self) -> tuple[RegionPieces, Int64Array]:
        kinds = (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE)
        pieces = cut_at_regions(self._trace, np.flatnonzero(np.isin(self._trace.kind, kinds)))
        order = np.argsort(pieces.region, kind="stable")
        return pieces.take(order), np.searchsorted(pieces.region[order], np.arange(self._n_regions + 1))

    def at(self, region: int, t_ns: int) -> list[Holder]:
        """
        Find the owners of a region's assigned pages.

        Parameters
        ----------
        region : int
            Its index.
        t_ns : int
            After every event at or before that time.

        Returns
        -------
        list of Holder
            The one with most pages first.
        """
        trace, (pieces, at) = self._trace, self._pieces
        # Each page holds the event that assigned it.
        by = np.full(PAGES_PER_REGION, -1)
        n = int(np.searchsorted(trace.t_ns, t_ns, "right"))
        for i in range(at[region], at[region + 1]):
            event = pieces.event[i]
            if event >= n:
                break
            by[pieces.lo[i] : pieces.hi[i]] = event if trace.kind[event] == Kind.ASSIGN else -1
        events, counts = np.unique(by[by >= 0], return_counts=True)
        pages: dict[tuple[int, int], int] = {}
        for event, count in zip(events.tolist(), counts.tolist(), strict=True):
            owner = int(trace.vm[event]), int(trace.inode[event])
            pages[owner] = pages.get(owner, 0) + count
        found = [Holder(vm, inode, m, self._is_evicting(inode, n)) for (vm, inode), m in pages.items()]
        return sorted(found, key=lambda holder: (-holder.n_pages, holder.vm, holder.inode))

    def _is_evicting(self, inode: int, n_events: int) -> bool:
        if inode < 0:
            return False
        kind, of = self._trace.kind[:n_events], self._trace.inode[:n_events]
        last = np.flatnonzero((of == inode) & ((kind == Kind.EVICT_BEGIN) | (kind == Kind.EVICT_END)))
        return len(last) > 0 and bool(kind[last[-1]] == Kind.EVICT_BEGIN)

    def of_span(self, region: int, begin_ns: int, end_ns: int) -> list[int]:
        """
        Find the VMs that held pages of a region for some of a time.

        Parameters
        ----------
        region : int
            Its index.
        begin_ns, end_ns : int
            Half open.

        Returns
        -------
        list of int
            Ids, ascending; -1 for pages of no VM.
        """
        trace, (pieces, at) = self._trace, self._pieces
        event = pieces.event[at[region] : at[region + 1]]
        came = (trace.t_ns[event] > begin_ns) & (trace.t_ns[event] < end_ns) & (trace.kind[event] == Kind.ASSIGN)
        return sorted({*(holder.vm for holder in self.at(region, begin_ns)), *trace.vm[event[came]].tolist()})
