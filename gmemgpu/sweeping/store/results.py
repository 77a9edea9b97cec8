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
from gmemgpu.sweeping.store.files import PARTS, RESULTS, unreadable
from gmemgpu.sweeping.store.manifest import Manifest
from gmemgpu.sweeping.store.part import PartFile
from gmemgpu.sweeping.store.part_reader import DamagedPart, Found, read_blocks, rows_of

__all__ = ["DamagedParts", "write_results", "results_are_whole", "regrouped"]

_ROWS_PER_GROUP = 8_192
"""Of the merged file: some fifteen megabytes, which memory holds several times while they are written."""

_digests: dict[tuple[str | int, ...], str] = {}
"""The last file whose digest was computed here, by what the file system says of it."""


class DamagedParts(StoreError):
    """Parts are missing or are not what their names say."""

    def __init__(self, reasons: Sequence[str], files: Sequence[PartFile] = ()) -> None:
        self.files = tuple(files)
        more = f"\n… and {len(reasons) - 1:,} more" if len(reasons) > 1 else ""
        super().__init__(f"{reasons[0]}{more}")
        self._made_of = (tuple(reasons), self.files)

    def __reduce__(self) -> tuple[type[DamagedParts], tuple[tuple[str, ...], tuple[PartFile, ...]]]:
        # Its arguments, not its message, make it again in another process.
        return type(self), self._made_of


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


def _repeats(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_list(kind))


def _leaf(field: pa.Field) -> str:
    # As Parquet names it.
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else str(field.name)


def write_results(directory: Path, files: Sequence[PartFile], schema: pa.Schema, sweep_id: str) -> str:
    """Write the rows of parts, in their order, into results.parquet, whole or not at all; return its SHA-256."""
    damaged: list[tuple[str, PartFile]] = []
    folder = directory / PARTS

    def rows_or_damage(found: list[Found]) -> pa.Table | list[tuple[str, PartFile]]:
        whole, bad = [], []
        for file, part in found:
            if isinstance(part, DamagedPart):
                bad.append((str(part), file))
            elif isinstance(part, StoreError):
                raise part
            elif part.about.get("sweep") != sweep_id:
                # A sweep of more scenarios may have computed the same shard, and says another place of it.
                bad.append((f"{folder / file.name}: belongs to another sweep", file))
            else:
                whole.append(part)
        return bad or rows_of(whole)

    def tables() -> Iterator[pa.Table]:
        for found in read_blocks(folder, files, schema, rows_or_damage):
            if isinstance(found, list):
                damaged.extend(found)
            elif not damaged:
                yield found

    path = directory / RESULTS
    with written_whole(path) as target:
        with pq.ParquetWriter(
            target,
            schema,
            compression="zstd",
            # Text repeats in every row, and so do the counts of histograms; of other numbers a dictionary is seldom
            # smaller.
            use_dictionary=[_leaf(field) for field in schema if _repeats(field.type)],
            write_page_checksum=True,
            write_statistics=False,
            store_schema=False,
        ) as writer:
            for rows in regrouped(tables(), repeat(_ROWS_PER_GROUP)):
                # In one piece: where pages end shall not depend on where parts do.
                writer.write_table(rows.combine_chunks())
        if damaged:
            raise DamagedParts(*zip(*damaged, strict=True))
        target.seek(0)
        return hashlib.file_digest(target, "sha256").hexdigest()  # type: ignore[arg-type]  # it has readinto


def results_are_whole(directory: Path, manifest: Manifest) -> bool:
    """Check whether results.parquet is there and has the digest that its manifest holds."""
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
