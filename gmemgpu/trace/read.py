"""Traces from Parquet or CSV; a file that is wrong in any way is refused with all that is wrong in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from gmemgpu.errors import Problem, SpecError, TraceError
from gmemgpu.model.trace import COLUMNS, Int64Array, Trace
from gmemgpu.toml_file import read_toml
from gmemgpu.trace.check import row_problems
from gmemgpu.trace.columns import trace_columns
from gmemgpu.trace.csv_rows import read_csv_rows
from gmemgpu.trace.form import METADATA_KEY, header_path, trace_form
from gmemgpu.trace.header import Header
from gmemgpu.validation import validated

__all__ = ["read_trace"]

_ARROW_ERRORS = (pa.ArrowException, OSError, ValueError)
"""What Arrow raises on a damaged file, depending on where the damage is."""


def _unreadable(path: Path) -> Problem | None:
    """Tell why the file cannot even be opened."""
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return Problem(str(path), f"cannot be read: {error.strerror}; check the path")


def _header(document: dict[str, Any], where: str, problems: list[Problem]) -> Header | None:
    try:
        return validated(Header, document, f"{where}: ")
    except SpecError as error:
        problems.extend(error.problems)
        return None


def _json_header(metadata: dict[bytes, bytes] | None, where: str, problems: list[Problem]) -> Header | None:
    remedy = 'give host, horizon_ns and warmup_ns as JSON under the schema metadata key "gmemgpu"'
    text = (metadata or {}).get(METADATA_KEY)
    if text is None:
        problems.append(Problem(where, f"is missing; {remedy}"))
        return None
    try:
        document: Any = json.loads(text)
    except ValueError as error:
        problems.append(Problem(where, f"is no JSON ({error}); {remedy}"))
        return None
    if not isinstance(document, dict):
        problems.append(Problem(where, f"is no JSON object; {remedy}"))
        return None
    return _header(document, where, problems)


def _read_parquet(path: Path, problems: list[Problem]) -> tuple[pa.Table, Header | None]:
    try:
        # Not pyarrow.parquet.read_table, which loads pyarrow.dataset first.
        coded = [name for name in pa.parquet.read_schema(path).names if name == "kind"]
        with pa.parquet.ParquetFile(path, read_dictionary=coded) as file:
            table = file.read()
    except _ARROW_ERRORS as error:
        reason = str(error).splitlines()[0]
        raise TraceError(Problem(str(path), f"is no complete Parquet file ({reason}); make or copy it again")) from None
    return table, _json_header(table.schema.metadata, f"{path}: metadata gmemgpu", problems)


def _toml_header(path: Path, problems: list[Problem]) -> Header | None:
    beside = header_path(path)
    if not beside.exists():
        remedy = "a CSV trace has its host and horizon there"
        problems.append(Problem(str(beside), f"is missing; {remedy}: horizon_ns, warmup_ns and a table [host]"))
        return None
    try:
        document = read_toml(beside)
    except SpecError as error:
        problems.extend(error.problems)
        return None
    return _header(document, str(beside), problems)


def _read_csv(path: Path, problems: list[Problem]) -> tuple[pa.Table, Int64Array | None]:
    types = {name: pa.dictionary(pa.int32(), pa.string()) if name == "kind" else pa.int64() for name in COLUMNS}
    try:
        table = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=types, null_values=[""]))
    except _ARROW_ERRORS:
        # Arrow stops at the first fault and seldom says in which row.
        return read_csv_rows(path, str(path), problems)
    return table, None


def read_trace(path: str | Path) -> Trace:
    """
    Read a trace and check it.

    Parameters
    ----------
    path : str or Path
        ``.parquet`` with the header in its metadata, or ``.csv`` or ``.csv.gz`` with ``<stem>.toml`` beside it.
        Columns in any order, of any integer type that fits; kinds as text, dictionary-encoded or not.

    Returns
    -------
    Trace

    Raises
    ------
    TraceError
        With every problem of the file: what cannot be read, and what breaks a rule, with 1-based data rows.

    Notes
    -----
    MODEL.md section 3.
    """
    path = Path(path)
    form = trace_form(path)
    closed = _unreadable(path)
    if closed:
        raise TraceError(closed)
    problems: list[Problem] = []
    if form == "parquet":
        table, header = _read_parquet(path, problems)
        row_numbers = None
    else:
        header = _toml_header(path, problems)
        table, row_numbers = _read_csv(path, problems)
    taken = trace_columns(table, str(path), row_numbers, problems)
    del table
    if taken is not None:
        columns, row_numbers = taken
        pages = None if header is None else header.host.pages
        problems.extend(row_problems(columns, str(path), pages=pages, row_numbers=row_numbers))
    if problems or header is None or taken is None:
        raise TraceError(problems)
    return Trace(host=header.host, horizon_ns=header.horizon_ns, warmup_ns=header.warmup_ns, **columns)
