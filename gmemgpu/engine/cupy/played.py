"""Tables of a batch, on the host again, as what engines read of each trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmemgpu.engine.cupy.rows import STATES
from gmemgpu.engine.prepared import Played
from gmemgpu.model.trace import Int64Array, Trace
from gmemgpu.timeline.build import Timeline
from gmemgpu.timeline.integral import UsedIntegral
from gmemgpu.timeline.piece import IdRegions, Owners

__all__ = ["Columns", "joined", "played_traces"]

Columns = Mapping[str, NDArray[Any]]

_ROWS = ("class", "used")
_IDS = ("inode", "vm")


def joined(slices: Sequence[Columns]) -> Columns:
    """Return the rows of slices of regions as one, with nothing else, if there are several."""
    if len(slices) == 1:
        return slices[0]
    whole: dict[str, NDArray[Any]] = {}
    for name in slices[0]:
        if name.startswith(_ROWS):
            parts = [part[name] for part in slices]
            if name.endswith("_at"):
                ends = np.cumsum([0, *(part[-1] for part in parts)])
                parts = [*(part[:-1] + end for part, end in zip(parts, ends, strict=False)), ends[-1:]]
            whole[name] = np.concatenate(parts)
    return whole


def played_traces(traces: Sequence[Trace], columns: Columns, region_at: Int64Array) -> list[Played]:
    """
    Return what is known of each trace of a batch.

    Parameters
    ----------
    traces : sequence of Trace
        Cut at their horizons.
    columns : mapping of str to array
        Those of `Pieces.found`, which may lack, and of `region_rows`.
    region_at : (n_traces + 1,) int64
        First region of each trace.
    """
    known: list[list[IdRegions]] = [[] for _ in traces]
    if "inode_keys" in columns:
        for name in _IDS:
            for of_trace, found in zip(known, _by_trace(columns, name, region_at), strict=True):
                of_trace.append(found)
    played = []
    for k, (trace, (begin, end)) in enumerate(zip(traces, pairwise(region_at.tolist()), strict=True)):
        timeline = _timeline(trace, columns, begin, end, Owners(trace, *known[k]))
        clearings = None
        if "clearing_at" in columns:
            rows = slice(*columns["clearing_at"][k : k + 2])
            clearings = columns["clearing_t_ns"][rows], columns["clearing_region"][rows] - np.int32(begin)
        played.append(Played(timeline, _used(columns, begin, end), clearings))
    return played


def _by_trace(columns: Columns, name: str, region_at: Int64Array) -> list[IdRegions]:
    # Ids of all traces lie among one another; a trace is known by its regions.
    keys, since_ns = columns[f"{name}_keys"], columns[f"{name}_since_ns"]
    region = keys & ((1 << 32) - 1)
    of = np.searchsorted(region_at, region, "right") - 1
    order = np.argsort(of, kind="stable")
    edges = np.searchsorted(of[order], np.arange(len(region_at)))
    ids, region, since_ns = keys[order] >> 32, (region - region_at[of])[order].astype(np.int32), since_ns[order]
    return [IdRegions(ids[a:b], region[a:b], since_ns[a:b]) for a, b in pairwise(edges.tolist())]


def _timeline(trace: Trace, columns: Columns, begin: int, end: int, owners: Owners) -> Timeline:
    at = columns["class_at"][begin : end + 1]
    rows = slice(int(at[0]), int(at[-1]))
    assigned, gmem, evicting, used, first = (columns[f"class_{name}"][rows] for name in STATES)
    return Timeline(trace, at - at[0], columns["class_t"][rows], assigned, gmem, evicting, used, first, owners)


def _used(columns: Columns, begin: int, end: int) -> UsedIntegral | None:
    at = columns["used_at"][begin : end + 1]
    rows = slice(int(at[0]), int(at[-1]))
    t_ns, pages, high, low = (columns[f"used_{name}"][rows] for name in ("t", "pages", "high", "low"))
    return UsedIntegral(at - at[0], t_ns, pages, high, low) if pages.any() else None
