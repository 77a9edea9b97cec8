"""The quantities of every row of a store, in plain columns of floats."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gmemgpu.metrics.columns import Columns, chunks
from gmemgpu.metrics.quantity import MORE_QUANTITIES, QUANTITIES
from gmemgpu.model import ORACLE_NAME
from gmemgpu.report.grouping import codes_of, combined, numbered, rows_beside
from gmemgpu.sweeping.store.read import StoredRows

__all__ = ["row_quantities"]


def row_quantities(stored: StoredRows) -> pa.Table:
    """
    Compute the quantities of every row.

    Parameters
    ----------
    stored : StoredRows
        With all columns.

    Returns
    -------
    pyarrow.Table
        ``label``, ``preset``, the axes, ``seed`` and ``policy``, then a float64 column for each quantity, by
        `Quantity.key`: shares 0 to 1, times in the unit of the key, not a number where there is none.
    """
    table = stored.table
    policy, names = codes_of(table["policy"])
    label, _ = codes_of(table["label"])
    seed, seeds = numbered(np.concatenate(list(chunks(table["seed"]))))
    bound = names.index(ORACLE_NAME) if ORACLE_NAME in names else None
    columns = Columns(table.column, rows_beside(combined(label, seed, len(seeds))[0], policy, bound))
    found = table.select(["label", "preset", *stored.axes, "seed", "policy"])
    for quantity in (*QUANTITIES, *MORE_QUANTITIES):
        found = found.append_column(quantity.key, pa.array(quantity.values(columns), pa.float64()))
    return found
