"""(Trace, policy) pairs on the device, in portions that memory asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array import evaluate_pairs, rows_by_trace
from gmemgpu.engine.array.batch import Pairs
from gmemgpu.engine.array.columns import TraceColumns
from gmemgpu.engine.array.constants import empty_rows
from gmemgpu.engine.array.settle import settled_rows
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.cupy.memory import ITEM_BYTES, LEAST_BYTES
from gmemgpu.errors import BackendError
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy

__all__ = ["EvaluatedBatch", "TooLarge", "evaluate_columns"]


class TooLarge(BackendError):
    """A pair does not fit beside the tables of its batch."""


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


def evaluate_columns(
    columns: TraceColumns, policies: Sequence[Policy], costs: Costs, budget_bytes: int
) -> EvaluatedBatch:
    """
    Evaluate every policy on every trace, on the current device and stream.

    Parameters
    ----------
    columns : TraceColumns
    policies : sequence of Policy
        May hold the oracle.
    costs : Costs
    budget_bytes : int
        What CuPy's pool may have in use, that of `columns` included.

    Raises
    ------
    TooLarge
        If a single pair does not fit.
    """
    import cupy

    pool = cupy.get_default_memory_pool()
    portions: list[int] = []
    sizes: list[int] = []

    def settle(pairs: Pairs) -> list[MetricRow]:
        try:
            settled = settled_rows(pairs)
        except cupy.cuda.memory.OutOfMemoryError:
            if len(pairs) == 1:
                raise
            settled = None
        if settled is None:
            # Others took memory meanwhile, or pairs more than expected. What the error held is free by now.
            pool.free_all_blocks()
            first, second = np.array_split(np.arange(len(pairs)), 2)
            return settle(pairs.some(first)) + settle(pairs.some(second))
        portions.append(len(pairs))
        sizes.append(int(pairs.items().sum()))
        return settled

    tables = Tables(columns)
    pairs = Pairs(tables, [policy for policy in policies if not policy.is_oracle], costs)
    items = pairs.items()
    empty_rows(tables)
    for policy in pairs.policies:
        pairs.counts.tracker_updates(policy)
        pairs.counts.of(policy.hook)
    # What all portions read is there by now.
    held_bytes = pool.used_bytes() + LEAST_BYTES
    room = budget_bytes - held_bytes
    largest = int(items.max(initial=0)) * ITEM_BYTES
    if largest > room:
        raise TooLarge(
            f'backend "cupy": one policy on this trace needs {largest + held_bytes} bytes on the device, and '
            f"{budget_bytes} are free; take numpy, or a device with more memory"
        )
    found = evaluate_pairs(pairs, most_items=room // ITEM_BYTES, settle=settle)
    rows = rows_by_trace(tables, policies, found)
    predicted_bytes = held_bytes + max(sizes, default=0) * ITEM_BYTES
    return EvaluatedBatch(rows, portions, predicted_bytes)
