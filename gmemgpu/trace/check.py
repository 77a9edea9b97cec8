"""Whether a trace may be trusted: every broken rule at once, with the numbers of the rows that break it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmemgpu.columns.message import list_rows
from gmemgpu.errors import Problem, SpecError, TraceError
from gmemgpu.model.event import EXTENT_KINDS, FOLIO_PAGES, Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import COLUMNS, BoolArray, Int64Array, Trace
from gmemgpu.trace.header import header_of

__all__ = ["COLUMN_DTYPES", "check_trace", "row_problems", "trace_problems"]

COLUMN_DTYPES: dict[str, type[np.signedinteger[Any]]] = {
    "t_ns": np.int64,
    "kind": np.int8,
    "pfn": np.int64,
    "npages": np.int64,
    "vm": np.int32,
    "inode": np.int32,
    "folio_pages": np.int32,
}
"""Types of a trace's columns in memory."""

_HAS_EXTENT = np.array([kind in EXTENT_KINDS for kind in Kind])


def _column_problems(trace: Trace, where: str) -> list[Problem]:
    problems = []
    for name in COLUMNS:
        column = getattr(trace, name)
        dtype = COLUMN_DTYPES[name]
        if not isinstance(column, np.ndarray) or column.dtype != dtype or column.shape != (len(trace),):
            shape, found = np.shape(column), getattr(column, "dtype", type(column).__name__)
            problems.append(
                Problem(
                    f"{where}: column {name}", f"is {found} of shape {shape}, not {np.dtype(dtype)} of ({len(trace)},)"
                )
            )
    return problems


