"""Region timelines: the step functions A, G, E, U and first block of every region, whatever the policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Int16Array, Int32Array, Int64Array, Trace
from gmemgpu.timeline.piece import IdRegions, RegionPieces, cut_at_regions, id_regions, state_pieces
from gmemgpu.timeline.region_states import RegionStates, region_states

__all__ = ["Timeline", "build_timeline", "last_row_at"]


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """
    Step functions of MODEL.md section 4, the rows of region r at ``offset[r]:offset[r + 1]``.

    Parameters
    ----------
    trace : Trace
        Cut at its horizon.
    offset : (n_regions + 1,) int64
        First row of each region, and the number of rows.
    t_ns : (n,) int64
        When the state below begins; the first row of each region is at 0. The state at t is that after
        every event at or before t.
    assigned, gmem, evicting, used : (n,) int32
        Pages: A, G, E and U.
    first : (n,) int16
        Lowest block with an assigned page, -1 for a free region.
    by_inode : IdRegions
        Where each inode ever had pages.
    assigns : RegionPieces
        Parts of the `assign` events, in time order.
    """

    trace: Trace
    offset: Int64Array
    t_ns: Int64Array
    assigned: Int32Array
    gmem: Int32Array
    evicting: Int32Array
    used: Int32Array
    first: Int16Array
    by_inode: IdRegions
    assigns: RegionPieces

    @property
    def region(self) -> Int32Array:
        """Region of each row, (n,) int32."""
        return np.repeat(np.arange(len(self.offset) - 1, dtype=np.int32), np.diff(self.offset))


def _rows(t_ns: Int64Array, states: RegionStates) -> tuple[Int64Array, list[Int32Array]]:
    # The state at t is the one after every event at t: keep the last piece of each instant, and of those only
    # the ones that changed anything.
    columns = [np.array(column, np.int32) for column in states]
    last = np.flatnonzero(np.append(t_ns[1:] != t_ns[:-1], True))
    columns = [column[last] for column in columns]
    changed = np.zeros(len(last), bool)
    for column, initial in zip(columns, (0, 0, 0, 0, -1), strict=True):
        changed |= np.diff(column, prepend=np.int32(initial)) != 0
    t_ns = t_ns[last]
    if t_ns[0] > 0:
        initial_row = [np.array([initial], np.int32) for initial in (0, 0, 0, 0, -1)]
        return np.append(0, t_ns[changed]), [
            np.concatenate([start, column[changed]]) for start, column in zip(initial_row, columns, strict=True)
        ]
    changed[0] = True
    return t_ns[changed], [column[changed] for column in columns]


def build_timeline(trace: Trace) -> Timeline:
    """
    Build the step functions of every region, once per trace.

    Parameters
    ----------
    trace : Trace
        A valid one; events at or past the horizon are ignored.

    Returns
    -------
    Timeline
        Memory follows the number of state changes, never events × pages or events × runs.
    """
    trace = trace.before_horizon()
    n_regions = trace.host.n_regions
    assigns = cut_at_regions(trace, np.flatnonzero(trace.kind == Kind.ASSIGN))
    by_inode = id_regions(trace, assigns, trace.inode)
    pieces = state_pieces(trace, by_inode)
    begin = np.searchsorted(pieces.region, np.arange(n_regions + 1))
    times: list[Int64Array] = []
    columns: list[list[Int32Array]] = []
    sizes = np.ones(n_regions, np.int64)
    untouched = (np.zeros(1, np.int64), [np.array([v], np.int32) for v in (0, 0, 0, 0, -1)])
    for region in range(n_regions):
        part = slice(begin[region], begin[region + 1])
        event = pieces.event[part]
        if len(event):
            states = region_states(
                trace.kind[event].tolist(),
                pieces.lo[part].tolist(),
                pieces.hi[part].tolist(),
                trace.inode[event].tolist(),
            )
            t_ns, values = _rows(trace.t_ns[event], states)
        else:
            t_ns, values = untouched
        sizes[region] = len(t_ns)
        times.append(t_ns)
        columns.append(values)
    assigned, gmem, evicting, used, first = (np.concatenate([c[i] for c in columns]) for i in range(5))
    return Timeline(
        trace=trace,
        offset=np.concatenate([[0], np.cumsum(sizes)]),
        t_ns=np.concatenate(times),
        assigned=assigned,
        gmem=gmem,
        evicting=evicting,
        used=used,
        first=first.astype(np.int16),
        by_inode=by_inode,
        assigns=assigns,
    )


def last_row_at(
    offset: Int64Array, times_ns: Int64Array, region: Int32Array | Int64Array, t_ns: Int64Array
) -> Int64Array:
    """
    Find the last row of a region that is at or before a time, for many pairs at once.

    Parameters
    ----------
    offset : (n_regions + 1,) int64
        Rows of region r are ``offset[r]:offset[r + 1]``; the first of each is at 0.
    times_ns : (n,) int64
        Ascending within a region.
    region, t_ns : (m,) int
        Where to look, and when.

    Returns
    -------
    (m,) int64
        Row for each pair.
    """
    lo = offset[region]
    hi = offset[np.asarray(region) + 1] - 1
    while np.any(lo < hi):
        middle = (lo + hi + 1) >> 1
        later = times_ns[middle] > t_ns
        hi = np.where(later, middle - 1, hi)
        lo = np.where(later, lo, middle)
    return lo
