"""A part: the rows of one shard in one Parquet file, named by what they were computed from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from gmemgpu.atomic import written_whole
from gmemgpu.errors import StoreError
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.sweeping.identity import SCHEMA_VERSION
from gmemgpu.sweeping.spec import AxisValue
from gmemgpu.sweeping.writing import unreadable

__all__ = [
    "TRACE_COLUMNS",
    "rows_schema",
    "part_name",
    "part_id_of",
    "rows_to_arrow",
    "write_part",
    "PartError",
    "PartMissing",
    "part_is_done",
    "reading",
    "read_part",
    "parquet_writer",
]

TRACE_COLUMNS = ("cores", "horizon_ns", "warmup_ns", "events", "admitted", "rejected")
"""What a row says of its trace, all int64; VMs admitted and rejected are counted over the whole trace."""

_METADATA_KEY = b"gmemgpu"
_PREFIX = "part-"
_SUFFIX = ".parquet"
_ROWS_AT_ONCE = 65_536


def _axis_type(values: Iterable[AxisValue]) -> pa.DataType:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    if kinds and kinds <= {int, float}:
        return pa.float64()
    return pa.string()


def rows_schema(axes: Mapping[str, Sequence[AxisValue]]) -> pa.Schema:
    """
    Give the columns of a sweep.

    Parameters
    ----------
    axes : mapping of str to sequence of AxisValue
        Axis column to all values that it takes in the sweep; they decide its type.

    Returns
    -------
    pyarrow.Schema
        ``label``, ``preset``, the axes, ``seed``, ``policy``, `TRACE_COLUMNS`, the metrics.
    """
    return pa.schema(
        [
            ("label", pa.string()),
            ("preset", pa.string()),
            *((name, _axis_type(values)) for name, values in axes.items()),
            ("seed", pa.int64()),
            ("policy", pa.string()),
            *((name, pa.int64()) for name in TRACE_COLUMNS),
            *((name, metric_arrow_type(name)) for name in METRIC_NAMES),
        ]
    )


def part_name(part_id: str) -> str:
    """Give the file name of a part."""
    return f"{_PREFIX}{part_id}{_SUFFIX}"


def part_id_of(name: str) -> str:
    """Give the id that a file name of that form would have; of any other name, something that is no part's id."""
    part_id = name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return part_id if part_name(part_id) == name else ""


def _metadata_of(identity: str, n_rows: int) -> dict[bytes, bytes]:
    """Give the Parquet metadata that say whose rows a file holds, and how many."""
    told = {"schema": SCHEMA_VERSION, "id": identity, "rows": n_rows}
    return {_METADATA_KEY: json.dumps(told, sort_keys=True).encode()}


def rows_to_arrow(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Turn rows into an Arrow table of the sweep's columns; an axis that mixes kinds is written as text."""
    columns = []
    for field in schema:
        values = [row[field.name] for row in rows]
        if pa.types.is_string(field.type):
            values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def parquet_writer(
    file: IO[bytes], schema: pa.Schema, identity: str, n_rows: int, *, compression: Literal["lz4", "zstd"] = "lz4"
) -> pq.ParquetWriter:
    """
    Open a Parquet file that says whose rows it holds and how many, and whose bytes depend on the rows alone.

    Parameters
    ----------
    file : binary file
    schema : pyarrow.Schema
    identity : str
        Of a part or of the merged rows.
    n_rows : int
        To be written.
    compression : {"lz4", "zstd"}
        A part has a column of some rows for each metric: setting up zstd for each takes as long as all the rest, and
        makes nothing smaller. Merged rows are another matter.
    """
    writer = pq.ParquetWriter(
        file,
        schema,
        compression=compression,
        write_page_checksum=True,
        # Rows are few and always read whole: dictionaries, statistics and Arrow's own schema would be half of a part.
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    )
    writer.add_key_value_metadata(_metadata_of(identity, n_rows))
    return writer


def write_part(folder: Path, part_id: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> Path:
    """
    Write the rows of a shard, atomically; equal rows give equal bytes.

    Parameters
    ----------
    folder : Path
        Exists.
    part_id : str
    rows : sequence of mapping
        A value for each column of `schema`.
    schema : pyarrow.Schema

    Returns
    -------
    Path
        The part.

    Raises
    ------
    OSError
        If it cannot be written; then nothing is left behind.
    """
    path = folder / part_name(part_id)
    with written_whole(path) as file, parquet_writer(file, schema, part_id, len(rows)) as writer:
        writer.write_table(rows_to_arrow(rows, schema))
    return path


class PartError(StoreError):
    """A part is not what it should be, and is to be computed anew."""


class PartMissing(PartError):
    """A part is not there."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """
    Tell what a file holds from what keeps it from being read.

    Raises
    ------
    PartError
        If it is missing or damaged.
    StoreError
        If it is there and the operating system will not read it, which says nothing of what it holds.
    """
    try:
        yield
    except FileNotFoundError:
        raise PartMissing(f"{path}: is missing") from None
    except (OSError, pa.ArrowException) as error:
        # What Arrow says of bytes has no number; what the operating system says has one.
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from error
        raise PartError(f"{path}: is damaged ({error})") from None


def part_is_done(path: Path, identity: str, n_rows: int, *, in_full: bool = False) -> bool:
    """
    Say whether a file holds the rows that it should.

    Parameters
    ----------
    path : Path
    identity : str
        What the file's metadata must name.
    n_rows : int
    in_full : bool
        Whether to read all of it, the checksum of every page included, and not its last bytes alone.

    Returns
    -------
    bool
        False if it is missing, torn, of another shard, or short.

    Raises
    ------
    StoreError
        As `reading` does.
    """
    try:
        with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not _is_its_own(file.metadata, identity, n_rows):
                return False
            if in_full:
                for _ in file.iter_batches(_ROWS_AT_ONCE):
                    pass
    except PartError:
        return False
    return True


def _is_its_own(footer: pq.FileMetaData, identity: str, n_rows: int) -> bool:
    told = (footer.metadata or {}).get(_METADATA_KEY)
    return footer.num_rows == n_rows and told == _metadata_of(identity, n_rows)[_METADATA_KEY]


def read_part(path: Path, identity: str, n_rows: int) -> tuple[pa.Table, os.stat_result]:
    """
    Read a part in full, the checksum of every page included.

    Parameters
    ----------
    path : Path
    identity : str
        What the file's metadata must name.
    n_rows : int

    Returns
    -------
    pyarrow.Table
    os.stat_result
        Of the very file that was read.

    Raises
    ------
    PartError
        If it is missing, damaged, of another shard, or short; the message says which.
    StoreError
        If the operating system will not read it.
    """
    with reading(path):
        # In one go: thousands of parts on a network file system are a matter of round trips.
        with path.open("rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            held = file.readall()
        with pq.ParquetFile(pa.BufferReader(held), page_checksum_verification=True) as parquet:
            footer = parquet.metadata
            table = parquet.read(use_threads=False)
    if not _is_its_own(footer, identity, n_rows):
        raise PartError(f"{path}: holds the rows of another shard")
    return table.replace_schema_metadata(None), found
