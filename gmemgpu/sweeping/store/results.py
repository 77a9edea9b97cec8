"""The merged rows: one Parquet file of all parts, in the plan's order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gmemgpu.atomic import written_whole
from gmemgpu.errors import StoreError
from gmemgpu.sweeping.store.files import PARTS, RESULTS, unreadable
from gmemgpu.sweeping.store.manifest import Manifest
from gmemgpu.sweeping.store.part import PartFile
from gmemgpu.sweeping.store.part_reader import DamagedPart, Part, read_parts

__all__ = ["DamagedParts", "write_results", "results_are_whole", "gathered"]

_ROWS_PER_GROUP = 65_536
"""Of the merged file: some tens of megabytes in memory while it is written."""
_MOST_SMALL = 256

_digests: dict[tuple[str | int, ...], str] = {}
"""The last file whose digest was computed here, by what the file system says of it."""


class DamagedParts(StoreError):
    """
    Parts are missing or are not what their names say.

    Parameters
    ----------
    reasons : sequence of str
        One a part; at least one.
    files : sequence of PartFile
        Those that are there.
    """

    def __init__(self, reasons: Sequence[str], files: Sequence[PartFile] = ()) -> None:
        self.files = tuple(files)
        more = f"\n… and {len(reasons) - 1:,} more" if len(reasons) > 1 else ""
        super().__init__(f"{reasons[0]}{more}")
        self._made_of = (tuple(reasons), self.files)

    def __reduce__(self) -> tuple[type[DamagedParts], tuple[tuple[str, ...], tuple[PartFile, ...]]]:
        # Its arguments, not its message, make it again in another process.
        return type(self), self._made_of


def gathered(batches: Iterable[pa.RecordBatch], n_rows: int) -> Iterator[pa.Table]:
    """
    Merge small batches into large tables.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Of the same columns.
    n_rows : int
        At least so many rows go into each table, but for the last.

    Yields
    ------
    pyarrow.Table
        Without metadata; together the rows of `batches`, in order; none without rows.
    """
    # A batch of ten rows costs far more than its numbers: of such, few are held at a time.
    large: list[pa.Table] = []
    small: list[pa.RecordBatch] = []
    n_held = 0

    def merge_small() -> None:
        if small:
            large.append(pa.Table.from_batches(small).replace_schema_metadata(None).combine_chunks())
            small.clear()

    for batch in batches:
        small.append(batch)
        n_held += batch.num_rows
        if len(small) >= _MOST_SMALL or n_held >= n_rows:
            merge_small()
        if n_held >= n_rows:
            yield pa.concat_tables(large)
            large, n_held = [], 0
    merge_small()
    if n_held:
        yield pa.concat_tables(large)


def _is_text(field: pa.Field) -> bool:
    return bool(pa.types.is_string(field.type))


def write_results(directory: Path, files: Sequence[PartFile], schema: pa.Schema, sweep_id: str) -> str:
    """
    Write the rows of all parts into results.parquet: whole, or not at all.

    Parameters
    ----------
    directory : Path
        Of a sweep.
    files : sequence of PartFile
        In the order of the rows.
    schema : pyarrow.Schema
        Columns of the sweep.
    sweep_id : str
        Of the sweep that the parts belong to.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    DamagedParts
        Names every part that is not what its name says.
    OSError
        If the file cannot be written.
    """
    damaged: list[tuple[str, PartFile]] = []
    folder = directory / PARTS

    def batches() -> Iterator[pa.RecordBatch]:
        for file, part in read_parts(folder, files, schema):
            if isinstance(part, Part) and part.about.get("sweep") != sweep_id:
                # A sweep of more scenarios may have computed the same shard, and says another place of it.
                part = DamagedPart(f"{folder / file.name}: belongs to another sweep")
            if isinstance(part, DamagedPart):
                damaged.append((str(part), file))
            elif isinstance(part, StoreError):
                raise part
            elif not damaged:
                yield part.batch

    path = directory / RESULTS
    with written_whole(path) as target:
        with pq.ParquetWriter(
            target,
            schema,
            compression="zstd",
            # Text repeats in every row; of numbers a dictionary is seldom smaller.
            use_dictionary=[field.name for field in schema if _is_text(field)],
            write_page_checksum=True,
            write_statistics=False,
            store_schema=False,
        ) as writer:
            for rows in gathered(batches(), _ROWS_PER_GROUP):
                writer.write_table(rows)
        if damaged:
            raise DamagedParts(*zip(*damaged, strict=True))
        target.seek(0)
        return hashlib.file_digest(target, "sha256").hexdigest()  # type: ignore[arg-type]  # it has readinto


def results_are_whole(directory: Path, manifest: Manifest) -> bool:
    """
    Check whether results.parquet has the digest that its manifest holds.

    Parameters
    ----------
    directory : Path
        Of a sweep.
    manifest : Manifest
        Of that sweep.

    Returns
    -------
    bool
        False if it is not there, too.

    Raises
    ------
    StoreError
        If the operating system will not read it.
    """
    path = directory / RESULTS
    if manifest.results_sha256 is None:
        return False
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(path, error) from error
    with open(number, "rb") as file:  # noqa: PTH123  (a descriptor, not a path)
        found = os.fstat(number)
        key = (str(path.absolute()), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if key not in _digests:
            # Whoever reads column after column need not have it computed for each.
            _digests.clear()
            _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[key] == manifest.results_sha256
