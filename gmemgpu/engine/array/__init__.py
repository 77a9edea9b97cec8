"""The engine of array operations: passes of many policies at once, settled in a few rounds rather than one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from gmemgpu.engine.array.batch import Pairs
from gmemgpu.engine.array.columns import host_columns
from gmemgpu.engine.array.constants import oracle_rows
from gmemgpu.engine.array.settle import settled_rows
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.class_code import check_63_bits
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.trace import Int64Array, Trace
from gmemgpu.rmp.timed_scan import scan_at

__all__ = ["NumpyEngine", "evaluate_pairs", "rows_by_trace", "rows_one_by_one"]

BATCH_ITEMS = 1 << 17
"""Rows and requests that pairs of one batch have together: their arrays then stay near the cores."""


def _kind(policy: Policy) -> int:
    return {"window": 0, "dirty_retry": 1}.get(policy.scope, 2)


def _batches(pairs: Pairs, most_items: int) -> Iterator[Int64Array]:
    # Indices of pairs of one kind that fit one batch; at least one each.
    items = pairs.items()
    kinds = np.array([_kind(policy) for policy in pairs.policies])[pairs.policy_of]
    for kind in np.unique(kinds).tolist():
        own = np.flatnonzero(kinds == kind)
        ends = np.cumsum(items[own])
        begin = done = 0
        while begin < len(own):
            end = max(begin + 1, int(np.searchsorted(ends, done + most_items, "right")))
            yield own[begin:end]
            begin, done = end, int(ends[end - 1])


def evaluate_pairs(
    pairs: Pairs,
    *,
    most_items: int | None = None,
    settle: Callable[[Pairs], list[MetricRow]] = settled_rows,
) -> list[MetricRow]:
    """
    Evaluate pairs of any traces and policies, in batches.

    Parameters
    ----------
    pairs : Pairs
    most_items : int, optional
        How much a batch holds, as `Pairs.items` counts; `BATCH_ITEMS` if left out.
    settle : callable
        Evaluates a batch.

    Returns
    -------
    list of MetricRow
        One a pair.
    """
    rows: dict[int, MetricRow] = {}
    if len(pairs):
        for batch in _batches(pairs, BATCH_ITEMS if most_items is None else most_items):
            rows.update(zip(batch.tolist(), settle(pairs.some(batch)), strict=True))
    return [rows[q] for q in range(len(pairs))]


def rows_by_trace(tables: Tables, policies: Sequence[Policy], rows: Sequence[MetricRow]) -> list[list[MetricRow]]:
    """
    Return the rows of each trace in the order of policies, with those of the oracle between them.

    Parameters
    ----------
    tables : Tables
    policies : sequence of Policy
    rows : sequence of MetricRow
        Of all policies but the oracle, trace by trace.
    """
    bounds = [k for k, policy in enumerate(policies) if policy.is_oracle]
    n = len(policies) - len(bounds)
    found = [list(rows[k * n : (k + 1) * n]) for k in range(len(tables))]
    if bounds:
        for of_trace, bound in zip(found, oracle_rows(tables), strict=True):
            for k in bounds:
                of_trace.insert(k, bound.copy())
    return found


def rows_one_by_one(
    traces: Iterable[Trace],
    policies: Sequence[Policy],
    costs: Costs,
    backend: str,
    evaluate: Callable[[Pairs], list[MetricRow]],
    *,
    compiled: bool = False,
) -> list[list[MetricRow]]:
    """Evaluate the pairs of one trace after the other, one trace in memory at a time; `compiled` are timelines."""

    def rows_of(trace: Trace) -> list[MetricRow]:
        check_63_bits(trace, costs, backend)
        tables = Tables(host_columns(trace, compiled=compiled))
        pairs = Pairs(tables, [policy for policy in policies if not policy.is_oracle], costs)
        return rows_by_trace(tables, policies, evaluate(pairs))[0]

    # Not a loop: its variable would keep a trace alive while the next one is made.
    return list(map(rows_of, traces))


class NumpyEngine:
    """The fallback that runs everywhere; `gmemgpu.engine.protocol.Engine` describes the methods."""

    name = "numpy"

    def missing(self) -> str | None:
        """Return None: NumPy is a core dependency."""
        return None

    def evaluate(self, traces: Iterable[Trace], policies: Sequence[Policy], costs: Costs) -> list[list[MetricRow]]:
        """
        Evaluate every policy on every trace, one trace in memory at a time.

        Raises
        ------
        BackendError
            If a pass might last so long that its times do not fit 63 bits.
        """
        return rows_one_by_one(traces, policies, costs, self.name, evaluate_pairs)

    def scan_rmp(self, trace: Trace, times_ns: Sequence[int]) -> RegionScan:
        """Build one image and move it on from time to time."""
        return scan_at(trace, times_ns)
