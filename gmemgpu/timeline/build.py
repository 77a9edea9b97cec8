"""Region timelines: the step functions A, G, E, U and first block of every region, whatever the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gmemgpu.model.trace import Int16Array, Int32Array, Int64Array, Trace
from gmemgpu.timeline.piece import Owners, RegionPieces, state_pieces
from gmemgpu.timeline.region_states import region_states

__all__ = ["UNTOUCHED", "Timeline", "build_timeline", "last_row_at", "last_row_between"]

UNTOUCHED = (0, 0, 0, 0, -1)
"""A, G, E, U and first block of a region before its first event."""


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
    owners : Owners
        Where inodes and VMs ever had pages.
    """

    trace: Trace
    offset: Int64Array
    t_ns: Int64Array
    assigned: Int32Array
    gmem: Int32Array
    evicting: Int32Array
    used: Int32Array
    first: Int16Array
    owners: Owners

    @property
    def region(self) -> Int32Array:
        """Region of each row, (n,) int32."""
        return np.repeat(np.arange(len(self.offset) - 1, dtype=np.int32), np.diff(self.offset))

    def noticed(self) -> NDArray[np.intp]:
        """
        Find the rows at which a region's class can change.

        Returns
        -------
        (m,) intp
            Ascending; every region's first row is one.
        """
        kept = np.zeros(len(self.t_ns), bool)
        for column in (self.first, self.gmem > 0, self.evicting > 0):
            kept[1:] |= column[1:] != column[:-1]
        kept[self.offset[:-1]] = True
        return np.flatnonzero(kept)


def _states(trace: Trace, pieces: RegionPieces) -> list[Int32Array]:
    # A, G, E, U and first block after each piece. Lists of one region at a time: as lists, all of them would take
    # several times the memory of the trace.
    n = len(pieces.event)
    kind, inode = trace.kind[pieces.event], trace.inode[pieces.event]
    columns = [np.empty(n, np.int32) for _ in UNTOUCHED]
    begins = np.flatnonzero(np.diff(pieces.region, prepend=-1)).tolist()
    for lo, hi in pairwise([*begins, n]):
        states = region_states(
            kind[lo:hi].tolist(), pieces.lo[lo:hi].tolist(), pieces.hi[lo:hi].tolist(), inode[lo:hi].tolist()
        )
        for column, values in zip(columns, states, strict=True):
            column[lo:hi] = values
    return columns


def _rows(
    t_ns: Int64Array, region: Int32Array, columns: Sequence[Int32Array], n_regions: int
) -> tuple[Int64Array, Int64Array, list[Int32Array], Int16Array]:
    # Offsets, times and columns of all regions at once, from the states after each piece. The state at t is the one
    # after every event at t: of each instant the last piece counts, and only if it changed anything.
    last = np.ones(len(t_ns), bool)
    last[:-1] = (t_ns[1:] != t_ns[:-1]) | (region[1:] != region[:-1])
    kept = np.flatnonzero(last)
    t_ns, region = t_ns[kept], region[kept]
    columns = [column[kept] for column in columns]
    is_first = np.ones(len(kept), bool)
    is_first[1:] = region[1:] != region[:-1]
    # What happens at 0 makes the region's first row, even if it changes nothing.
    changed = is_first & (t_ns == 0)
    for column, untouched in zip(columns, UNTOUCHED, strict=True):
        before = np.empty_like(column)
        before[1:] = column[:-1]
        before[is_first] = untouched
        changed |= column != before
    kept = np.flatnonzero(changed)
    t_ns, region = t_ns[kept], region[kept]
    # All other regions begin with a row of their own: untouched.
    begins = np.ones(n_regions, bool)
    begins[region[t_ns == 0]] = False
    offset = np.concatenate([[0], np.cumsum(np.bincount(region, minlength=n_regions) + begins)])
    row = np.arange(len(kept)) + np.cumsum(begins)[region]
    times = np.zeros(offset[-1], np.int64)
    times[row] = t_ns
    whole = []
    for column, untouched in zip(columns, UNTOUCHED, strict=True):
        values = np.full(len(times), untouched, np.int32)
        values[row] = column[kept]
        whole.append(values)
    *states, first = whole
    return offset, times, states, first.astype(np.int16)


def build_timeline(trace: Trace, *, compiled: bool = False) -> Timeline:
    """
    Build the step functions of every region, once per trace.

    Parameters
    ----------
    trace : Trace
        A valid one; events at or past the horizon are ignored.
    compiled : bool, default False
        Whether compiled code does it, for which Numba must be installed; the same arrays either way. It pays where
        many traces follow, as in an engine; a single one is done before compiled code is loaded.

    Returns
    -------
    Timeline
        Memory follows the number of state changes, never events × pages or events × runs.
    """
    trace = trace.before_horizon()
    owners = Owners(trace)
    if compiled:
        from gmemgpu.timeline.compiled_rows import timeline_rows

        offset, t_ns, columns, first = timeline_rows(trace, owners.by_inode)
    else:
        pieces = state_pieces(trace, owners.by_inode)
        states = _states(trace, pieces)
        offset, t_ns, columns, first = _rows(trace.t_ns[pieces.event], pieces.region, states, trace.host.n_regions)
    assigned, gmem, evicting, used = columns
    return Timeline(trace, offset, t_ns, assigned, gmem, evicting, used, first, owners)


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
    return last_row_between(times_ns, offset[region], offset[np.asarray(region) + 1], t_ns)


def last_row_between(
    times_ns: Int64Array, begin: Int64Array, end: Int64Array, t_ns: Int64Array | Int32Array
) -> Int64Array:
    """
    Find the last row among some that is at or before a time, for many times at once.

    Parameters
    ----------
    times_ns : (n,) int64
        When rows begin; they ascend among those of each search.
    begin, end : (m,) int64
        Which rows: ``begin[i]:end[i]``, of which the first is at or before the time.
    t_ns : (m,) int64
        A time for each.

    Returns
    -------
    (m,) int64
        Row for each time.
    """
    found = begin.copy()
    step = 1 << int((end - begin).max(initial=1) - 1).bit_length() >> 1
    while step:
        ahead = found + step
        # By products: a choice between two arrays takes several times as long where it is a coin's.
        found += step * ((ahead < end) & (times_ns.take(ahead, mode="clip") <= t_ns))
        step >>= 1
    return found
