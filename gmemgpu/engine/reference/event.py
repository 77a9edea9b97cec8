"""Trace rows as plain Python values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Trace
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["Event", "events_of"]


class Event(NamedTuple):
    """
    One row of a trace (MODEL.md section 3).

    Parameters
    ----------
    t_ns : int
        Time of the event.
    kind : Kind
        What happens.
    pfn, npages : int
        First page and length of the extent; 0, 0 for events without one.
    vm, inode : int
        Identifiers; -1 names none.
    folio_pages : int
        Pages of each folio of the extent; 0 for events without one.
    """

    t_ns: int
    kind: Kind
    pfn: int
    npages: int
    vm: int
    inode: int
    folio_pages: int

    @property
    def regions(self) -> range:
        """Regions that the extent touches; none for an extent of no pages."""
        if self.npages == 0:
            return range(0)
        return range(self.pfn // PAGES_PER_REGION, (self.pfn + self.npages - 1) // PAGES_PER_REGION + 1)

    @property
    def n_folios(self) -> int:
        """Folios of the extent, the last perhaps in part; 0 for an extent of no pages (section 5, Hook)."""
        return -(-self.npages // self.folio_pages) if self.npages else 0


def events_of(trace: Trace) -> Iterator[Event]:
    """
    Iterate over the events in file order; those at or after the horizon do not exist (MODEL.md section 3).

    Parameters
    ----------
    trace : Trace
        A valid one.

    Yields
    ------
    Event
        One for each row before the horizon.
    """
    columns = (trace.t_ns, trace.kind, trace.pfn, trace.npages, trace.vm, trace.inode, trace.folio_pages)
    for t_ns, kind, pfn, npages, vm, inode, folio_pages in zip(*(column.tolist() for column in columns), strict=True):
        if t_ns < trace.horizon_ns:
            yield Event(t_ns, Kind(kind), pfn, npages, vm, inode, folio_pages)
