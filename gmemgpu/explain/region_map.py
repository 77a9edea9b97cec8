"""Regions × time, folded to as many cells as there is room for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmemgpu.explain.record import Cause, PassState, RunRecord
from gmemgpu.explain.region_span import State, region_spans
from gmemgpu.model.trace import Int64Array

__all__ = ["RegionMap", "region_map"]


@dataclass(frozen=True, slots=True, eq=False)
class RegionMap:
    """
    Shares of states in cells of some regions × some time, and what happened in each stretch of time.

    Parameters
    ----------
    regions : (n_rows + 1,) int64
        Row i folds the regions ``regions[i]:regions[i + 1]``.
    times_ns : (n_columns + 1,) int64
        Column j folds the time from ``times_ns[j]`` to ``times_ns[j + 1]``.
    share : (n_rows, n_columns, len(State)) float64
        Of each cell's region × time; sums to 1.
    requests, passes, boots : (n_columns,) int64
        Requests that came, passes that started (they ran), and those of them that were boot passes.
    """

    regions: Int64Array
    times_ns: Int64Array
    share: NDArray[np.float64]
    requests: Int64Array
    passes: Int64Array
    boots: Int64Array


def region_map(
    record: RunRecord,
    n_rows: int,
    n_columns: int,
    *,
    regions: tuple[int, int] | None = None,
    times_ns: tuple[int, int] | None = None,
) -> RegionMap:
    """
    Compute the map of a run.

    Parameters
    ----------
    record : RunRecord
        One policy on one trace.
    n_rows, n_columns : int
        Most cells that there is room for; at least 1.
    regions : (int, int), optional
        The first region shown and the one after the last; all if left out.
    times_ns : (int, int), optional
        From when to when; the whole trace if left out.

    Returns
    -------
    RegionMap
        Each row folds as many regions as the others, but for the last.
    """
    first, stop = regions or (0, len(record.prepared.cores))
    begin_ns, end_ns = times_ns or (0, record.prepared.horizon_ns)
    per_row = -(-(stop - first) // n_rows)
    rows = np.append(np.arange(first, stop, per_row), stop)
    n_columns = min(n_columns, end_ns - begin_ns)
    edges = np.array([begin_ns + j * (end_ns - begin_ns) // n_columns for j in range(n_columns + 1)])
    spans = region_spans(record)
    shown = (spans.region >= first) & (spans.region < stop)
    row = (spans.region[shown] - first) // per_row
    begin, end, state = spans.begin_ns[shown], spans.end_ns[shown], spans.state[shown]
    area = np.empty((len(rows) - 1, n_columns, len(State)))
    for of in State:
        mine = state == of
        since = _time_since(row[mine], begin[mine], edges, len(rows) - 1)
        area[:, :, of] = np.diff(since - _time_since(row[mine], end[mine], edges, len(rows) - 1))
    passes = record.passes
    ran = passes.state == PassState.RAN
    return RegionMap(
        rows,
        edges,
        area / area.sum(axis=2, keepdims=True),
        _counts(record.requests.made.t_ns, edges),
        _counts(passes.start_ns[ran], edges),
        _counts(passes.start_ns[ran & (passes.cause == Cause.BOOT)], edges),
    )


def _counts(t_ns: Int64Array, edges: Int64Array) -> Int64Array:
    return np.diff(np.searchsorted(t_ns, edges))


# Sum over the marks t of each row of max(0, edge - t), for each edge. Floats: these are areas to look at.
def _time_since(row: Int64Array, t_ns: Int64Array, edges: Int64Array, n_rows: int) -> NDArray[np.float64]:
    n = len(edges)
    offset = t_ns - edges[0]
    at = np.searchsorted(edges, t_ns)
    inside = at < n
    cell = (row * n + at)[inside]
    count = np.bincount(cell, minlength=n_rows * n).reshape(n_rows, n).cumsum(axis=1)
    total = np.bincount(cell, offset[inside].astype(np.float64), n_rows * n).reshape(n_rows, n).cumsum(axis=1)
    since: NDArray[np.float64] = count * (edges - edges[0]) - total
    return since
