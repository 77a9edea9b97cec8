"""Read a results directory in full: is every part whole, its own and complete, and are the merged rows theirs?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gmemgpu.sweeping.manifest import read_manifest
from gmemgpu.sweeping.part import part_is_done, part_name
from gmemgpu.sweeping.read_ahead import gathered, read_ahead
from gmemgpu.sweeping.store import PARTS, RESULTS
from gmemgpu.sweeping.writing import writing

__all__ = ["Fault", "CheckReport", "check_directory"]

_BATCH_ROWS = 65_536
_MISSING = "is missing"


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that is not what it should be, and in what way."""

    path: Path
    what: str


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
    faults : tuple of Fault
    repaired : bool
        Whether the faulty files were removed, so that a sweep makes them anew.
    """

    n_parts: int
    n_whole: int
    n_missing: int
    is_merged: bool
    faults: tuple[Fault, ...]
    repaired: bool


def check_directory(directory: str | Path, *, repair: bool = False) -> CheckReport:
    """
    Check every part and the merged rows.

    Parameters
    ----------
    directory : str or Path
    repair : bool
        Remove what is faulty.

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

    def look(part: dict[str, Any]) -> tuple[Path, str | None]:
        path = directory / PARTS / part_name(part["id"])
        return path, _part_fault(path, part, policies) if path.exists() else _MISSING

    for path, what in read_ahead(look, manifest["parts"]):
        if what is None:
            whole.append(path)
        elif what == _MISSING:
            n_missing += 1
        else:
            faults.append(Fault(path, what))
    faults += _strangers(directory / PARTS, {part_name(part["id"]) for part in manifest["parts"]})
    is_complete = len(whole) == len(manifest["parts"])
    results = directory / RESULTS
    is_merged = False
    if results.exists():
        merged_fault = _results_fault(results, manifest["results"], whole if is_complete else None)
        if merged_fault is None:
            is_merged = is_complete
        else:
            faults.append(Fault(results, merged_fault))
    if repair:
        with writing(directory):
            for fault in faults:
                fault.path.unlink(missing_ok=True)
    return CheckReport(
        n_parts=len(manifest["parts"]),
        n_whole=len(whole),
        n_missing=n_missing,
        is_merged=is_merged,
        faults=tuple(faults),
        repaired=repair,
    )


def _part_fault(path: Path, part: dict[str, Any], policies: list[str]) -> str | None:
    if not part_is_done(path, part["id"], part["rows"]):
        return "is torn, or of another shard"
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException) as error:
        return f"is damaged ({error})"
    expected = [(part["label"], seed, policy) for seed in part["seeds"] for policy in policies]
    columns = (table[name].to_pylist() for name in ("label", "seed", "policy"))
    if list(zip(*columns, strict=True)) != expected:
        return "holds other seeds or policies than the manifest says"
    return None


def _strangers(parts: Path, known: set[str]) -> list[Fault]:
    # Names with a dot in front are being written.
    if not parts.exists():
        return []
    with os.scandir(parts) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.name not in known)
    return [Fault(parts / name, "belongs to no shard of this sweep") for name in names]


def _results_fault(results: Path, told: dict[str, Any], parts: list[Path] | None) -> str | None:
    if not part_is_done(results, told["id"], told["rows"]):
        return "is torn, or of another sweep"
    try:
        file = pq.ParquetFile(results, page_checksum_verification=True)
        merged = file.iter_batches(_BATCH_ROWS)
        if parts is None:
            for _ in merged:  # all bytes are read, even if there is nothing to compare them with
                pass
            return None
        return None if _same_rows(merged, parts) else "holds other rows than the parts"
    except (OSError, pa.ArrowException) as error:
        return f"is damaged ({error})"


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
