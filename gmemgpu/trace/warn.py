"""What a valid trace says that its author may not have meant."""

from __future__ import annotations

import numpy as np

from gmemgpu.columns.message import list_rows
from gmemgpu.errors import Problem
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import BoolArray, Trace
from gmemgpu.trace.assigned import replay_assigned

__all__ = ["trace_warnings"]


def _ends_without_begin(trace: Trace) -> BoolArray:
    broken = np.zeros(len(trace), bool)
    rows = np.flatnonzero(np.isin(trace.kind, (Kind.EVICT_BEGIN, Kind.EVICT_END)) & (trace.inode >= 0))
    begun: set[int] = set()
    for row, kind, inode in zip(rows.tolist(), trace.kind[rows].tolist(), trace.inode[rows].tolist(), strict=True):
        if kind == Kind.EVICT_BEGIN:
            begun.add(inode)
        elif inode in begun:
            begun.remove(inode)
        else:
            broken[row] = True
    return broken


def trace_warnings(trace: Trace, where: str = "trace") -> list[Problem]:
    """
    Return what is doubtful in a valid trace; engines evaluate it all the same.

    Parameters
    ----------
    trace : Trace
        A valid one.
    where : str
        The file, for messages.

    Returns
    -------
    list of Problem
        Folios that begin where none can, assigns of assigned pages, releases and shares of unassigned ones (counted to
        the page), ends of evictions that did not begin, events past the horizon, and a trace without events.
    """
    if not len(trace):
        return [Problem(where, "has no events: every region is free from the start to the horizon")]
    warnings: list[Problem] = []
    live = trace.before_horizon()
    late = len(trace) - len(live)
    if late:
        message = f"{late} of {len(trace)} events are at or after the horizon and do not count"
        warnings.append(Problem(f"{where}: rows from {len(live) + 1}", message))
    changed = np.abs(replay_assigned(live).pages)
    npages, idle = live.npages, live.npages - changed

    def doubt(kind: Kind, state: str) -> None:
        rows = np.flatnonzero((live.kind == kind) & (idle > 0))
        if not len(rows):
            return
        total = f"{int(idle[rows].sum())} pages in {len(rows)} row{'s' if len(rows) > 1 else ''}"
        warnings.append(Problem(where, f"{kind.text} of pages that are {state}: {total}"))
        list_rows(
            where,
            "npages",
            rows + 1,
            lambda i: f"{kind.text} of {npages[rows[i]]} pages of which {idle[rows[i]]} are {state}",
            f"{kind.text} meets pages that are {state}",
            warnings,
        )

    folio_pages, pfn = live.folio_pages, live.pfn
    # Other extents may be parts of a folio: what a page that leaked leaves of it.
    rows = np.flatnonzero((live.kind == Kind.ASSIGN) & (pfn % np.maximum(folio_pages, 1) != 0))
    list_rows(
        where,
        "pfn",
        rows + 1,
        lambda i: f"a folio of {folio_pages[rows[i]]} pages cannot begin at PFN {pfn[rows[i]]}",
        "a folio begins where none can",
        warnings,
    )
    doubt(Kind.ASSIGN, "assigned already")
    doubt(Kind.RELEASE, "not assigned")
    doubt(Kind.SHARE, "not assigned")
    rows = np.flatnonzero(_ends_without_begin(live))
    list_rows(
        where,
        "inode",
        rows + 1,
        lambda i: f"evict_end of inode {live.inode[rows[i]]}, whose eviction did not begin",
        "an eviction ends that did not begin",
        warnings,
    )
    return warnings
