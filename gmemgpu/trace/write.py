"""Traces to Parquet or CSV: checked first, and in place only when complete."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from gmemgpu.atomic import is_wrong_path, written_output
from gmemgpu.errors import Problem, StoreError, TraceError
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import COLUMNS, Trace
from gmemgpu.trace.check import check_trace
from gmemgpu.trace.form import METADATA_KEY, header_path, trace_form
from gmemgpu.trace.header import header_of

__all__ = ["write_trace"]

_KIND_NAMES = pa.array([kind.text for kind in Kind], pa.string())
_BATCH_ROWS = 1 << 17
"""Rows turned into CSV text at a time: some 5 MB."""


def _arrow_table(trace: Trace) -> pa.Table:
    columns = {name: pa.array(getattr(trace, name)) for name in COLUMNS}
    columns["kind"] = pa.DictionaryArray.from_arrays(columns["kind"], _KIND_NAMES)
    return pa.table(columns)


def _header_toml(document: dict[str, Any]) -> bytes:
    # A JSON scalar of ours (an integer, or plain text in quotes) is a TOML one too.
    host = document.pop("host")
    lines = [f"{key} = {json.dumps(value)}" for key, value in document.items()]
    lines += ["", "[host]", *(f"{key} = {json.dumps(value)}" for key, value in host.items()), ""]
    return "\n".join(lines).encode()


def _write_csv(table: pa.Table, file: BinaryIO | gzip.GzipFile) -> None:
    # Arrow would put the names in quotes, which no other part of the file has.
    file.write(f"{','.join(COLUMNS)}\n".encode())
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
    with pa.csv.CSVWriter(file, table.schema, write_options=options) as writer:
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            writer.write_batch(batch)


def write_trace(trace: Trace, path: str | Path) -> None:
    """
    Write a trace; `gmemgpu.trace.read.read_trace` gives it back.

    Parameters
    ----------
    trace : Trace
        Checked before it is written.
    path : str or Path
        Ends in ``.parquet``, ``.csv`` or ``.csv.gz``; beside a CSV goes ``<stem>.toml`` with host and horizon.
        Files of these names are replaced, each in one step.

    Raises
    ------
    TraceError
        If the trace is invalid, or the path cannot be written or has another suffix; nothing is left behind.
    StoreError
        If the disk is full or fails; nothing is left behind either.

    Notes
    -----
    MODEL.md section 3. The same trace gives the same bytes.
    """
    path = Path(path)
    form = trace_form(path)
    check_trace(trace, str(path))
    table, document = _arrow_table(trace), asdict(header_of(trace, str(path)))
    try:
        if form == "parquet":
            table = table.replace_schema_metadata({METADATA_KEY: json.dumps(document)})
            with written_output(path) as file:
                pa.parquet.write_table(table, file, compression="zstd")
            return
        with written_output(header_path(path)) as header, written_output(path) as file:
            header.write(_header_toml(document))
            if path.suffix == ".gz":
                # Name and time left out of the gzip header: equal traces are equal files.
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                    _write_csv(table, packed)
            else:
                _write_csv(table, file)
    except OSError as error:
        reason = f"cannot be written: {error.strerror or error}"
        if is_wrong_path(error):
            remedy = "choose a folder that exists and that you may write to"
            raise TraceError(Problem(str(path), f"{reason}; {remedy}")) from None
        raise StoreError(f"{path}: {reason}; make room there or choose another folder") from None