def row_problems(
    columns: Mapping[str, NDArray[Any]],
    where: str,
    *,
    host: Host | None,
    horizon_ns: int | None,
    row_numbers: Int64Array | None = None,
) -> list[Problem]:
    """
    Return the rows that break a rule of MODEL.md section 3.

    Parameters
    ----------
    columns : mapping of str to (n,) array of int
        Every column of a trace; kinds as codes.
    where : str
        The file, for messages.
    host : Host or None
        None leaves unchecked where memory ends and where it has holes.
    horizon_ns : int or None
        None leaves unchecked whether any event is before it.
    row_numbers : (n,) int64, optional
        Data row of each event; 1 to n if left out.

    Returns
    -------
    list of Problem
        By rule, then by row; at most `gmemgpu.columns.message.MAX_ROWS_NAMED` rows a rule, then how many more.
    """
    t_ns, kind, pfn, npages = (columns[name] for name in ("t_ns", "kind", "pfn", "npages"))
    vm, folio_pages = columns["vm"], columns["folio_pages"]
    problems: list[Problem] = []

    def refuse(column: str, broken: BoolArray, message: Callable[[int], str], rule: str) -> None:
        indices = np.flatnonzero(broken)
        if len(indices):
            rows = indices + 1 if row_numbers is None else row_numbers[indices]
            list_rows(where, column, rows, lambda i: message(int(indices[i])), rule, problems)

    known = (kind >= 0) & (kind < len(Kind))
    refuse(
        "kind", ~known, lambda i: f"code {kind[i]} is unknown; codes are 0 to {len(Kind) - 1}", "the kind is unknown"
    )
    has_extent = _HAS_EXTENT[np.where(known, kind, 0)]
    life_cycle = known & ~has_extent
    has_extent &= known

    refuse("t_ns", t_ns < 0, lambda i: f"{t_ns[i]} is negative; a trace starts at 0", "the time is negative")
    earlier = np.zeros(len(t_ns), bool)
    earlier[1:] = t_ns[1:] < t_ns[:-1]
    refuse(
        "t_ns",
        earlier,
        lambda i: f"{t_ns[i]} is before {t_ns[i - 1]} of the row above; sort the rows by t_ns, ties as they happened",
        "the time is before the row above",
    )

    if horizon_ns is not None and len(t_ns) and t_ns.min() >= horizon_ns:
        problems.append(
            Problem(
                f"{where}: column t_ns",
                f"none of {len(t_ns)} events is before the horizon, {horizon_ns}, so that nothing counts; the first is "
                f"at {t_ns.min()}. Times are from the start of the trace: subtract that from each, or raise horizon_ns",
            )
        )

    negative = npages < 0
    refuse("npages", negative, lambda i: f"{npages[i]} is negative; an extent has 0 or more pages", "it is negative")
    outside = has_extent & (pfn < 0)
    if host is not None:
        # pfn + npages could pass 2**63; host.pages - pfn cannot where it is looked at.
        outside |= has_extent & ~negative & (npages > host.pages - np.maximum(pfn, 0))
    room = "" if host is None else f" of {host.pages} pages"
    refuse(
        "pfn",
        outside,
        lambda i: (
            f"{npages[i]} pages from {pfn[i]} are not inside the host{room}; is it the trace of another host? "
            "memory_bytes is where physical addresses end, holes included: write what has no memory as "
            "holes = [[PFN, PAGES]] of the host"
        ),
        "the extent is not inside the host",
    )
    spans = np.array(host.hole_spans() if host is not None else [], np.int64).reshape(-1, 2)
    if len(spans):
        # The first hole that ends behind the extent's first page is the one that it may touch.
        hole = np.minimum(np.searchsorted(spans[:, 1], pfn, "right"), len(spans) - 1)
        begin, end = spans[hole].T
        refuse(
            "pfn",
            has_extent & ~outside & (npages > 0) & (pfn < end) & (pfn + npages > begin),
            lambda i: (
                f"{npages[i]} pages from {pfn[i]} touch the hole from {begin[i]} up to {end[i]}, where the host has no "
                "memory; no event may: mend the row, or the host's holes"
            ),
            "the extent touches a hole",
        )
    refuse(
        "folio_pages",
        has_extent & ~np.isin(folio_pages, FOLIO_PAGES),
        lambda i: f"{folio_pages[i]} is no folio size; an extent takes {', '.join(map(str, FOLIO_PAGES))}",
        "it is no folio size",
    )
    for name in ("pfn", "npages", "folio_pages"):
        values = columns[name]
        refuse(
            name,
            life_cycle & (values != 0),
            lambda i, values=values: f"{values[i]} with kind {Kind(int(kind[i])).text}, which has no extent; write 0",  # type: ignore[misc]
            "a kind without extent has one",
        )
    for name in ("vm", "inode"):
        values = columns[name]
        refuse(
            name,
            values < -1,
            lambda i, values=values: f"{values[i]} is no id; write -1 for none",  # type: ignore[misc]
            "the id is below -1",
        )

    destroyed = np.flatnonzero((kind == Kind.VM_DESTROY) & (vm >= 0))
    _, first, group = np.unique(vm[destroyed], return_index=True, return_inverse=True)
    first_of = destroyed[first[group]]
    again = first_of != destroyed
    first_row = first_of[again] + 1 if row_numbers is None else row_numbers[first_of[again]]
    twice = destroyed[again]
    broken = np.zeros(len(t_ns), bool)
    broken[twice] = True
    refuse(
        "vm",
        broken,
        lambda i: (
            f"VM {vm[i]} is destroyed again, after row {first_row[np.searchsorted(twice, i)]}; ids are never reused"
        ),
        "a VM is destroyed again",
    )
    return problems


def trace_problems(trace: Trace, where: str = "trace") -> list[Problem]:
    """
    Return everything that makes a trace invalid.

    Parameters
    ----------
    trace : Trace
        To be checked.
    where : str
        The file, or another name, for messages.

    Returns
    -------
    list of Problem
        Empty if engines may trust the trace. One without events is valid: every region is free all the time.

    Notes
    -----
    MODEL.md section 3. Doubtful rows that still mean something are `gmemgpu.trace.warn.trace_warnings`' business.
    """
    problems: list[Problem] = []
    try:
        header_of(trace, where)
    except SpecError as error:
        problems.extend(error.problems)
    misshapen = _column_problems(trace, where)
    if misshapen:
        return problems + misshapen
    columns = {name: getattr(trace, name) for name in COLUMNS}
    # A horizon that is no time is a problem by itself.
    horizon_ns = None if problems else trace.horizon_ns
    return problems + row_problems(columns, where, host=trace.host, horizon_ns=horizon_ns)


def check_trace(trace: Trace, where: str = "trace") -> None:
    """
    Check a trace and refuse an invalid one.

    Parameters
    ----------
    trace : Trace
        A trace.
    where : str
        The file, or another name, for messages.

    Raises
    ------
    TraceError
        With every problem that `trace_problems` finds.
    """
    problems = trace_problems(trace, where)
    if problems:
        raise TraceError(problems)
