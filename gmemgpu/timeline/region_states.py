"""One region's life, piece by piece: sorted runs of assigned and of used pages, page-exact."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from gmemgpu.model.event import Kind
from gmemgpu.units import PAGES_PER_BLOCK

__all__ = ["RegionStates", "region_states"]

_ASSIGN = int(Kind.ASSIGN)
_OWNERSHIP = (_ASSIGN, int(Kind.RELEASE), int(Kind.SHARE))
_USE, _UNUSE = int(Kind.USE), int(Kind.UNUSE)
_EVICT_BEGIN = int(Kind.EVICT_BEGIN)


class RegionStates(NamedTuple):
    """
    The state after each piece (MODEL.md section 4).

    Parameters
    ----------
    assigned, gmem, evicting, used : list of int
        Pages: A, G, E and U.
    first : list of int
        Lowest block with an assigned page, 0…511; -1 for a free region.
    """

    assigned: list[int]
    gmem: list[int]
    evicting: list[int]
    used: list[int]
    first: list[int]


def _overlap(starts: list[int], ends: list[int], lo: int, hi: int) -> int:
    # Pages of [lo, hi) that lie in the sorted disjoint runs.
    i = bisect_right(ends, lo)
    n = 0
    while i < len(starts) and starts[i] < hi:
        n += min(ends[i], hi) - max(starts[i], lo)
        i += 1
    return n


def region_states(kinds: list[int], los: list[int], his: list[int], inodes: list[int]) -> RegionStates:
    """
    Compute the state of one region after each of its pieces.

    Parameters
    ----------
    kinds : list of int
        `Kind` codes: assign, release, share, use, unuse, evict_begin, evict_end.
    los, his : list of int
        Pages of the region, half open.
    inodes : list of int
        Inode of each; -1 for none.

    Returns
    -------
    RegionStates
        Lists as long as the input.

    Notes
    -----
    The runs are disjoint and sorted, so the first assigned block is that of run 0, and a piece costs a
    bisection and a few list edits however many runs there are. `used` counts pages in use that are HV-owned.
    """
    starts: list[int] = []
    ends: list[int] = []
    owners: list[int] = []
    use_starts: list[int] = []
    use_ends: list[int] = []
    pages_of: dict[int, int] = {}
    evicted: set[int] = set()
    assigned = gmem = evicting = used = 0
    out = RegionStates([], [], [], [], [])
    add_assigned, add_gmem, add_evicting = out.assigned.append, out.gmem.append, out.evicting.append
    add_used, add_first = out.used.append, out.first.append
    for kind, lo, hi, inode in zip(kinds, los, his, inodes, strict=True):
        if kind in _OWNERSHIP:
            i = j = bisect_right(ends, lo)
            left: tuple[int, int, int] | None = None
            right: tuple[int, int, int] | None = None
            while j < len(starts) and starts[j] < hi:
                a, b, owner = starts[j], ends[j], owners[j]
                if a < lo:
                    left = (a, lo, owner)
                    a = lo
                if b > hi:
                    right = (hi, b, owner)
                    b = hi
                n = b - a
                assigned -= n
                if owner >= 0:
                    gmem -= n
                    pages_of[owner] -= n
                    if owner in evicted:
                        evicting -= n
                if use_starts:
                    used += _overlap(use_starts, use_ends, a, b)
                j += 1
            if kind == _ASSIGN:
                n = hi - lo
                assigned += n
                if inode >= 0:
                    gmem += n
                    pages_of[inode] = pages_of.get(inode, 0) + n
                    if inode in evicted:
                        evicting += n
                if use_starts:
                    used -= _overlap(use_starts, use_ends, lo, hi)
                if i == j:
                    starts.insert(i, lo)
                    ends.insert(i, hi)
                    owners.insert(i, inode)
                else:
                    runs = [run for run in (left, (lo, hi, inode), right) if run]
                    starts[i:j], ends[i:j], owners[i:j] = map(list, zip(*runs, strict=True))
            elif i != j:
                if left is None and right is None:
                    del starts[i:j], ends[i:j], owners[i:j]
                else:
                    runs = [run for run in (left, right) if run]
                    starts[i:j], ends[i:j], owners[i:j] = map(list, zip(*runs, strict=True))
        elif kind == _USE:
            i = j = bisect_right(use_ends, lo)
            gap, a, b = lo, lo, hi
            while j < len(use_starts) and use_starts[j] < hi:
                if use_starts[j] > gap:
                    used += use_starts[j] - gap - _overlap(starts, ends, gap, use_starts[j])
                gap = use_ends[j]
                a, b = min(a, use_starts[j]), max(b, gap)
                j += 1
            if gap < hi:
                used += hi - gap - _overlap(starts, ends, gap, hi)
            use_starts[i:j] = [a]
            use_ends[i:j] = [b]
        elif kind == _UNUSE:
            i = j = bisect_right(use_ends, lo)
            kept: list[tuple[int, int]] = []
            while j < len(use_starts) and use_starts[j] < hi:
                a, b = max(use_starts[j], lo), min(use_ends[j], hi)
                used -= b - a - _overlap(starts, ends, a, b)
                if use_starts[j] < lo:
                    kept.append((use_starts[j], lo))
                if use_ends[j] > hi:
                    kept.append((hi, use_ends[j]))
                j += 1
            use_starts[i:j] = [run[0] for run in kept]
            use_ends[i:j] = [run[1] for run in kept]
        elif kind == _EVICT_BEGIN:
            if inode not in evicted:
                evicted.add(inode)
                evicting += pages_of.get(inode, 0)
        elif inode in evicted:
            evicted.remove(inode)
            evicting -= pages_of.get(inode, 0)
        add_assigned(assigned)
        add_gmem(gmem)
        add_evicting(evicting)
        add_used(used)
        add_first(starts[0] // PAGES_PER_BLOCK if starts else -1)
    return out
