"""Which regions a pass considers: those that are dirty, those that its requests name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gmemgpu.compiled import compiled_in_place
from gmemgpu.engine.compiled.columns import Clearings, NamedRegions
from gmemgpu.engine.compiled.rules import BY_EXTENT
from gmemgpu.model.trace import BoolArray, Int32Array, Int64Array

__all__ = [
    "LISTED",
    "Dirty",
    "new_dirty",
    "add_clearings",
    "keep_dirty",
    "put_in_order",
    "HookRequests",
    "named_targets",
]

# Places in `Dirty.counts`: regions listed, and the first clearing that no pass has seen.
LISTED = 0
CLEARING = 1

_FEW = 32
"""So many are sorted by insertion; more are read off their flags."""


class Dirty(NamedTuple):
    """
    The regions with a release or share since the last pass that attempted them.

    Parameters
    ----------
    flags : (n_regions,) bool
        Which.
    listed : (n_regions,) int64
        The first ``counts[LISTED]`` are the same, in any order; with scope ``dirty_retry`` only the latest.
    counts : (2,) int64
        At the places named above.
    """

    flags: BoolArray
    listed: Int64Array
    counts: Int64Array


def new_dirty(n_regions: int) -> Dirty:
    """Return the dirty regions at the start: none."""
    return Dirty(np.zeros(n_regions, bool), np.zeros(n_regions, np.int64), np.zeros(2, np.int64))


@compiled_in_place
def add_clearings(dirty: Dirty, clearings: Clearings, start_ns: int) -> None:
    """Mark as dirty what was released or shared up to a pass's start."""
    listed = dirty.counts[LISTED]
    i = dirty.counts[CLEARING]
    while i < clearings.t_ns.size and clearings.t_ns[i] <= start_ns:
        region = clearings.region[i]
        if not dirty.flags[region]:
            dirty.flags[region] = True
            dirty.listed[listed] = region
            listed += 1
        i += 1
    dirty.counts[CLEARING] = i
    dirty.counts[LISTED] = listed


@compiled_in_place
def keep_dirty(dirty: Dirty) -> None:
    """Remove regions from the list whose flag has been cleared."""
    kept = 0
    for i in range(dirty.counts[LISTED]):
        if dirty.flags[dirty.listed[i]]:
            dirty.listed[kept] = dirty.listed[i]
            kept += 1
    dirty.counts[LISTED] = kept


@compiled_in_place
def put_in_order(regions: Int64Array, flags: BoolArray) -> None:
    """Sort regions in place, often a few and nearly sorted; flags are true for these and no others."""
    n = 0
    if regions.size > _FEW:
        for region in range(flags.size):
            if flags[region]:
                regions[n] = region
                n += 1
        return
    for i in range(1, regions.size):
        region = regions[i]
        j = i - 1
        while j >= 0 and regions[j] > region:
            regions[j + 1] = regions[j]
            j -= 1
        regions[j + 1] = region


class HookRequests(NamedTuple):
    """
    The requests of a hook, and what they name.

    Parameters
    ----------
    t_ns : (n,) int64
        Times, ascending.
    first_region, last_region : (n,) int32
        Regions of the requesting extent, inclusive.
    named : (n,) int64
        Place of the VM or inode among `regions`; -1 if it names none. Empty for other scopes.
    regions : NamedRegions
        Where VMs or inodes ever had pages.
    """

    t_ns: Int64Array
    first_region: Int32Array
    last_region: Int32Array
    named: Int64Array
    regions: NamedRegions


@compiled_in_place
def named_targets(
    start_ns: int,
    begin: int,
    end: int,
    scope: int,
    requests: HookRequests,
    lost: BoolArray,
    is_covered: BoolArray,
    marked: BoolArray,
    targets: Int64Array,
) -> int:
    """
    Collect the covered regions that a pass's requests name, ascending; return how many they are.

    Parameters
    ----------
    begin, end : int
        Its requests, half open.
    lost : (n,) bool
        Requests that were dropped; empty if none can be.
    marked : (n_regions,) bool
        False everywhere, and left so.
    targets : (n_regions,) int64
        Receives the regions.
    """
    n = 0
    for i in range(begin, end):
        if lost.size and lost[i]:
            continue
        if scope == BY_EXTENT:
            for region in range(requests.first_region[i], requests.last_region[i] + 1):
                if is_covered[region] and not marked[region]:
                    marked[region] = True
                    targets[n] = region
                    n += 1
        elif requests.named[i] >= 0:
            regions = requests.regions
            for j in range(regions.first[requests.named[i]], regions.first[requests.named[i] + 1]):
                region = regions.region[j]
                if regions.since_ns[j] <= start_ns and not marked[region]:
                    marked[region] = True
                    targets[n] = region
                    n += 1
    put_in_order(targets[:n], marked)
    for i in range(n):
        marked[targets[i]] = False
    return n
