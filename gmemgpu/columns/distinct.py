"""Columns with few different cells: each of these is read once, by a function of one cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gmemgpu.columns.message import shown
from gmemgpu.columns.table import Columns
from gmemgpu.model.trace import BoolArray, Int64Array

__all__ = ["Cell", "EMPTY_WORDS", "is_empty", "parse_cells", "plain_type"]

Cell: TypeAlias = str | int | float | bool
"""What a cell may be, once empty ones are set aside."""

EMPTY_WORDS = ("", "null", "none", "nan", "nat", "n/a", "na", "nil", "-", "\\n")
r"""What is written where nothing is known, in any case; ``\N`` is MySQL's."""


def is_empty(cells: pa.ChunkedArray) -> BoolArray:
    """
    Return which cells say nothing.

    Parameters
    ----------
    cells : pyarrow.ChunkedArray
        Text, or of another plain type.

    Returns
    -------
    (n,) bool
        True for null, not-a-number and `EMPTY_WORDS`.
    """
    empty = pc.is_null(cells, nan_is_null=pa.types.is_floating(cells.type))
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        words = pc.is_in(pc.utf8_lower(cells), value_set=pa.array(EMPTY_WORDS, cells.type))
        empty = pc.or_(empty, words)
    mask: BoolArray = np.array(empty.to_pylist(), bool)
    return mask


def plain_type(kind: pa.DataType) -> bool:
    """
    Return whether cells of a type are text, numbers, booleans or nothing.

    Parameters
    ----------
    kind : pyarrow.DataType
        Not a dictionary.

    Returns
    -------
    bool
        False for times, bytes, lists and so on.
    """
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)
    return any(test(kind) for test in (*tests, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null))


def parse_cells(
    columns: Columns, name: str, parse: Callable[[Cell], int], *, empty: int | None = None
) -> tuple[Int64Array, list[Cell]]:
    """
    Read a column of text, numbers or booleans by a function of one cell.

    Parameters
    ----------
    columns : Columns
        The table.
    name : str
        The column.
    parse : callable
        From a cell that is not empty to its value; raises ValueError with what is wrong and what to write.
    empty : int, optional
        Value of empty cells; if left out they are refused.

    Returns
    -------
    (n,) int64
        Refused cells are 0, or `empty`.
    list
        The different cells that were read.
    """
    n = len(columns)
    cells = columns.cells(name)
    if not plain_type(cells.type):
        columns.refuse_column(name, f"holds {shown(str(cells.type))[1:-1]}; write text or numbers")
        return np.zeros(n, np.int64), []
    if pa.types.is_null(cells.type) or pa.types.is_decimal(cells.type):
        cells = cells.cast(pa.float64())
    blank = is_empty(cells)
    encoded = cells.dictionary_encode().unify_dictionaries()
    different = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    places = np.array(pc.fill_null(_indices(encoded), 0).to_pylist() if n else [], np.int64)
    values = np.zeros(max(len(different), 1), np.int64)
    faults: dict[int, str] = {}
    used = np.bincount(places[~blank], minlength=len(values)) > 0
    for i in np.flatnonzero(used).tolist():
        try:
            values[i] = parse(different[i])
        except (ValueError, OverflowError) as error:
            faults[i] = str(error)
    result = values[places]
    result[blank] = empty or 0
    if empty is None:
        columns.refuse_cells(name, blank, lambda _: "is empty", "it is empty")
    if faults:
        wrong = ~blank & np.isin(places, list(faults))
        columns.refuse_cells(name, wrong, lambda row: faults[int(places[row])])
        result[wrong] = empty or 0
    read = [different[i] for i in np.flatnonzero(used).tolist() if i not in faults]
    return result, read


def _indices(encoded: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32())
