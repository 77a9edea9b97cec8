"""Rows that rounds hand on: few of many, marked."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.xp.namespace import Array
from gmemgpu.model.trace import Int64Array

__all__ = ["RowMarks"]


class RowMarks:
    """
    Some rows of a batch, none at first.

    Parameters
    ----------
    batch : Batch

    Attributes
    ----------
    on : (n_rows,) bool
        Whether a row is marked.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.on = batch.xp.zeros(batch.n_rows, bool)
        self._rows = batch.xp.zeros(0, np.int64)

    def replace(self, rows: Array) -> Array:
        """Mark these rows and no others; return which pairs had others before, (n_pairs,) bool."""
        batch, xp, on, old = self._batch, self._batch.xp, self.on, self._rows
        new = ~on[rows]
        on[old] = False
        on[rows] = True
        differs = xp.concatenate([rows[new], old[~on[old]]])
        self._rows = rows
        changed: Array = xp.zeros(len(batch), bool)
        changed[batch.pair_of_row(differs)] = True
        return changed

    def of_some(self, batch: Batch, chosen: Int64Array) -> RowMarks:
        """Return the marks of a batch of the pairs `chosen` here, ascending."""
        xp, taken = batch.xp, RowMarks(batch)
        place = np.full(len(self._batch), -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        pair = self._batch.pair_of_row(self._rows)
        to = xp.asarray(place)[pair]
        kept = to >= 0
        taken.replace(self._rows[kept] - self._batch.row_at[pair[kept]] + batch.row_at[to[kept]])
        return taken
