"""Arrow columns, whatever their types, to the arrays of a trace; rows that have no meaning are named and left out."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmemgpu.errors import Problem
from gmemgpu.model.event import KIND_BY_NAME
from gmemgpu.model.trace import COLUMNS, BoolArray, Int64Array
from gmemgpu.toml_file import unknown_key
from gmemgpu.trace.check import COLUMN_DTYPES, list_rows

__all__ = ["trace_columns"]

_UNKNOWN, _MISSING = -1, -2


def _numpy(chunks: list[pa.Array], dtype: type[np.generic]) -> NDArray[Any]:
    # Not to_numpy, which loads pandas where it is installed: half a second for nothing.
    parts = [np.from_dlpack(chunk) for chunk in chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


class _Rows:
    """Names rows that cannot be taken, and remembers them."""

    def __init__(self, n: int, where: str, row_numbers: Int64Array | None, problems: list[Problem]) -> None:
        self.bad: BoolArray = np.zeros(n, bool)
        self._where = where
        self._numbers = row_numbers
        self._problems = problems

    def refuse(self, column: str, broken: BoolArray, message: Callable[[int], str], rule: str) -> None:
        indices = np.flatnonzero(broken)
        if len(indices):
            rows = indices + 1 if self._numbers is None else self._numbers[indices]
            list_rows(self._where, column, rows, lambda i: message(int(indices[i])), rule, self._problems)
            self.bad |= broken

    def blame(self, column: str, message: str) -> None:
        self._problems.append(Problem(f"{self._where}: column {column}", message))


def _integers(column: pa.ChunkedArray, name: str, rows: _Rows) -> NDArray[Any] | None:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        rows.blame(name, f"holds {column.type}; write integers, as {np.dtype(COLUMN_DTYPES[name])}")
        return None
    if pa.types.is_null(column.type):
        column = column.cast(pa.int64())
    if column.null_count:
        missing = column.is_null().to_numpy()
        rows.refuse(name, missing, lambda _: "is empty; every row has every column", "it is empty")
        column = column.fill_null(0)
    dtype = COLUMN_DTYPES[name]
    values = _numpy(column.chunks, dtype)
    limits = np.iinfo(dtype)
    # Compared in the column's own type: a uint64 above 2**63 must not wrap first.
    too_large = (values > limits.max) | (values < limits.min)
    rows.refuse(
        name, too_large, lambda i: f"{values[i]} does not fit {np.dtype(dtype)}", f"it does not fit {np.dtype(dtype)}"
    )
    fitting: NDArray[Any] = values.astype(dtype, copy=False)
    return fitting


def _kinds(column: pa.ChunkedArray, rows: _Rows) -> NDArray[np.int8] | None:
    kind = column.type
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if not any(is_text(values) for is_text in text):
        rows.blame("kind", f"holds {kind}; write the kinds' names as text, as in assign")
        return None
    encoded = (column if pa.types.is_dictionary(kind) else column.dictionary_encode()).unify_dictionaries()
    if not encoded.num_chunks:
        return np.zeros(0, np.int8)
    # All bytes that are no UTF-8 are some unknown kind, not a crash.
    names = [
        None if name is None else name.decode(errors="replace").strip()
        for name in encoded.chunk(0).dictionary.cast(pa.large_binary()).to_pylist()
    ]
    codes = [_MISSING if name is None else int(KIND_BY_NAME.get(name, _UNKNOWN)) for name in names]
    lookup = np.array([*codes, _MISSING], np.int8)
    indices = [chunk.indices.cast(pa.int32()) for chunk in encoded.chunks]
    places = _numpy([pc.fill_null(part, -1) if part.null_count else part for part in indices], np.int32)
    found: NDArray[np.int8] = lookup[places]

    def unknown(i: int) -> str:
        name = str(names[places[i]])
        close = get_close_matches(name, KIND_BY_NAME, n=1)
        return f'"{name[:40]}" is unknown; ' + (
            f'did you mean "{close[0]}"?' if close else f"use {', '.join(KIND_BY_NAME)}"
        )

    if found.size and found.min() < 0:
        rows.refuse("kind", found == _MISSING, lambda _: "is empty; every row has every column", "it is empty")
        rows.refuse("kind", found == _UNKNOWN, unknown, "the kind is unknown")
    return found


def trace_columns(
    table: pa.Table, where: str, row_numbers: Int64Array | None, problems: list[Problem]
) -> tuple[dict[str, NDArray[Any]], Int64Array | None] | None:
    """
    Turn a table of any Arrow types that fit into the columns of a trace.

    Parameters
    ----------
    table : pyarrow.Table
        As read from a file; columns in any order.
    where : str
        The file, for messages.
    row_numbers : (n,) int64 or None
        1-based data row of each row of the table; None for 1 to n.
    problems : list of Problem
        Unknown, missing and misshapen columns, and rows without meaning, are named here.

    Returns
    -------
    dict of str to (m,) array, and (m,) int64 or None
        The rows that have a meaning, with `COLUMN_DTYPES`, and their numbers; None alone if a column is missing.
    """
    names = table.column_names
    for name in dict.fromkeys(names):
        if name not in COLUMNS:
            problems.append(Problem(f"{where}: column {name}", unknown_key(name, COLUMNS, "column")))
        elif names.count(name) > 1:
            problems.append(Problem(f"{where}: column {name}", f"is there {names.count(name)} times; keep one"))
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        lacks = f"lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        problems.append(Problem(where, f"{lacks}; a trace has {', '.join(COLUMNS)}"))
    rows = _Rows(table.num_rows, where, row_numbers, problems)
    columns: dict[str, NDArray[Any]] = {}
    for name in COLUMNS:
        if names.count(name) == 1:
            column = table.column(name)
            values = _kinds(column, rows) if name == "kind" else _integers(column, name, rows)
            if values is not None:
                columns[name] = values
    if len(columns) < len(COLUMNS):
        return None
    if rows.bad.any():
        keep = np.flatnonzero(~rows.bad)
        columns = {name: values[keep] for name, values in columns.items()}
        row_numbers = keep + 1 if row_numbers is None else row_numbers[keep]
    return columns, row_numbers
