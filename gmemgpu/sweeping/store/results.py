"""The merged rows: one Parquet file of all parts, in the plan's order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gmemgpu.atomic import written_whole
from gmemgpu.errors import StoreError
from gmemgpu.sweeping.store.files import PARTS, RESULTS, open_unfollowed, unreadable
from gmemgpu.sweeping.store.manifest import Manifest
from gmemgpu.sweeping.store.part import PartFile
from gmemgpu.sweeping.store.part_reader import DamagedPart, Found, read_blocks, rows_of, whole

__all__ = ["DamagedParts", "write_results", "results_are_whole", "regrouped"]

_ROWS_PER_GROUP = 8_192
"""Of the merged file: some fifteen megabytes, which memory holds several times while they are written."""

_digests: dict[tuple[str | int, ...], str] = {}
"""The last file whose digest was computed here, by what the file system says of it."""


class DamagedParts(StoreError):
    """Parts are missing or are not what their names say."""

    files: Sequence[PartFile] = ()  # those that are there


def regrouped(tables: Iterable[pa.Table], sizes: Iterable[int]) -> Iterator[pa.Table]:
    """Cut a stream of tables into others of so many rows; the last takes what is left."""
    wanted = iter(sizes)
    size = next(wanted, None)
    held: list[pa.Table] = []
    n_held = 0
    for table in tables:
        held.append(table)
        n_held += table.num_rows
        while size is not None and n_held >= size:
            rows = pa.concat_tables(held)
            yield rows.slice(0, size)
            held, n_held = [rows.slice(size)], n_held - size
            size = next(wanted, None)
    if n_held:
        yield pa.concat_tables(held)


def write_results(directory: Path, files: Sequence[PartFile], schema: pa.Schema, sweep_id: str) -> str:
    """Write the rows of parts, in their order, into results.parquet, whole or not at all; return its SHA-256."""
    damaged: dict[PartFile, str] = {}

    def rows_or_damage(found: list[Found]) -> pa.Table | dict[PartFile, str]:
        bad = {file: str(part) for file, part in found if isinstance(part, DamagedPart)}
        return bad or rows_of(whole(found))

    def tables() -> Iterator[pa.Table]:
        for found in read_blocks(directory / PARTS, files, rows_or_damage, schema, sweep_id):
            if isinstance(found, dict):
                damaged.update(found)
            elif not damaged:
                yield found

    # Text repeats in every row, and so do the counts of histograms; of other numbers a dictionary is seldom smaller.
    text = [field.name for field in schema if pa.types.is_string(field.type)]
    lists = [f"{field.name}.list.element" for field in schema if pa.types.is_list(field.type)]
    with written_whole(directory / RESULTS) as target:
        with pq.ParquetWriter(
            target,
            schema,
            compression="zstd",
            use_dictionary=[*text, *lists],
            write_page_checksum=True,
            write_statistics=False,
            store_schema=False,
        ) as writer:
            for rows in regrouped(tables(), repeat(_ROWS_PER_GROUP)):
                # In one piece: where pages end shall not depend on where parts do.
                writer.write_table(rows.combine_chunks())
        if damaged:
            reason, *more = damaged.values()
            error = DamagedParts(f"{reason}\n… and {len(more):,} more" if more else reason)
            error.files = list(damaged)
            raise error
        target.seek(0)
        return hashlib.file_digest(target, "sha256").hexdigest()  # type: ignore[arg-type]  # it has readinto


def results_are_whole(directory: Path, manifest: Manifest) -> bool:
    """Check whether results.parquet is there and has the digest that its manifest holds."""
    path = directory / RESULTS
    if manifest.results_sha256 is None:
        return False
    try:
        file = open_unfollowed(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        found = os.fstat(file.fileno())
        key = (str(path.absolute()), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if key not in _digests:
            # Whoever reads column after column need not have it computed for each.
            _digests.clear()
            _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[key] == manifest.results_sha256
