"""Each region's life as a row of spans: busy, free and not optimized, optimized."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from gmemgpu.explain.record import RunRecord
from gmemgpu.model.trace import Int8Array, Int32Array, Int64Array

__all__ = ["RegionSpans", "State", "region_spans"]


class State(IntEnum):
    """What a region is at a time."""

    BUSY = 0
    """A page is assigned."""
    FREE = 1
    """None is, and the bit is not set."""
    OPTIMIZED = 2
    """None is, and the bit is set."""
    OFF = 3
    """SNP is off, so that nothing is checked; or the region is a hole."""


@dataclass(frozen=True, slots=True, eq=False)
class RegionSpans:
    """
    The states of all regions from 0 to the horizon, without gaps.

    Parameters
    ----------
    region : (n,) int32
        Ascending.
    begin_ns, end_ns : (n,) int64
        Half open, ascending within a region.
    state : (n,) int8
        A `State`; two spans that touch may have the same, where SNP was begun anew.
    """

    region: Int32Array
    begin_ns: Int64Array
    end_ns: Int64Array
    state: Int8Array


def region_spans(record: RunRecord) -> RegionSpans:
    """
    Compute the states of all regions over time.

    Parameters
    ----------
    record : RunRecord
        One policy on one trace.

    Returns
    -------
    RegionSpans
        By region, then time.
    """
    prepared, episodes = record.prepared, record.episodes
    horizon_ns, n_regions = prepared.horizon_ns, len(prepared.cores)
    # All that is not busy, in pieces; what is left between them is.
    edges = [0, *(t for epoch in prepared.snp.epochs for t in epoch), horizon_ns]
    off = [(a, min(b, horizon_ns)) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < min(b, horizon_ns)]
    of = episodes.region.astype(np.int64)
    holes = np.isin(episodes.region, prepared.trace.host.hole_regions())
    lit_ns = np.where(episodes.set_ns >= 0, episodes.set_ns, episodes.end_ns)
    regions = np.arange(n_regions)
    pieces = [
        (of, episodes.begin_ns, lit_ns, np.where(holes, State.OFF, State.FREE)),
        (of, lit_ns, episodes.end_ns, np.full(len(lit_ns), State.OPTIMIZED)),
        *((regions, np.full(n_regions, a), np.full(n_regions, b), np.full(n_regions, State.OFF)) for a, b in off),
    ]
    region, begin, end, state = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
    region, begin, end, state = _sorted(region, begin, end, state)
    # Before each piece, and after each region's last.
    heads = np.searchsorted(region, regions)
    before = np.insert(end, heads, 0)
    after = np.insert(begin, np.append(heads[1:], len(begin)), horizon_ns)
    around = np.insert(region, heads, regions)
    busy = np.full(len(around), State.BUSY)
    found = (np.concatenate(pair) for pair in ((region, around), (begin, before), (end, after), (state, busy)))
    region, begin, end, state = _sorted(*found)
    return RegionSpans(region.astype(np.int32), begin, end, state.astype(np.int8))


def _sorted(region: Int64Array, begin: Int64Array, end: Int64Array, state: Int64Array) -> tuple[Int64Array, ...]:
    kept = np.flatnonzero(begin < end)
    order = kept[np.lexsort((begin[kept], region[kept]))]
    return region[order], begin[order], end[order], state[order]
