"""Traces from Parquet or CSV; a file that is wrong in any way is refused with all that is wrong in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from gmemgpu.columns.file_form import check_openable, open_for_arrow
from gmemgpu.columns.message import shown
from gmemgpu.columns.table import Columns
from gmemgpu.columns.text_file import read_text_columns
from gmemgpu.errors import Problem, SpecError, TraceError
from gmemgpu.model.event import KIND_BY_NAME
from gmemgpu.model.trace import COLUMNS, Int64Array, Trace
from gmemgpu.toml_file import read_toml
from gmemgpu.trace.check import COLUMN_DTYPES, row_problems
from gmemgpu.trace.form import METADATA_KEY, header_path, trace_form
from gmemgpu.trace.header import Header
from gmemgpu.validation import validated

__all__ = ["read_trace"]

_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
_ARROW_ERRORS = (pa.ArrowException, OSError, ValueError)
"""What Arrow raises on a damaged file, depending on where the damage is."""


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
    except (ValueError, RecursionError) as error:
        problems.append(Problem(where, f"is no JSON ({error}); {remedy}"))
        return None
    if not isinstance(document, dict):
        problems.append(Problem(where, f"is no JSON object; {remedy}"))
        return None
    return _header(document, where, problems)


def _read_parquet(path: Path, problems: list[Problem]) -> tuple[pa.Table, Header | None]:
    try:
        with open_for_arrow(path) as file:
            # Not pyarrow.parquet.read_table, which loads pyarrow.dataset first.
            coded = [
                field.name
                for field in pa.parquet.read_schema(file)
                if field.name == "kind" and any(is_kind(field.type) for is_kind in _TEXT)
            ]
            table = pa.parquet.ParquetFile(file, read_dictionary=coded).read()
    except _ARROW_ERRORS as error:
        reason = shown(str(error).partition("\n")[0], 200)
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


def _arrays(columns: Columns) -> tuple[dict[str, NDArray[Any]], Int64Array | None]:
    # The rows of which every cell could be read, and their numbers.
    columns.check_names(COLUMNS)
    arrays: dict[str, NDArray[Any]] = {}
    for name, dtype in COLUMN_DTYPES.items():
        if name == "kind":
            arrays[name] = columns.words(name, KIND_BY_NAME, dtype)
        else:
            limits = np.iinfo(dtype)
            arrays[name] = columns.integers(name, int(limits.min), int(limits.max), dtype)
    sound, row_numbers = columns.sound_rows()
    if sound is not None:
        arrays = {name: values[sound] for name, values in arrays.items()}
    return arrays, row_numbers


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
        A valid one.

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
    check_openable(path)
    problems: list[Problem] = []
    if form == "parquet":
        table, header = _read_parquet(path, problems)
        columns = Columns(table, str(path), problems)
        del table
    else:
        header = _toml_header(path, problems)
        integers = [name for name in COLUMNS if name != "kind"]
        columns = read_text_columns(path, integers=integers, words=["kind"], problems=problems)
    arrays, row_numbers = _arrays(columns)
    del columns
    host, horizon_ns = (None, None) if header is None else (header.host, header.horizon_ns)
    problems.extend(row_problems(arrays, str(path), host=host, horizon_ns=horizon_ns, row_numbers=row_numbers))
    if problems or header is None:
        raise TraceError(problems)
    return Trace(host=header.host, horizon_ns=header.horizon_ns, warmup_ns=header.warmup_ns, **arrays)
