"""Columns of a file, turned into arrays one by one; whatever cannot be read is named and judged by no rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmemgpu.columns.arrow_values import finite_decimals, is_binary, is_text, joined, mask_of
from gmemgpu.columns.cell import DECIMAL, PLAIN_INTEGER, integer_of
from gmemgpu.columns.message import shown, shown_name
from gmemgpu.columns.refusals import Refusals
from gmemgpu.errors import Problem
from gmemgpu.model.trace import Int64Array
from gmemgpu.toml_file import unknown_key
from gmemgpu.units import INT64_MAX

__all__ = ["Columns"]

_EMPTY = "is empty; every row has every column"
_NOT_UTF8 = "is not UTF-8 text; save the file as UTF-8"
_UNKNOWN, _MISSING = -1, -2


class Columns(Refusals):
    """
    A table read from a file, with the problems found in it.

    Parameters
    ----------
    table : pyarrow.Table
        Columns of text, or of any other Arrow types.
    where : str
        The file, for messages.
    problems : list of Problem, optional
        Where problems are appended; a new list if left out.
    row_numbers : (n,) int64, optional
        1-based data row of each row of the table; 1 to n if left out.
    """

    def __init__(
        self,
        table: pa.Table,
        where: str,
        problems: list[Problem] | None = None,
        row_numbers: Int64Array | None = None,
    ) -> None:
        super().__init__(table.num_rows, where, problems, row_numbers)
        self.names: tuple[str, ...] = tuple(table.column_names)
        self._table = table

    def __len__(self) -> int:
        return self._n_rows

    def check_names(self, required: Sequence[str], optional: Sequence[str] = ()) -> None:
        """
        Check that the columns are there, each once, and no others.

        Parameters
        ----------
        required, optional : sequence of str
            Column names.

        Raises
        ------
        TraceError
            With all problems so far, if a required column is missing or one comes twice: no row can be read.
        """
        known = [*required, *optional]
        doubled = False
        for name in dict.fromkeys(self.names):
            column = shown_name(name)
            if name not in known:
                self.problems.append(Problem(f"{self.where}: column {column}", unknown_key(name, known, "column")))
            elif self.names.count(name) > 1:
                doubled = True
                times = f"is there {self.names.count(name)} times; keep one"
                self.problems.append(Problem(f"{self.where}: column {column}", times))
        missing = [name for name in required if name not in self.names]
        if missing:
            lacks = f"lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
            self.problems.append(Problem(self.where, f"{lacks}; it needs {', '.join(required)}"))
        if missing or doubled:
            self.raise_problems()

    def select(self, places: Sequence[int]) -> None:
        """
        Keep some columns alone; of those that are left out no cell is looked at.

        Parameters
        ----------
        places : sequence of int
            Which, from 0; no two of the same name.
        """
        self._table = self._table.select(list(places))
        self.names = tuple(self._table.column_names)

    def rename(self, names: Sequence[str]) -> None:
        """
        Set the names of the columns.

        Parameters
        ----------
        names : sequence of str
            One a column, in order.
        """
        self._table = self._table.rename_columns(list(names))
        self.names = tuple(names)

    def cells(self, name: str) -> pa.ChunkedArray:
        """
        Return a column's cells as the file has them; text without blanks around it.

        Parameters
        ----------
        name : str
            The column.

        Returns
        -------
        pyarrow.ChunkedArray
            Of any type but dictionaries.
        """
        column = self._decoded(name)
        return pc.utf8_trim_whitespace(column) if is_text(column.type) else column

    def text(self, name: str) -> list[str]:
        """
        Read a column as it stands, but for blanks around each cell.

        Parameters
        ----------
        name : str
            The column.

        Returns
        -------
        list of str
            One a row.
        """
        cells: list[str] = self._trimmed(name).to_pylist()
        return cells

    def holds(self, name: str, word: str) -> bool:
        """
        Check whether some cell of a column of text is a word.

        Parameters
        ----------
        name, word : str
            The column, and the word.

        Returns
        -------
        bool
            True if one is.
        """
        return bool(pc.any(pc.equal(self._trimmed(name), word)).as_py())

    def integers(
        self, name: str, low: int = 0, high: int = INT64_MAX, dtype: type[np.signedinteger[Any]] = np.int64
    ) -> NDArray[Any]:
        """
        Read a column of integers, of text or of any Arrow type of integers.

        Parameters
        ----------
        name : str
            The column.
        low, high : int
            The range that is allowed, both ends included; it fits `dtype`.
        dtype : type, default int64
            Of the result.

        Returns
        -------
        (n,) array of `dtype`
            Cells that are no integer of the range are noted, and are `low`.
        """
        column = self._decoded(name)
        if is_text(column.type):
            return self._text_integers(name, low, high).astype(dtype, copy=False)
        if not (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
            self.refuse_column(name, f"holds {column.type}; write integers")
            return np.full(len(self), low, dtype)
        wrong = np.zeros(0, bool)
        if column.null_count:
            wrong = mask_of(column.is_null())
            self.refuse_cells(name, wrong, lambda _: _EMPTY)
            column = column.cast(pa.int64()) if pa.types.is_null(column.type) else column
            column = column.fill_null(0)
        values = joined(column.chunks, dtype)
        # Compared in the column's own type: a uint64 above 2**63 must not wrap first.
        if len(values) and (values.min() < low or values.max() > high):
            outside = (values < low) | (values > high)
            self.refuse_cells(name, outside, lambda i: f"{values[i]} is outside {low} to {high}")
            wrong = wrong | outside if len(wrong) else outside
        fitting = values.astype(dtype, copy=False)
        return np.where(wrong, np.array(low, dtype), fitting) if len(wrong) else fitting

    def decimals(
        self,
        name: str,
        low: float = 0.0,
        high: float = float(1 << 40),
        *,
        words: Mapping[str, float] | None = None,
    ) -> NDArray[np.float64]:
        """
        Read a column of decimal numbers, of text.

        Parameters
        ----------
        name : str
            The column.
        low, high : float
            The range that is allowed, both ends included.
        words : mapping of str to float, optional
            Cells that are no numbers but stand for one.

        Returns
        -------
        (n,) float64
            Cells that are no number of the range are noted, and are `low`.
        """
        column, words = self._trimmed(name), words or {}
        values = finite_decimals(column)
        if values is None:
            is_number = pc.match_substring_regex(column, DECIMAL)
            values = joined(pc.if_else(is_number, column, "nan").cast(pa.float64()).chunks, np.float64).copy()
            for i in np.flatnonzero(mask_of(pc.starts_with(column, "0x", ignore_case=True))).tolist():
                whole = integer_of(column[i].as_py())
                values[i] = np.nan if whole is None else whole
        if words:
            values = values.copy()
            for word, number in words.items():
                values[mask_of(pc.equal(column, word))] = number
        others = "".join(f' or "{word}"' for word in words)

        def message(i: int) -> str:
            cell = column[i].as_py()
            if not cell:
                return _EMPTY
            if np.isnan(values[i]):
                return f"{shown(cell)} is not a number; write it as in 0.5 or 1e3{others}"
            return f"{values[i]:g} is outside {low:g} to {high:g}"

        wrong = ~((values >= low) & (values <= high))
        self.refuse_cells(name, wrong, message)
        return np.where(wrong, low, values)

    def words(self, name: str, codes: Mapping[str, int], dtype: type[np.signedinteger[Any]] = np.int64) -> NDArray[Any]:
        """
        Read a column of words that each stand for a number, of text or bytes, as they are or dictionary-encoded.

        Parameters
        ----------
        name : str
            The column.
        codes : mapping of str to int
            The words that are allowed, none of them empty, and their numbers, none of them negative.
        dtype : type, default int64
            Of the result.

        Returns
        -------
        (n,) array of `dtype`
            Cells that hold no such word are noted, and are 0.
        """
        column = self._table.column(name)
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if not (is_text(kind) or is_binary(kind)):
            self.refuse_column(name, f"holds {column.type}; write text, one of {', '.join(codes)}")
            return np.zeros(len(self), dtype)
        # Dictionary-encoded at once: millions of rows hold a dozen different words.
        encoded = (column if pa.types.is_dictionary(column.type) else column.dictionary_encode()).unify_dictionaries()
        if not encoded.num_chunks:
            return np.zeros(0, dtype)
        raw = encoded.chunk(0).dictionary.cast(pa.large_binary()).to_pylist()
        found = [_decoded_text(cell) for cell in raw]
        numbers = [_MISSING if word == "" else codes.get(word or "", _UNKNOWN) for word in found]
        indices = [chunk.indices.cast(pa.int32()) for chunk in encoded.chunks]
        places = joined([pc.fill_null(part, -1) if part.null_count else part for part in indices], np.int32)
        values: NDArray[Any] = np.array([*numbers, _MISSING], dtype)[places]

        def message(i: int) -> str:
            if values[i] == _MISSING:
                return _EMPTY
            word = found[places[i]]
            if word is None:
                return f"{shown(raw[places[i]])} {_NOT_UTF8}"
            close = get_close_matches(word[:40], codes, n=1)
            return f"{shown(word)} is unknown; " + (
                f'did you mean "{close[0]}"?' if close else f"use {', '.join(codes)}"
            )

        if len(values) and values.min() < 0:
            wrong = values < 0
            self.refuse_cells(name, wrong, message, f"the {name} is unknown")
            return np.where(wrong, np.array(0, dtype), values)
        return values

    def _decoded(self, name: str) -> pa.ChunkedArray:
        column = self._table.column(name)
        return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column

    def _trimmed(self, name: str) -> pa.ChunkedArray:
        # Cells of text without blanks around them; null is empty.
        trimmed = pc.utf8_trim_whitespace(self._decoded(name))
        return pc.fill_null(trimmed, "") if trimmed.null_count else trimmed

    def _text_integers(self, name: str, low: int, high: int) -> Int64Array:
        column = self._trimmed(name)
        try:
            values: Int64Array = joined(column.cast(pa.int64()).chunks, np.int64)
        except pa.ArrowInvalid:
            return self._any_integers(name, column, low, high)
        if len(values) and (values.min() < low or values.max() > high):
            return self._any_integers(name, column, low, high)
        return values

    def _any_integers(self, name: str, column: pa.ChunkedArray, low: int, high: int) -> Int64Array:
        # Arrow reads what is plain; the few other cells go through the grammar one by one.
        plain = pc.match_substring_regex(column, PLAIN_INTEGER)
        values = joined(pc.if_else(plain, column, "0").cast(pa.int64()).chunks, np.int64).copy()
        wrong = (values < low) | (values > high)
        for i in np.flatnonzero(~mask_of(plain)).tolist():
            number = integer_of(column[i].as_py())
            wrong[i] = number is None or not low <= number <= high
            if number is not None and not wrong[i]:
                values[i] = number

        def message(i: int) -> str:
            cell = column[i].as_py()
            if not cell:
                return _EMPTY
            number = integer_of(cell)
            if number is None:
                return f"{shown(cell)} is not an integer; write it as in 42 or 0x2a"
            return f"{number if len(cell) <= 20 else shown(cell)} is outside {low} to {high}"

        self.refuse_cells(name, wrong, message)
        return np.where(wrong, low, values)


def _decoded_text(cell: bytes | None) -> str | None:
    # Without blanks around it; None if it is no UTF-8.
    try:
        return "" if cell is None else cell.decode().strip()
    except UnicodeDecodeError:
        return None
