"""Rows of a results directory, finished or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gmemgpu.errors import StoreError
from gmemgpu.sweeping.layout import PARTS, RESULTS
from gmemgpu.sweeping.manifest import read_manifest
from gmemgpu.sweeping.part import part_is_done, part_name
from gmemgpu.sweeping.read_ahead import gathered, read_ahead

__all__ = ["StoredRows", "read_rows"]

_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """
    What is there of a sweep.

    Parameters
    ----------
    name : str
        The sweep's.
    table : pyarrow.Table
        Rows in the order of scenario, seed, policy.
    axes : tuple of str
        Columns that tell scenarios apart.
    n_parts, n_parts_done : int
        Planned ones, and those that `table` holds.
    """

    name: str
    table: pa.Table
    axes: tuple[str, ...]
    n_parts: int
    n_parts_done: int


def read_rows(directory: str | Path, columns: Sequence[str] = ()) -> StoredRows:
    """
    Read the rows of a results directory.

    Parameters
    ----------
    directory : str or Path
    columns : sequence of str
        What to read besides the scenario columns, ``seed`` and ``policy``; everything if empty.

    Returns
    -------
    StoredRows

    Raises
    ------
    StoreError
        If the directory holds no sweep, or no part is finished yet.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    parts: list[dict[str, Any]] = manifest["parts"]
    axes = tuple(manifest["axes"])
    wanted = ["label", "preset", *axes, "seed", "policy", *columns] if columns else None
    merged = directory / RESULTS

    def read(path: Path) -> pa.Table:
        return pq.ParquetFile(path, page_checksum_verification=True).read(wanted).replace_schema_metadata(None)

    def read_if_done(part: dict[str, Any]) -> pa.Table | None:
        path = directory / PARTS / part_name(part["id"])
        return read(path) if part_is_done(path, part["id"], part["rows"]) else None

    n_done = 0

    def of_parts() -> Iterator[pa.Table]:
        nonlocal n_done
        for table in read_ahead(read_if_done, parts):
            if table is not None:
                n_done += 1
                yield table

    try:
        if part_is_done(merged, manifest["results"]["id"], manifest["results"]["rows"]):
            tables, n_done = [read(merged)], len(parts)
        else:
            tables = list(gathered(of_parts(), _ROWS_AT_ONCE))
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{directory}: a file in it is damaged ({error}); `gmemgpu check {directory} --repair` says which and "
            "removes it, then run the sweep again"
        ) from None
    if not tables:
        raise StoreError(f"{directory}: no part is finished yet (0 of {len(parts)}); run the sweep first")
    return StoredRows(
        name=manifest["name"], table=pa.concat_tables(tables), axes=axes, n_parts=len(parts), n_parts_done=n_done
    )
