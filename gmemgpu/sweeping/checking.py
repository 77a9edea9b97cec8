"""Read a results directory in full: is every part whole, its own and complete, and are the merged rows theirs?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gmemgpu.atomic import remove_unchanged
from gmemgpu.errors import StoreError
from gmemgpu.sweeping.layout import PARTS, RESULTS
from gmemgpu.sweeping.manifest import read_manifest
from gmemgpu.sweeping.part import (
    PartError,
    PartMissing,
    part_id_of,
    part_is_done,
    part_name,
    read_part,
    reading,
)
from gmemgpu.sweeping.read_ahead import gathered, read_ahead
from gmemgpu.sweeping.writing import unreadable, writing

__all__ = ["Fault", "CheckReport", "check_directory"]

_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    A file that is not what it should be.

    Parameters
    ----------
    path : Path
    what : str
        In what way; goes with the path in front.
    is_damage : bool
        False if the operating system will not read it, so that it may be right, or if no sweep wrote it.
    is_missing : bool
    removed : bool
    found : os.stat_result or None
        What the file system said of it before it was read; None if nothing.
    """

    path: Path
    what: str
    is_damage: bool = True
    is_missing: bool = False
    removed: bool = False
    found: os.stat_result | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """
    What a check found.

    Parameters
    ----------
    n_parts, n_whole, n_missing : int
        Planned; read in full and right; not there, which is no fault.
    is_merged : bool
        Whether results.parquet is there and holds the rows of all parts.
    has_results : bool
        Whether it is there and whole; without all parts there is nothing to compare it with.
    faults : tuple of Fault
    """

    n_parts: int
    n_whole: int
    n_missing: int
    is_merged: bool
    has_results: bool
    faults: tuple[Fault, ...]


def check_directory(directory: str | Path, *, repair: bool = False) -> CheckReport:
    """
    Check every part and the merged rows.

    Parameters
    ----------
    directory : str or Path
    repair : bool
        Remove what is damaged, so that a sweep makes it anew.

    Returns
    -------
    CheckReport

    Raises
    ------
    DirectoryError
        If there is no sweep in it.
    StoreError
        If its manifest is damaged, or a faulty file cannot be removed.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    policies = list(manifest["spec"]["policies"])
    faults: list[Fault] = []
    n_missing = 0
    whole: list[Path] = []

    def look(part: dict[str, Any]) -> tuple[Path, Fault | None]:
        path = directory / PARTS / part_name(part["id"])
        return path, _part_fault(path, part, policies)

    for path, fault in read_ahead(look, manifest["parts"]):
        if fault is None:
            whole.append(path)
        elif fault.is_missing:
            n_missing += 1
        else:
            faults.append(fault)
    faults += _strangers(directory / PARTS, {part_name(part["id"]) for part in manifest["parts"]})
    is_complete = len(whole) == len(manifest["parts"])
    results = directory / RESULTS
    has_results = False
    if results.exists():
        merged_fault = _results_fault(results, manifest["results"], whole if is_complete else None)
        if merged_fault is None:
            has_results = True
        else:
            faults.append(merged_fault)
    if repair:
        with writing(directory):
            faults = [left for fault in faults if (left := _removed(fault))]
    return CheckReport(
        n_parts=len(manifest["parts"]),
        n_whole=len(whole),
        n_missing=n_missing,
        is_merged=has_results and is_complete,
        has_results=has_results,
        faults=tuple(faults),
    )


def _removed(fault: Fault) -> Fault | None:
    if not fault.is_damage or fault.found is None:
        return fault
    # A sweep that runs meanwhile may have put a good one in its place, which stays.
    return replace(fault, removed=True) if remove_unchanged(fault.path, fault.found) else None


def _fault(path: Path, error: StoreError, found: os.stat_result | None) -> Fault:
    what = str(error).removeprefix(f"{path}: ")
    missing = isinstance(error, PartMissing)
    return Fault(path=path, what=what, is_damage=isinstance(error, PartError), is_missing=missing, found=found)


def _stat(path: Path) -> os.stat_result | None:
    with suppress(OSError):
        return path.stat()
    return None


def _part_fault(path: Path, part: dict[str, Any], policies: list[str]) -> Fault | None:
    found = _stat(path)
    try:
        table, _ = read_part(path, part["id"], part["rows"])
    except StoreError as error:
        return _fault(path, error, found)
    expected = [(part["label"], seed, policy) for seed in part["seeds"] for policy in policies]
    columns = (table[name].to_pylist() for name in ("label", "seed", "policy"))
    if list(zip(*columns, strict=True)) != expected:
        return Fault(path=path, what="holds other seeds or policies than the manifest says", found=found)
    return None


def _strangers(parts: Path, known: set[str]) -> list[Fault]:
    # Names with a dot in front are being written.
    try:
        with os.scandir(parts) as entries:
            names = sorted(
                entry.name for entry in entries if not entry.name.startswith(".") and entry.name not in known
            )
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(parts, error) from error
    told = "belongs to no shard of this sweep"
    return [
        Fault(path=parts / name, what=told, found=_stat(parts / name))
        if part_id_of(name)
        else Fault(path=parts / name, what=f"{told}, nor did one write it: move it away", is_damage=False)
        for name in names
    ]


def _results_fault(results: Path, told: dict[str, Any], parts: list[Path] | None) -> Fault | None:
    found = _stat(results)
    try:
        if not part_is_done(results, told["id"], told["rows"]):
            return Fault(path=results, what="is torn, or of another sweep", found=found)
        with reading(results), pq.ParquetFile(results, page_checksum_verification=True) as file:
            merged = file.iter_batches(_BATCH_ROWS)
            if parts is None:
                for _ in merged:  # all bytes are read, even if there is nothing to compare them with
                    pass
            elif not _same_rows(merged, parts):
                return Fault(path=results, what="holds other rows than the parts", found=found)
    except StoreError as error:
        return _fault(results, error, found)
    return None


def _same_rows(merged: Iterator[pa.RecordBatch], parts: list[Path]) -> bool:
    # Both as streams: a sweep may be larger than memory.
    held = pa.Table.from_batches([next(merged)])
    for rows in gathered(read_ahead(_rows, parts), _BATCH_ROWS):
        while held.num_rows < rows.num_rows:
            following = next(merged, None)
            if following is None:
                return False
            held = pa.concat_tables([held, pa.Table.from_batches([following])])
        if not held.slice(0, rows.num_rows).equals(rows):
            return False
        held = held.slice(rows.num_rows)
    return held.num_rows == 0 and next(merged, None) is None


def _rows(path: Path) -> pa.Table:
    return pq.ParquetFile(path).read()
