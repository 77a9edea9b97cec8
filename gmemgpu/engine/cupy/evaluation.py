"""(Trace, policy) pairs on the device: tables of some traces at a time, pairs in portions that memory asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gmemgpu.engine.array import evaluate_pairs, rows_of_trace
from gmemgpu.engine.array.batch import Pair, pair_items, pair_of
from gmemgpu.engine.array.joined import JoinedTables
from gmemgpu.engine.array.settle import settled_rows
from gmemgpu.engine.array.table import TraceTable
from gmemgpu.engine.array.xp.on_cupy import CupyNamespace
from gmemgpu.engine.cupy.kernel import launch_here
from gmemgpu.engine.cupy.memory import ITEM_BYTES, LEAST_BYTES, table_bytes
from gmemgpu.engine.prepared import Prepared
from gmemgpu.errors import BackendError
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy

__all__ = ["EvaluatedBatch", "evaluate_prepared"]


@dataclass(frozen=True, slots=True)
class EvaluatedBatch:
    """
    Rows, and what they took.

    Parameters
    ----------
    rows : list (traces) of list (policies) of MetricRow
    portions : list of int
        How many pairs were evaluated at a time.
    predicted_bytes : int
        Device memory expected at most.
    """

    rows: list[list[MetricRow]]
    portions: list[int]
    predicted_bytes: int


def evaluate_prepared(
    traces: Sequence[Prepared], policies: Sequence[Policy], costs: Costs, budget_bytes: int
) -> EvaluatedBatch:
    """
    Evaluate every policy on every trace, on the current device and stream.

    Parameters
    ----------
    traces : sequence of Prepared
    policies : sequence of Policy
        May hold the oracle.
    costs : Costs
    budget_bytes : int
        Device memory to take.

    Raises
    ------
    BackendError
        If a single pair does not fit.
    """
    import cupy

    xp = CupyNamespace(cupy, launch_here)
    own = [policy for policy in policies if not policy.is_oracle]
    rows: list[list[MetricRow]] = []
    portions: list[int] = []
    most_bytes = 0

    def settle(pairs: Sequence[Pair], *, tables: JoinedTables | None) -> list[MetricRow]:
        try:
            settled = settled_rows(pairs, tables=tables)
        except cupy.cuda.memory.OutOfMemoryError:
            if len(pairs) == 1:
                raise
            settled = None
        if settled is None:
            # Others took memory meanwhile, or pairs more than expected. What the error held is free by now.
            cupy.get_default_memory_pool().free_all_blocks()
            half = len(pairs) // 2
            return settle(pairs[:half], tables=tables) + settle(pairs[half:], tables=tables)
        portions.append(len(pairs))
        return settled

    for group, n_bytes in _groups(traces, own, budget_bytes):
        tables = [TraceTable(prepared, xp) for prepared in group]
        pairs = [pair_of(table, policy, costs) for table in tables for policy in own]
        items = list(map(pair_items, pairs))
        room = budget_bytes - n_bytes - LEAST_BYTES
        largest = max(items, default=0) * ITEM_BYTES
        if largest > room:
            raise BackendError(
                f'backend "cupy": one policy on this trace needs {largest + n_bytes + LEAST_BYTES} bytes on the '
                f"device, and {budget_bytes} are free; take numpy, or a device with more memory"
            )
        most_items = room // ITEM_BYTES
        found = iter(evaluate_pairs(pairs, items=items, most_items=most_items, settle=settle))
        rows += [rows_of_trace(table, policies, found) for table in tables]
        most_bytes = max(most_bytes, n_bytes + LEAST_BYTES + min(sum(items), most_items) * ITEM_BYTES)
    return EvaluatedBatch(rows, portions, most_bytes)


def _groups(
    traces: Sequence[Prepared], policies: Sequence[Policy], budget_bytes: int
) -> Iterator[tuple[list[Prepared], int]]:
    # Traces whose tables take a part of the memory, the rest being for pairs; at least one.
    group: list[Prepared] = []
    n_bytes = 0
    for prepared in traces:
        needed = table_bytes(prepared, policies)
        if group and n_bytes + needed > budget_bytes // 4:
            yield group, n_bytes
            group, n_bytes = [], 0
        group.append(prepared)
        n_bytes += needed
    if group:
        yield group, n_bytes
