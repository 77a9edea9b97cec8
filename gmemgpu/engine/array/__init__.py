"""The engine of array operations: passes of many policies at once, settled in a few rounds rather than one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from gmemgpu.engine.array.batch import Pair, pair_items, pair_of
from gmemgpu.engine.array.joined import JoinedTables
from gmemgpu.engine.array.settle import settled_rows
from gmemgpu.engine.array.table import TraceTable
from gmemgpu.engine.class_code import check_63_bits
from gmemgpu.engine.outcome import oracle_row
from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.trace import Trace
from gmemgpu.rmp.timed_scan import scan_at

__all__ = ["NumpyEngine", "evaluate_pairs", "rows_of_trace"]

BATCH_ITEMS = 1 << 17
"""Rows and requests that pairs of one batch have together: their arrays then stay near the cores."""


def _kind(pair: Pair) -> int:
    return {"window": 0, "dirty_retry": 1}.get(pair.policy.scope, 2)


def _batches(pairs: Sequence[Pair], items: Sequence[int], most_items: int) -> Iterator[list[int]]:
    # Indices of pairs of one kind that fit one batch; at least one each.
    waiting: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    for q, (pair, size) in enumerate(zip(pairs, items, strict=True)):
        kind = _kind(pair)
        if waiting.get(kind) and sizes[kind] + size > most_items:
            yield waiting.pop(kind)
        if kind not in waiting:
            waiting[kind], sizes[kind] = [], 0
        waiting[kind].append(q)
        sizes[kind] += size
    yield from waiting.values()


def evaluate_pairs(
    pairs: Sequence[Pair],
    *,
    items: Sequence[int] | None = None,
    most_items: int | None = None,
    settle: Callable[..., list[MetricRow]] = settled_rows,
) -> list[MetricRow]:
    """
    Evaluate pairs of any traces and policies, in batches.

    Parameters
    ----------
    pairs : sequence of Pair
        The oracle is none of them.
    items : sequence (n_pairs) of int, optional
        What `pair_items` counts, if that is known.
    most_items : int, optional
        How much a batch holds, as `pair_items` counts; `BATCH_ITEMS` if left out.
    settle : callable
        Evaluates a batch: takes what `settled_rows` takes.

    Returns
    -------
    list of MetricRow
        One a pair.
    """
    rows: dict[int, MetricRow] = {}
    tables = JoinedTables(list({id(pair.table): pair.table for pair in pairs}.values())) if pairs else None
    items = list(map(pair_items, pairs)) if items is None else items
    for batch in _batches(pairs, items, BATCH_ITEMS if most_items is None else most_items):
        rows.update(zip(batch, settle([pairs[q] for q in batch], tables=tables), strict=True))
    return [rows[q] for q in range(len(pairs))]


def rows_of_trace(table: TraceTable, policies: Sequence[Policy], rows: Iterator[MetricRow]) -> list[MetricRow]:
    """
    Return the rows of a trace's pairs in the order of policies, with those of the oracle between them.

    Parameters
    ----------
    table : TraceTable
    policies : sequence of Policy
    rows : iterator of MetricRow
        Of all policies but the oracle.
    """
    return [oracle_row(table.prepared) if policy.is_oracle else next(rows) for policy in policies]


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

        def rows_of(trace: Trace) -> list[MetricRow]:
            check_63_bits(trace, costs, self.name)
            table = TraceTable(Prepared(trace))
            pairs = [pair_of(table, policy, costs) for policy in policies if not policy.is_oracle]
            return rows_of_trace(table, policies, iter(evaluate_pairs(pairs)))

        # Not a loop: its variable would keep a trace alive while the next one is made.
        return list(map(rows_of, traces))

    def scan_rmp(self, trace: Trace, times_ns: Sequence[int]) -> RegionScan:
        """Build one image and move it on from time to time."""
        return scan_at(trace, times_ns)
