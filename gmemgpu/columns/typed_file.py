"""Tables of files whose columns have types, Parquet and Arrow; text is read too, so that callers need not ask."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from gmemgpu.columns.file_form import file_form, opened
from gmemgpu.columns.message import shown
from gmemgpu.columns.table import Columns
from gmemgpu.columns.text_file import read_text_columns
from gmemgpu.errors import Problem, TraceError

__all__ = ["column_names", "read_columns"]

_ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, KeyError)
"""What Arrow raises on a damaged file, depending on where the damage is."""


def read_columns(path: Path) -> Columns:
    """
    Read a table with named columns, whatever its form.

    Parameters
    ----------
    path : Path
        Text as of `read_text_columns`, Parquet, or an Arrow file or stream; compressed or not.

    Returns
    -------
    Columns
        Of text, or of the types that the file gives them.

    Raises
    ------
    TraceError
        If it cannot be read.
    """
    table = _typed_table(path, rows=True)
    return read_text_columns(path) if table is None else Columns(table, str(path))


def column_names(path: Path) -> list[str] | None:
    """
    Read the names of a typed file's columns.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    list of str or None
        None if it is neither Parquet nor Arrow.

    Raises
    ------
    TraceError
        If it cannot be read.
    """
    table = _typed_table(path, rows=False)
    return None if table is None else list(table.column_names)


def _typed_table(path: Path, *, rows: bool) -> pa.Table | None:
    form = file_form(path, [])
    if form.content not in ("parquet", "arrow", "arrow stream"):
        return None
    with opened(path, form, []) as stream:
        source = pa.BufferReader(stream.read()) if form.packing else stream
        try:
            if form.content == "parquet":
                # Not pyarrow.parquet.read_table, which loads pyarrow.dataset first.
                file = pa.parquet.ParquetFile(source)
                table = file.read() if rows else file.schema_arrow.empty_table()
            else:
                read = pa.ipc.open_file(source) if form.content == "arrow" else pa.ipc.open_stream(source)
                table = read.read_all() if rows else read.schema.empty_table()
            # What a damaged file holds is looked at before any of it is used.
            table.validate(full=True)
            return table
        except _ARROW_ERRORS as error:
            kind = "Parquet" if form.content == "parquet" else "Arrow"
            reason = shown(str(error).partition("\n")[0], 200)
            fault = f"is no complete {kind} file ({reason}); make or copy it again"
            raise TraceError(Problem(str(path), fault)) from None
