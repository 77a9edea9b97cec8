"""CSV files as columns of text, turned into numbers column by column; every unreadable cell is named."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gmemgpu.errors import Problem, TraceError
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.toml_file import unknown_key
from gmemgpu.units import INT64_MAX
from gmemgpu.vmtable.exact_math import FloatArray

__all__ = ["CsvColumns", "MAX_ROWS_NAMED"]

MAX_ROWS_NAMED = 20
"""Rows of one column that are blamed by number; the rest are counted."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


class CsvColumns:
    """
    A CSV file, plain or gzipped, with or without byte-order mark, with either line end.

    Parameters
    ----------
    path : Path
    names : sequence of str, optional
        Columns of a file without a header line, in order.

    Raises
    ------
    TraceError
        If the file cannot be read as CSV at all.
    """

    def __init__(self, path: Path, names: Sequence[str] | None = None) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self._table = self._read(names)
        self.names = tuple(self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def _read(self, names: Sequence[str] | None) -> Any:
        skip = 0
        if names is None:
            names, skip = self.header(self.path), 1

        def refuse(row: Any) -> str:
            # Arrow counts lines from 1, the header line among them.
            number = (row.number or 0) - skip
            self.problems.append(
                Problem(
                    f"{self.path}: row {number}",
                    f"has {row.actual_columns} fields, not {row.expected_columns}; repair or remove the row",
                )
            )
            return "skip"

        try:
            with pa.input_stream(str(self.path), compression="detect") as stream:
                table = pa.csv.read_csv(
                    stream,
                    read_options=pa.csv.ReadOptions(column_names=list(names), skip_rows=skip, use_threads=False),
                    parse_options=pa.csv.ParseOptions(invalid_row_handler=refuse),
                    convert_options=pa.csv.ConvertOptions(
                        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                    ),
                )
        except pa.ArrowInvalid as error:
            # A header line and nothing after it, with or without a line end.
            if "Empty CSV" in str(error) or "Could not skip initial" in str(error):
                return pa.table({name: pa.array([], pa.string()) for name in names})
            raise TraceError(Problem(str(self.path), f"is no CSV text: {error}")) from None
        except OSError as error:
            raise TraceError(_unreadable(self.path, error)) from None
        return table

    @staticmethod
    def header(path: Path) -> list[str]:
        """
        Give the column names in a file's first line.

        Raises
        ------
        TraceError
            If the file is empty, cannot be read, or names a column twice.
        """
        try:
            with pa.input_stream(str(path), compression="detect") as stream:
                start = bytes(stream.read(1 << 16))
        except OSError as error:
            raise TraceError(_unreadable(path, error)) from None
        line = start.split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
        names = [name.strip().strip('"') for name in line.split(",")]
        if not line.strip():
            raise TraceError(Problem(str(path), "is empty; the first line names the columns"))
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise TraceError(Problem(str(path), f"names column {', '.join(doubled)} twice; keep one"))
        return names

    def check_names(self, required: Sequence[str], optional: Sequence[str] = ()) -> None:
        """
        Note columns that are missing or unknown.

        Raises
        ------
        TraceError
            At once if a required one is missing, since no row can be read.
        """
        known = [*required, *optional]
        self.problems.extend(
            Problem(f"{self.path}: column {name}", unknown_key(name, known, "column"))
            for name in self.names
            if name not in known
        )
        missing = [name for name in required if name not in self.names]
        if missing:
            self.problems.extend(
                Problem(f"{self.path}: column {name}", "is missing; the first line names the columns")
                for name in missing
            )
            self.raise_problems()

    def text(self, name: str) -> list[str]:
        """Give a column as it stands, but for blanks around it."""
        cells: list[str] = pc.utf8_trim_whitespace(self._table[name]).to_pylist()
        return cells

    def integers(self, name: str, low: int = 0, high: int = INT64_MAX) -> Int64Array:
        """
        Give a column of integers; cells that are none, or outside low … high, are noted and become `low`.

        Parameters
        ----------
        name : str
        low, high : int
        """
        column = pc.utf8_trim_whitespace(self._table[name])
        try:
            values: Int64Array = column.cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid:
            cells = column.to_pylist()
            readable = np.array([_is_integer(cell) for cell in cells], dtype=bool)
            self._blame(name, ~readable, lambda i: f'"{cells[i]}" is not an integer')
            values = np.array([int(cell) if ok else low for cell, ok in zip(cells, readable, strict=True)], np.int64)
        wrong = (values < low) | (values > high)
        self._blame(name, wrong, lambda i: f"{values[i]} is outside {low} to {high}")
        return np.where(wrong, low, values)

    def decimals(self, name: str, low: float = 0.0, high: float = float(1 << 40)) -> FloatArray:
        """
        Give a column of decimal numbers; cells that are none, or outside low … high, are noted and become `low`.

        Parameters
        ----------
        name : str
        low, high : float
        """
        column = pc.utf8_trim_whitespace(self._table[name])
        try:
            values: FloatArray = column.cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            cells = column.to_pylist()
            parsed = [_decimal(cell) for cell in cells]
            unreadable = np.array([number is None for number in parsed], dtype=bool)
            self._blame(name, unreadable, lambda i: f'"{cells[i]}" is not a number')
            values = np.array([low if number is None else number for number in parsed], np.float64)
        # A NaN is neither below nor above: ask for what is right.
        wrong = ~((values >= low) & (values <= high))
        self._blame(name, wrong, lambda i: f"{values[i]:g} is outside {low:g} to {high:g}")
        return np.where(wrong, low, values)

    def blame(self, name: str, wrong: BoolArray, message: str) -> None:
        """Note that some rows of a column break a rule."""
        self._blame(name, wrong, lambda _: message)

    def _blame(self, name: str, wrong: BoolArray, message: Callable[[int], str]) -> None:
        rows = np.flatnonzero(wrong)
        self.problems.extend(
            Problem(f"{self.path}: row {row + 1}, column {name}", message(int(row))) for row in rows[:MAX_ROWS_NAMED]
        )
        if len(rows) > MAX_ROWS_NAMED:
            more = len(rows) - MAX_ROWS_NAMED
            self.problems.append(Problem(f"{self.path}: column {name}", f"{more} more rows have the same fault"))

    def raise_problems(self) -> None:
        """
        Report what was noted.

        Raises
        ------
        TraceError
            If anything was.
        """
        if self.problems:
            raise TraceError(self.problems)


def _unreadable(path: Path, error: OSError) -> Problem:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return Problem(str(path), f"cannot be read: {reason}; check the path, or copy the file again")


def _is_integer(cell: str) -> bool:
    return _INTEGER.fullmatch(cell) is not None and abs(int(cell)) <= INT64_MAX


def _decimal(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
