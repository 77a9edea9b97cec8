"""What array engines read of some traces: their events, class rows and owners, as arrays of one library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.xp.namespace import Array, Namespace, begins
from gmemgpu.engine.array.xp.on_numpy import NUMPY
from gmemgpu.engine.class_code import CLEAN, FAIL_EARLY
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Int64Array, Trace
from gmemgpu.timeline.build import Timeline, build_timeline
from gmemgpu.timeline.integral import UsedIntegral, used_integral
from gmemgpu.timeline.piece import cut_at_regions

__all__ = ["REGION_BITS", "ClassRows", "EventColumns", "TraceColumns", "host_columns", "timeline_columns"]

REGION_BITS = 32
"""Of a key of an id and a region; below them the region."""


@dataclass(frozen=True, slots=True, eq=False)
class EventColumns:
    """The columns of all events, one trace after another; `gmemgpu.model.trace.Trace` describes them."""

    t_ns: Array
    kind: Array
    pfn: Array
    npages: Array
    vm: Array
    inode: Array
    folio_pages: Array


@dataclass(frozen=True, slots=True, eq=False)
class ClassRows:
    """
    When each region's class changes: the rows of region r are ``at[r]:at[r + 1]``, the first of each at 0.

    Parameters
    ----------
    at : (n_regions + 1,) int64
    t_ns : (n,) int64
    first : (n,) int16
        Lowest block with an assigned page, -1 for a free region.
    gmem, evicting : (n,) int32
        Pages of guest_memfds, and of those under eviction.
    """

    at: Array
    t_ns: Array
    first: Array
    gmem: Array
    evicting: Array

    def codes(self, xp: Namespace) -> Array:
        """Return the class of each row as if no bit were set, (n,) int64."""
        code = self.first.astype(np.int64)
        busy = xp.where(self.evicting > 0, code + FAIL_EARLY, code)
        return xp.where(code < 0, np.int64(CLEAN), busy)


@dataclass(frozen=True, slots=True, eq=False)
class TraceColumns:
    """
    Some traces. Regions and events are numbered on from trace to trace.

    Parameters
    ----------
    xp : Namespace
        Whose arrays these are.
    traces : sequence of Trace
        Cut at their horizons.
    event_at, region_at : (n_traces + 1,) int64
        Where the events and regions of each begin, on the host.
    events : EventColumns
    rows : ClassRows
    used : UsedIntegral or None
        None if no page is ever in use.
    owners : callable
        Takes ``"inode"`` or ``"vm"`` and gives where ids ever had pages: ``id << 32 | region``, ascending, each once,
        and since when, (n,) int64.
    clearings : callable
        Gives all `release` and `share` pieces, in event order: times, regions, and where those of each trace begin,
        on the host.
    """

    xp: Namespace
    traces: Sequence[Trace]
    event_at: Int64Array
    region_at: Int64Array
    events: EventColumns
    rows: ClassRows
    used: UsedIntegral | None
    owners: Callable[[str], tuple[Array, Array]]
    clearings: Callable[[], tuple[Array, Array, Int64Array]]


def host_columns(trace: Trace, *, compiled: bool = False) -> TraceColumns:
    """Collect what is read of one trace, on the host; compiled code, if asked for, makes the same rows."""
    return timeline_columns(build_timeline(trace, compiled=compiled))


def timeline_columns(line: Timeline) -> TraceColumns:
    """Collect what is read of a trace whose timeline is made, on the host."""
    trace, owners, kept = line.trace, line.owners, line.noticed()
    columns = (line.t_ns, line.first, line.gmem, line.evicting)
    at = np.searchsorted(kept, line.offset)
    rows = ClassRows(at, *((column if len(kept) == len(column) else column[kept]) for column in columns))

    def owned(name: str) -> tuple[Array, Array]:
        found = owners.by_vm if name == "vm" else owners.by_inode
        return found.ids << REGION_BITS | found.region, found.since_ns

    def clearings() -> tuple[Array, Array, Int64Array]:
        kind = trace.kind
        pieces = cut_at_regions(trace, np.flatnonzero((kind == Kind.RELEASE) | (kind == Kind.SHARE)))
        return trace.t_ns[pieces.event], pieces.region, begins([len(pieces.event)])

    return TraceColumns(
        xp=NUMPY,
        traces=[trace],
        event_at=begins([len(trace)]),
        region_at=begins([trace.host.n_regions]),
        events=EventColumns(*(getattr(trace, name) for name in EventColumns.__slots__)),
        rows=rows,
        used=used_integral(line),
        owners=owned,
        clearings=clearings,
    )
