"""What a valid trace says that its author may not have meant."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gmemgpu.columns.message import list_rows
from gmemgpu.errors import Problem
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import BoolArray, Int64Array, Trace
from gmemgpu.trace.assigned import replay_assigned

__all__ = ["trace_doubts", "trace_warnings"]


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


def _again(trace: Trace) -> Iterator[tuple[int, str]]:
    # Rows that use an inode id anew, after its eviction or for another VM: of each id the first.
    kind, inode, vm = trace.kind, trace.inode, trace.vm

    def rows_of(*kinds: Kind) -> Int64Array:
        return np.flatnonzero(np.isin(kind, kinds) & (inode >= 0))

    def firsts(rows: Int64Array) -> Int64Array:
        return rows[np.unique(inode[rows], return_index=True)[1]]

    def of_same_inode(known: Int64Array, rows: Int64Array) -> Int64Array:
        # Of `known`, by ascending inode, the one with the inode of each row; the length of the trace if there is none.
        found = np.append(known, len(trace))
        ids = np.append(inode[known].astype(np.int64), -1)
        place = np.searchsorted(ids[:-1], inode[rows])
        return np.where(ids[place] == inode[rows], found[place], len(trace))

    evicted = firsts(rows_of(Kind.EVICT_END, Kind.INODE_FREE))
    later = rows_of(Kind.ASSIGN, Kind.EVICT_BEGIN)
    reused = firsts(later[later > of_same_inode(evicted, later)])
    for row, end in zip(reused.tolist(), of_same_inode(evicted, reused).tolist(), strict=True):
        yield row, f"inode {inode[row]} comes again, after its {Kind(int(kind[end])).text} in row {end + 1}"
    assigns = rows_of(Kind.ASSIGN)
    assigns = assigns[vm[assigns] >= 0]
    owner = firsts(assigns)
    moved = firsts(assigns[vm[of_same_inode(owner, assigns)] != vm[assigns]])
    for row, first in zip(moved.tolist(), of_same_inode(owner, moved).tolist(), strict=True):
        yield row, f"inode {inode[row]} is of VM {vm[row]} here, and of VM {vm[first]} in row {first + 1}"


def trace_doubts(trace: Trace, where: str = "trace") -> list[Problem]:
    """
    Return what is doubtful in a valid trace, as far as one look at its columns tells; no matter how long it is.

    Parameters
    ----------
    trace : Trace
        A valid one.
    where : str
        The file, for messages.

    Returns
    -------
    list of Problem
        Events past the horizon, inode ids that are used twice, folios that begin where none can or are not whole.
    """
    doubts: list[Problem] = []
    live = trace.before_horizon()
    late = len(trace) - len(live)
    if late:
        message = f"{late} of {len(trace)} events are at or after the horizon and do not count"
        doubts.append(Problem(f"{where}: rows from {len(live) + 1}", message))
    again = sorted(_again(live))
    list_rows(
        where,
        "inode",
        np.array([row + 1 for row, _ in again], np.int64),
        lambda i: f"{again[i][1]}; ids are unique in a trace",
        "an inode id is used twice",
        doubts,
    )
    folio_pages, pfn, npages = live.folio_pages, live.pfn, live.npages
    size = np.maximum(folio_pages, 1)
    # Other extents may be parts of a folio: what a page that leaked leaves of it.
    assigns = live.kind == Kind.ASSIGN
    misplaced = assigns & (pfn % size != 0)
    rows = np.flatnonzero(misplaced)
    list_rows(
        where,
        "pfn",
        rows + 1,
        lambda i: f"a folio of {folio_pages[rows[i]]} pages cannot begin at PFN {pfn[rows[i]]}",
        "a folio begins where none can",
        doubts,
    )
    cut = np.flatnonzero(assigns & ~misplaced & (npages % size != 0))
    list_rows(
        where,
        "npages",
        cut + 1,
        lambda i: f"assign of {npages[cut[i]]} pages, which are no whole folios of {folio_pages[cut[i]]}",
        "a folio is not whole",
        doubts,
    )
    return doubts


def trace_warnings(trace: Trace, where: str = "trace") -> list[Problem]:
    """
    Return all that is doubtful in a valid trace; engines evaluate it all the same.

    Parameters
    ----------
    trace : Trace
        A valid one.
    where : str
        The file, for messages.

    Returns
    -------
    list of Problem
        What `trace_doubts` returns, then, by a replay of the whole trace, assigns of assigned pages, releases and
        shares of unassigned ones (counted to the page), and ends of evictions that did not begin; or that there are no
        events at all.
    """
    if not len(trace):
        return [Problem(where, "has no events: every region is free from the start to the horizon")]
    warnings = trace_doubts(trace, where)
    live = trace.before_horizon()
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
