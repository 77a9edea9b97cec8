"""CSV files, read fast where they are sound and patiently where they are not."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from gmemgpu.columns.message import list_rows, shown
from gmemgpu.columns.table import Columns
from gmemgpu.errors import Problem, TraceError

__all__ = ["open_for_arrow", "read_header_line", "read_text_columns"]

_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_HEADER_BYTES = 1 << 16


def read_text_columns(
    path: Path,
    names: Sequence[str] | None = None,
    *,
    integers: Collection[str] = (),
    words: Collection[str] = (),
    problems: list[Problem] | None = None,
) -> Columns:
    """
    Read a CSV file, plain or compressed, with or without a byte-order mark, with either line end.

    Parameters
    ----------
    path : Path
        Compressed if its name ends in ``.gz``, ``.bz2`` or ``.zst``.
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
        Without the rows that have another number of cells, which are noted. Blank lines are no rows.

    Raises
    ------
    TraceError
        With all problems so far, if the file cannot be read as CSV at all.
    """
    problems = [] if problems is None else problems
    skip = 0
    if names is None:
        names, skip = _header(path, problems)
    fast: dict[str, pa.DataType] = dict.fromkeys(names, pa.string())
    fast.update((name, pa.int64()) for name in integers)
    fast.update((name, pa.dictionary(pa.int32(), pa.string())) for name in words)
    table = _parse(path, names, skip, fast, problems)
    empty_cells = table is not None and any(table.column(i).null_count for i in range(table.num_columns))
    if table is not None and not empty_cells:
        return Columns(table, str(path), problems)
    # Arrow stops at the first fault and seldom says in which row: take every cell as it stands, and look closer.
    found: list[tuple[int, int]] = []

    def skip_row(row: Any) -> str:
        # Arrow counts from 1 and leaves out blank lines, but for those that were skipped.
        found.append((row.number - skip, row.actual_columns))
        return "skip"

    _check_utf8(path, problems)
    table = _parse(path, names, skip, dict.fromkeys(names, pa.string()), problems, skip_row)
    if table is None or not found:
        return Columns(table, str(path), problems)
    rows = np.array([number for number, _ in found], np.int64)
    n_cells = f"{len(names)} as the first line" if skip else str(len(names))
    list_rows(
        str(path),
        None,
        rows,
        lambda i: f"has {found[i][1]} fields, not {n_cells}; repair or remove the row",
        "the number of fields is wrong",
        problems,
    )
    row_numbers = np.delete(np.arange(1, table.num_rows + len(rows) + 1), rows - 1)
    return Columns(table, str(path), problems, row_numbers)


def read_header_line(path: Path) -> list[str]:
    """
    Read the column names in a file's first line.

    Parameters
    ----------
    path : Path
        Text, plain or compressed.

    Returns
    -------
    list of str
        As they stand: unknown and repeated ones, too.

    Raises
    ------
    TraceError
        If the file is empty or cannot be read.
    """
    return _header(path, [])[0]


def _header(path: Path, problems: list[Problem]) -> tuple[list[str], int]:
    # The names, and the number of lines up to theirs.
    with _opened(path, problems) as stream:
        start = bytes(stream.read(_HEADER_BYTES))
    lines = start.decode("utf-8-sig", errors="replace").split("\n")
    for i, line in enumerate(lines):
        if line.strip():
            return [name.strip().strip('"') for name in line.split(",")], i + 1
    raise TraceError([*problems, Problem(str(path), "is empty; the first line names the columns")])


def _check_utf8(path: Path, problems: list[Problem]) -> None:
    line = 1
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with _opened(path, problems) as stream:
            while block := bytes(stream.read(_HEADER_BYTES)):
                line += decoder.decode(block).count("\n")
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line += error.object[: error.start].count(b"\n")
        fault = Problem(f"{path}: line {line}", "is not UTF-8 text; save the file as UTF-8")
        raise TraceError([*problems, fault]) from None


def _parse(
    path: Path,
    names: Sequence[str],
    skip: int,
    types: dict[str, pa.DataType],
    problems: list[Problem],
    skip_row: Callable[[Any], str] | None = None,
) -> pa.Table | None:
    # None if some cell has not its column's type, or some row has another length and there is nobody to skip it.
    try:
        with _opened(path, problems) as stream:
            return pa.csv.read_csv(
                stream,
                # With threads Arrow does not know in which row it is.
                read_options=pa.csv.ReadOptions(column_names=list(names), skip_rows=skip, use_threads=skip_row is None),
                parse_options=pa.csv.ParseOptions(invalid_row_handler=skip_row),
                convert_options=pa.csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=False),
            )
    except pa.ArrowInvalid as error:
        # A header line and nothing after it, with or without a line end.
        if "Empty CSV" in str(error) or "Could not skip initial" in str(error):
            return pa.table([pa.array([], pa.string()) for _ in names], list(names))
        if skip_row is None:
            return None
        long = "straddling object" in str(error)
        fault = "has a line of more than 1 MiB" if long else f"is no CSV text: {shown(str(error), 200)}"
        raise TraceError([*problems, Problem(str(path), f"{fault}; save the table as CSV again")]) from None


def open_for_arrow(path: Path) -> pa.NativeFile:
    """
    Open a file that Arrow then reads.

    Parameters
    ----------
    path : Path
        Of any name.

    Returns
    -------
    pyarrow.NativeFile
        Open for reading.

    Raises
    ------
    OSError
        If it cannot be opened.

    Notes
    -----
    Arrow takes no names that are not UTF-8, and a file opened by Python must not be given to its threads, which may
    outlast the interpreter: such a file is read into memory.
    """
    with path.open("rb") as file:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            return pa.BufferReader(file.read())
    return pa.OSFile(str(path))


@contextmanager
def _opened(path: Path, problems: list[Problem]) -> Iterator[pa.NativeFile]:
    codec = _CODECS.get(path.suffix)
    try:
        file = open_for_arrow(path)
    except OSError as error:
        fault = f"cannot be read: {error.strerror}; check the path"
        raise TraceError([*problems, Problem(str(path), fault)]) from None
    with file:
        try:
            yield pa.CompressedInputStream(file, codec) if codec else file
        except OSError as error:
            fault = f"is no complete {codec} file" if codec else f"cannot be read: {error}"
            raise TraceError([*problems, Problem(str(path), f"{fault}; copy it again")]) from None
