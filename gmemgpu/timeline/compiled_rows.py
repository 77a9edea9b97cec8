"""The rows of a timeline by compiled code: what `region_states` and the arrays in `build` give, region after region."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmemgpu.compiled import compiled_function
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Int16Array, Int32Array, Int64Array, Trace
from gmemgpu.timeline.piece import IdRegions
from gmemgpu.units import PAGES_PER_BLOCK, PAGES_PER_REGION

__all__ = ["timeline_rows"]

KindArray: TypeAlias = NDArray[np.int8]

_ASSIGN, _SHARE, _RELEASE = int(Kind.ASSIGN), int(Kind.SHARE), int(Kind.RELEASE)
_USE, _UNUSE = int(Kind.USE), int(Kind.UNUSE)
_EVICT_BEGIN, _EVICT_END = int(Kind.EVICT_BEGIN), int(Kind.EVICT_END)

# Runs of pages are rows of an array with room to spare: start, end, owner. They are disjoint and sorted.
_START, _END, _OWNER = 0, 1, 2
# What a region holds: A, G, E, U, and how many runs of assigned and of used pages.
_A, _G, _E, _U, _N_RUNS, _N_USED = range(6)


@compiled_function
def _first_past(runs: Int32Array, n: int, page: int) -> int:
    # The first run that ends past a page.
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if runs[middle, _END] <= page:
            low = middle + 1
        else:
            high = middle
    return low


@compiled_function
def _overlap(runs: Int32Array, n: int, lo: int, hi: int) -> int:
    # Pages of [lo, hi) that lie in the runs.
    i = _first_past(runs, n, lo)
    pages = 0
    while i < n and runs[i, _START] < hi:
        pages += min(runs[i, _END], hi) - max(runs[i, _START], lo)
        i += 1
    return pages


@compiled_function
def _make_room(runs: Int32Array, n: int, i: int, j: int, n_new: int) -> int:
    # Rows i to j become `n_new` rows, to be filled by the caller; returns how many there are then.
    more = n_new - (j - i)
    if more > 0:
        for row in range(n - 1, j - 1, -1):
            for column in range(3):
                runs[row + more, column] = runs[row, column]
    elif more < 0:
        for row in range(j, n):
            for column in range(3):
                runs[row + more, column] = runs[row, column]
    return n + more


@compiled_function
def _set_run(runs: Int32Array, i: int, start: int, end: int, owner: int) -> int:
    runs[i, _START], runs[i, _END], runs[i, _OWNER] = start, end, owner
    return i + 1


@compiled_function
def _with_room(runs: Int32Array, n: int) -> Int32Array:
    # One piece adds two runs at most.
    if n + 2 <= len(runs):
        return runs
    larger = np.empty((2 * len(runs), 3), np.int32)
    larger[:n] = runs[:n]
    return larger


@compiled_function
def _set_owner(
    state: Int64Array,
    runs: Int32Array,
    used: Int32Array,
    pages_of: Int32Array,
    evicted: Int32Array,
    lo: int,
    hi: int,
    assigns: bool,
    inode: int,
) -> None:
    n, n_used = state[_N_RUNS], state[_N_USED]
    i = _first_past(runs, n, lo)
    j = i
    left_start, left_owner, right_end, right_owner = -1, -1, -1, -1
    while j < n and runs[j, _START] < hi:
        start, end, owner = runs[j, _START], runs[j, _END], runs[j, _OWNER]
        if start < lo:
            left_start, left_owner = start, owner
        if end > hi:
            right_end, right_owner = end, owner
        start, end = max(start, lo), min(end, hi)
        state[_A] -= end - start
        if owner >= 0:
            state[_G] -= end - start
            pages_of[owner] -= end - start
            if evicted[owner]:
                state[_E] -= end - start
        if n_used:
            state[_U] += _overlap(used, n_used, start, end)
        j += 1
    if assigns:
        state[_A] += hi - lo
        if inode >= 0:
            state[_G] += hi - lo
            pages_of[inode] += hi - lo
            if evicted[inode]:
                state[_E] += hi - lo
        if n_used:
            state[_U] -= _overlap(used, n_used, lo, hi)
    elif i == j:
        return
    state[_N_RUNS] = _make_room(runs, n, i, j, int(left_start >= 0) + int(right_end >= 0) + int(assigns))
    if left_start >= 0:
        i = _set_run(runs, i, left_start, lo, left_owner)
    if assigns:
        i = _set_run(runs, i, lo, hi, inode)
    if right_end >= 0:
        _set_run(runs, i, hi, right_end, right_owner)


@compiled_function
def _set_use(state: Int64Array, runs: Int32Array, used: Int32Array, lo: int, hi: int, uses: bool) -> None:
    n, n_used = state[_N_RUNS], state[_N_USED]
    i = _first_past(used, n_used, lo)
    j = i
    # Before: the pages of [lo, hi) that are in use and HV-owned go; after: all that are HV-owned come.
    low, high = lo, hi
    while j < n_used and used[j, _START] < hi:
        start, end = max(used[j, _START], lo), min(used[j, _END], hi)
        state[_U] -= end - start - _overlap(runs, n, start, end)
        low, high = min(low, used[j, _START]), max(high, used[j, _END])
        j += 1
    if uses:
        state[_U] += hi - lo - _overlap(runs, n, lo, hi)
        state[_N_USED] = _make_room(used, n_used, i, j, 1)
        _set_run(used, i, low, high, -1)
        return
    state[_N_USED] = _make_room(used, n_used, i, j, int(low < lo) + int(high > hi))
    if low < lo:
        i = _set_run(used, i, low, lo, -1)
    if high > hi:
        _set_run(used, i, hi, high, -1)


@compiled_function
def _rows(
    begin: Int64Array,
    times_ns: Int64Array,
    kinds: KindArray,
    inodes: Int32Array,
    lows: Int32Array,
    highs: Int32Array,
    n_inodes: int,
) -> tuple[Int64Array, Int64Array, Int32Array, Int16Array]:
    n_regions = len(begin) - 1
    offset = np.zeros(n_regions + 1, np.int64)
    t_ns = np.zeros(len(kinds) + n_regions, np.int64)
    states = np.zeros((4, len(t_ns)), np.int32)
    first = np.full(len(t_ns), -1, np.int16)
    runs, used = np.empty((64, 3), np.int32), np.empty((64, 3), np.int32)
    # Of each inode: its pages in the region, whether it is being evicted, and the region of which this is true.
    pages_of, evicted = np.zeros(n_inodes, np.int32), np.zeros(n_inodes, np.int32)
    region_of = np.full(n_inodes, -1, np.int32)
    state = np.zeros(6, np.int64)
    n_rows = 0
    for region in range(n_regions):
        state[:] = 0
        offset[region] = n_rows
        n_rows += 1  # the region untouched, unless its first event is at 0
        for piece in range(begin[region], begin[region + 1]):
            kind, inode, now_ns = kinds[piece], inodes[piece], times_ns[piece]
            if kind in (_ASSIGN, _RELEASE, _SHARE):
                assigns = kind == _ASSIGN
                if assigns and inode >= 0 and region_of[inode] != region:
                    pages_of[inode], evicted[inode], region_of[inode] = 0, 0, region
                runs = _with_room(runs, state[_N_RUNS])
                _set_owner(state, runs, used, pages_of, evicted, lows[piece], highs[piece], assigns, inode)
            elif kind in (_USE, _UNUSE):
                used = _with_room(used, state[_N_USED])
                _set_use(state, runs, used, lows[piece], highs[piece], kind == _USE)
            else:
                if region_of[inode] != region:
                    pages_of[inode], evicted[inode], region_of[inode] = 0, 0, region
                evicts = kind == _EVICT_BEGIN
                if evicts != evicted[inode]:
                    evicted[inode] = evicts
                    state[_E] += pages_of[inode] if evicts else -pages_of[inode]
            if piece + 1 < begin[region + 1] and times_ns[piece + 1] == now_ns:
                continue  # the state at t is the one after every event at t
            block = runs[0, _START] // PAGES_PER_BLOCK if state[_N_RUNS] else -1
            last = n_rows - 1
            changed = block != first[last]
            for column in range(4):
                changed |= state[column] != states[column, last]
            if changed:
                if now_ns:
                    last = n_rows
                    n_rows += 1
                t_ns[last], first[last] = now_ns, block
                for column in range(4):
                    states[column, last] = state[column]
    offset[n_regions] = n_rows
    return offset, t_ns[:n_rows].copy(), states[:, :n_rows].copy(), first[:n_rows].copy()


@compiled_function
def _changes_pages(kind: int) -> bool:
    return kind in (_ASSIGN, _RELEASE, _SHARE, _USE, _UNUSE)


@compiled_function
def _evicts_known(kind: int, inode: int, n_inodes: int) -> bool:
    # An eviction concerns the regions in which its inode ever had pages.
    return kind in (_EVICT_BEGIN, _EVICT_END) and 0 <= inode < n_inodes


@compiled_function
def _grouped(
    t_ns: Int64Array,
    kind: KindArray,
    pfn: Int64Array,
    npages: Int64Array,
    inode: Int32Array,
    inode_begin: Int64Array,
    inode_region: Int32Array,
    n_regions: int,
) -> tuple[Int64Array, Int64Array, KindArray, Int32Array, Int32Array, Int32Array]:
    # Pieces of all regions by a counting sort: counted first, then written. They take along what is read of the events:
    # region after region, each of those would be a cache miss.
    begin = np.zeros(n_regions + 1, np.int64)
    for row in range(len(kind)):
        if _changes_pages(kind[row]):
            if npages[row]:
                for region in range(pfn[row] // PAGES_PER_REGION, (pfn[row] + npages[row] - 1) // PAGES_PER_REGION + 1):
                    begin[region + 1] += 1
        elif _evicts_known(kind[row], inode[row], len(inode_begin) - 1):
            for i in range(inode_begin[inode[row]], inode_begin[inode[row] + 1]):
                begin[inode_region[i] + 1] += 1
    for region in range(n_regions):
        begin[region + 1] += begin[region]
    n = begin[n_regions]
    free = begin.copy()
    times_ns, kinds, inodes = np.empty(n, np.int64), np.empty(n, np.int8), np.empty(n, np.int32)
    lows, highs = np.zeros(n, np.int32), np.zeros(n, np.int32)
    for row in range(len(kind)):
        if _changes_pages(kind[row]):
            start, end = pfn[row], pfn[row] + npages[row]
            while start < end:
                region = start // PAGES_PER_REGION
                base = region * PAGES_PER_REGION
                place = free[region]
                free[region] += 1
                times_ns[place], kinds[place], inodes[place] = t_ns[row], kind[row], inode[row]
                lows[place], highs[place] = start - base, min(end - base, PAGES_PER_REGION)
                start = base + PAGES_PER_REGION
        elif _evicts_known(kind[row], inode[row], len(inode_begin) - 1):
            for i in range(inode_begin[inode[row]], inode_begin[inode[row] + 1]):
                place = free[inode_region[i]]
                free[inode_region[i]] += 1
                times_ns[place], kinds[place], inodes[place] = t_ns[row], kind[row], inode[row]
    return begin, times_ns, kinds, inodes, lows, highs


def timeline_rows(trace: Trace, by_inode: IdRegions) -> tuple[Int64Array, Int64Array, list[Int32Array], Int16Array]:
    """
    Compute the rows of all regions.

    Parameters
    ----------
    trace : Trace
        Cut at its horizon.
    by_inode : IdRegions
        Regions of inodes.

    Returns
    -------
    offset : (n_regions + 1,) int64
        First row of each region.
    t_ns : (n,) int64
        When each row begins.
    states : list of (n,) int32
        A, G, E and U.
    first : (n,) int16
        Lowest block with an assigned page, or -1.
    """
    inode = trace.inode
    n_inodes = int(by_inode.ids[-1]) + 1 if len(by_inode.ids) else 0
    if n_inodes > 4 * len(inode) + 1024:
        # Ids far apart are numbered anew; one that never had pages is none.
        ids, first_of = np.unique(by_inode.ids, return_index=True)
        number = np.minimum(np.searchsorted(ids, inode), len(ids) - 1)
        inode = np.where(ids[number] == inode, number, -1).astype(np.int32)
        begin = np.append(first_of, len(by_inode.ids))
    else:
        begin = np.searchsorted(by_inode.ids, np.arange(n_inodes + 1))
    grouped = _grouped(
        trace.t_ns, trace.kind, trace.pfn, trace.npages, inode, begin, by_inode.region, trace.host.n_regions
    )
    offset, t_ns, states, first = _rows(*grouped, len(begin) - 1)
    return offset, t_ns, list(states), first
