"""CSV files, read fast where they are sound and patiently where they are not."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from gmemgpu.columns.file_form import FileForm, file_form, opened
from gmemgpu.columns.message import list_rows, shown
from gmemgpu.columns.table import Columns
from gmemgpu.errors import Problem, TraceError
from gmemgpu.model.trace import Int64Array

__all__ = ["FirstLines", "read_first_lines", "read_text_columns"]

_START_BYTES = 1 << 16
_LINE_END = re.compile(r"\r\n|\r|\n")
_DELIMITERS = ",;\t"
_COMMENT = "#"


@dataclass(frozen=True, slots=True)
class FirstLines:
    """
    How a text file begins.

    Parameters
    ----------
    form : FileForm
        How it is compressed and encoded.
    delimiter : str
        A comma, semicolon or tab: what most divides the first line.
    rows : tuple of tuple of str
        Cells of the first lines that are neither blank nor comments, one at least and about twenty at most.
    n_before : int
        Lines before the first of these.
    """

    form: FileForm
    delimiter: str
    rows: tuple[tuple[str, ...], ...]
    n_before: int


def read_text_columns(
    path: Path,
    names: Sequence[str] | None = None,
    *,
    integers: Collection[str] = (),
    words: Collection[str] = (),
    problems: list[Problem] | None = None,
) -> Columns:
    """
    Read a CSV file: plain or compressed, UTF-8 or UTF-16, with a byte-order mark or without, with any line end.

    Parameters
    ----------
    path : Path
        Of any name; how it is compressed shows in it. Cells are divided by commas, semicolons or tabs.
    names : sequence of str, optional
        Columns of a file without a header line, in order.
    integers, words : collection of str
        Columns that are parsed as such while the file is read, which is faster. They are read all the same if a cell
        turns out to be something else.
    problems : list of Problem, optional
        Where problems are appended; a new list if left out.

    Returns
    -------
    Columns
        Without the rows that have another number of cells, which are noted. Blank lines and lines that begin with
        ``#`` are no rows.

    Raises
    ------
    TraceError
        With all problems so far, if the file cannot be read as CSV at all.
    """
    problems = [] if problems is None else problems
    lines = read_first_lines(path, problems)
    reading = _Reading(path, lines, list(lines.rows[0] if names is None else names), names is None, problems)
    fast: dict[str, pa.DataType] = dict.fromkeys(reading.names, pa.string())
    fast.update((name, pa.int64()) for name in integers)
    fast.update((name, pa.dictionary(pa.int32(), pa.string())) for name in words)
    # A cell of several lines is a note that somebody wrote; where all is known to be numbers and words there is none.
    multiline = not integers and not words
    table = reading.parse(fast, multiline)
    if table is not None and not any(table.column(i).null_count for i in range(table.num_columns)):
        return _without_comments(table, reading, np.zeros(0, np.int64), np.zeros(0, np.int64))[0]
    # Arrow stops at the first fault and seldom says in which row: take every cell as it stands, and look closer.
    _check_utf8(path, lines, problems)
    short: list[tuple[int, int]] = []
    comments: list[int] = []

    def skip_row(row: Any) -> str:
        # Arrow counts from 1 and leaves out blank lines, but for those that were skipped.
        number = row.number - reading.skip
        if (row.text or "").startswith(_COMMENT):
            comments.append(number)
        else:
            short.append((number, row.actual_columns))
        return "skip"

    table = reading.parse(dict.fromkeys(reading.names, pa.string()), multiline, skip_row)
    assert table is not None
    wrong = np.array([number for number, _ in short], np.int64)
    columns, none = _without_comments(table, reading, wrong, np.array(comments, np.int64))
    n_cells = f"{len(reading.names)} as the first line" if names is None else str(len(reading.names))
    list_rows(
        str(path),
        None,
        wrong - np.searchsorted(none, wrong),
        lambda i: f"has {short[i][1]} fields, not {n_cells}; repair or remove the row",
        "the number of fields is wrong",
        problems,
    )
    return columns


def read_first_lines(path: Path, problems: list[Problem], form: FileForm | None = None) -> FirstLines:
    """
    Read how a text file begins.

    Parameters
    ----------
    path : Path
        Plain or compressed.
    problems : list of Problem
        Raised with what is found here.
    form : FileForm, optional
        If it is known already.

    Returns
    -------
    FirstLines
        The first line's cells as they stand but for blanks around them: unknown and repeated ones, too.

    Raises
    ------
    TraceError
        If the file is empty, no text, or cannot be read.
    """
    form = form or file_form(path, problems)
    if not (form.content == "text" or form.content.startswith("utf-16")):
        what = {"sqlite": "an SQLite", "arrow": "an Arrow", "zip": "a ZIP or Excel"}.get(form.content, "a Parquet")
        fault = Problem(str(path), f"is {what} file, not CSV text; save the table as CSV")
        raise TraceError([*problems, fault])
    with opened(path, form, problems) as stream:
        start = bytes(stream.read(_START_BYTES))
    if b"\x00" in start:
        fault = Problem(str(path), "is no text: it holds zero bytes; save the table as CSV or Parquet")
        raise TraceError([*problems, fault])
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError as error:
        raise TraceError([*problems, _not_utf8(path, 1 + _n_lines(error.object[: error.start].decode()))]) from None
    lines = _LINE_END.split(text)
    if len(start) == _START_BYTES:
        lines.pop()  # broken off
    said = [i for i, line in enumerate(lines) if line.strip() and not line.startswith(_COMMENT)]
    if not said and len(start) == _START_BYTES:
        what = f"has no whole line in its first {_START_BYTES >> 10} KiB, as every table has; is this the right file?"
        raise TraceError([*problems, Problem(str(path), what)])
    if not said:
        raise TraceError([*problems, Problem(str(path), "is empty; the first line names the columns")])
    first = lines[said[0]]
    delimiter = max(_DELIMITERS, key=first.count)
    rows = tuple(_cells(lines[i], delimiter) for i in said[:20])
    return FirstLines(form=form, delimiter=delimiter, rows=rows, n_before=said[0])


def _cells(line: str, delimiter: str) -> tuple[str, ...]:
    try:
        (cells,) = csv.reader([line], delimiter=delimiter)
    except (csv.Error, ValueError):
        # A cell of more than 128 KiB, or a quote that the next line closes.
        cells = line.split(delimiter)
    return tuple(cell.strip() for cell in cells)


def _n_lines(text: str) -> int:
    return text.count("\n") or text.count("\r")


def _not_utf8(path: Path, line: int) -> Problem:
    return Problem(f"{path}: line {line}", "is not UTF-8 text; save the file as UTF-8")


def _check_utf8(path: Path, lines: FirstLines, problems: list[Problem]) -> None:
    line = 1
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with opened(path, lines.form, problems) as stream:
            while block := bytes(stream.read(_START_BYTES)):
                line += _n_lines(decoder.decode(block))
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line += _n_lines(error.object[: error.start].decode())
        raise TraceError([*problems, _not_utf8(path, line)]) from None


@dataclass(frozen=True, slots=True)
class _Reading:
    # One file, and how Arrow shall take it.
    path: Path
    lines: FirstLines
    names: list[str]
    has_header: bool
    problems: list[Problem]

    @property
    def skip(self) -> int:
        return self.lines.n_before + self.has_header

    def parse(
        self, types: dict[str, pa.DataType], multiline: bool, skip_row: Callable[[Any], str] | None = None
    ) -> pa.Table | None:
        # None if some cell has not its column's type, or some row has another length and there is nobody to skip it.
        try:
            with opened(self.path, self.lines.form, self.problems) as stream:
                return pa.csv.read_csv(
                    stream,
                    # With threads Arrow does not know in which row it is.
                    read_options=pa.csv.ReadOptions(
                        column_names=self.names, skip_rows=self.skip, use_threads=skip_row is None
                    ),
                    parse_options=pa.csv.ParseOptions(
                        delimiter=self.lines.delimiter, invalid_row_handler=skip_row, newlines_in_values=multiline
                    ),
                    convert_options=pa.csv.ConvertOptions(
                        column_types=types, null_values=[""], strings_can_be_null=False
                    ),
                )
        except pa.ArrowInvalid as error:
            # A header line and nothing after it, with or without a line end.
            if "Empty CSV" in str(error) or "Could not skip initial" in str(error):
                return pa.table([pa.array([], pa.string()) for _ in self.names], self.names)
            too_long = "straddling object" in str(error)
            if skip_row is None and not too_long:
                return None
            unclosed = too_long or "out of sync" in str(error)
            why = "has a line of more than 1 MiB, or a quote that is not closed"
            fault = why if unclosed else f"is no CSV text: {shown(str(error), 200)}"
            raise TraceError(
                [*self.problems, Problem(str(self.path), f"{fault}; save the table as CSV again")]
            ) from None


def _without_comments(
    table: pa.Table, reading: _Reading, short: Int64Array, comments: Int64Array
) -> tuple[Columns, Int64Array]:
    # Comments that happen to have as many cells as a row are rows to Arrow. If every row is one, none is.
    # Also where all the comments are, in Arrow's count.
    where, problems = str(reading.path), reading.problems
    marks = np.zeros(table.num_rows, bool)
    if table.num_columns and pa.types.is_string(table.column(0).type):
        marked = pc.starts_with(table.column(0), _COMMENT)
        if pc.any(marked).as_py() and not pc.all(marked).as_py():
            marks = np.array(marked.to_pylist(), bool)
            table = table.filter(pc.invert(marked))
    if not (len(short) or len(comments) or marks.any()):
        return Columns(table, where, problems), comments
    places = np.delete(np.arange(1, len(marks) + len(short) + len(comments) + 1), np.r_[short, comments] - 1)
    none = np.sort(np.r_[comments, places[marks]])
    kept = places[~marks]
    return Columns(table, where, problems, kept - np.searchsorted(none, kept)), none
