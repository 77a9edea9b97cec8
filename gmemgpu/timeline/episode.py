"""Free episodes: when a region holds no assigned page while SNP is on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.model.trace import BoolArray, Int32Array, Int64Array
from gmemgpu.timeline.build import Timeline
from gmemgpu.timeline.snp import FOREVER, SnpStates

__all__ = ["Episodes", "FreeRuns", "free_runs", "free_episodes"]


@dataclass(frozen=True, slots=True, eq=False)
class FreeRuns:
    """
    Maximal times with no assigned page, whether SNP is on or not.

    Parameters
    ----------
    region : (n,) int32
        Index of the region, ascending.
    begin_ns, end_ns : (n,) int64
        Half open, ascending within a region; `FOREVER` if it lasts to the horizon.
    """

    region: Int32Array
    begin_ns: Int64Array
    end_ns: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """
    Free episodes of MODEL.md section 4.

    Parameters
    ----------
    region : (n,) int32
        Index of the region.
    begin_ns, end_ns : (n,) int64
        Half open; `FOREVER` if it lasts to the horizon.
    fresh : (n,) bool
        Whether it began with SNP itself.
    """

    region: Int32Array
    begin_ns: Int64Array
    end_ns: Int64Array
    fresh: BoolArray


def free_runs(timeline: Timeline) -> FreeRuns:
    """
    Find every maximal run of A = 0 in a timeline.

    Parameters
    ----------
    timeline : Timeline
        Step functions of all regions.

    Returns
    -------
    FreeRuns
        By region, ascending in time within one.
    """
    free = timeline.assigned == 0
    head = np.zeros(len(free), bool)
    head[timeline.offset[:-1]] = True
    before = np.append(True, free[:-1])  # the first row is a head, so its neighbour does not matter
    begin = np.flatnonzero(free & (head | ~before))
    # The row after a run's last one is busy, or begins the next region (or there is none).
    stop = np.flatnonzero(free & np.append(head[1:] | ~free[1:], True)) + 1
    end_ns = np.full(len(stop), FOREVER)
    inside = stop < len(free)
    inside[inside] = ~head[stop[inside]]
    end_ns[inside] = timeline.t_ns[stop[inside]]
    return FreeRuns(timeline.region[begin], timeline.t_ns[begin], end_ns)


def free_episodes(runs: FreeRuns, snp: SnpStates) -> Episodes:
    """
    Cut free runs to the times with SNP on.

    Parameters
    ----------
    runs : FreeRuns
        Times with no assigned page.
    snp : SnpStates
        When SNP is on.

    Returns
    -------
    Episodes
        Grouped by epoch of SNP, within one in the order of `runs`.
    """
    regions, begins, ends, fresh = [], [], [], []
    for on, off in snp.epochs:
        begin = np.maximum(runs.begin_ns, on)
        end = np.minimum(runs.end_ns, off)
        kept = begin < end
        regions.append(runs.region[kept])
        begins.append(begin[kept])
        ends.append(end[kept])
        fresh.append(begin[kept] == on)
    if not regions:
        none = np.zeros(0, np.int64)
        return Episodes(none.astype(np.int32), none, none, none.astype(bool))
    return Episodes(np.concatenate(regions), np.concatenate(begins), np.concatenate(ends), np.concatenate(fresh))
