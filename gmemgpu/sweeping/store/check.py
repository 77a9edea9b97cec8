"""Read a results directory in full: is every part what its name says, and are the merged rows theirs?"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq

from gmemgpu.columns.file_form import open_for_arrow
from gmemgpu.errors import StoreError
from gmemgpu.sweeping.store.files import MANIFEST, PARTS, RESULTS, writing
from gmemgpu.sweeping.store.manifest import DamagedManifest, Manifest, read_manifest
from gmemgpu.sweeping.store.part import PartFile, listed_parts, part_files, schema_of
from gmemgpu.sweeping.store.part_reader import DamagedPart, read_blocks, rows_of, whole
from gmemgpu.sweeping.store.results import regrouped, results_are_whole

__all__ = ["Fault", "CheckReport", "check_directory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A file that is not what it should be."""

    path: Path  # of the file
    what: str  # in what way
    # Whether a sweep wrote it, by its name, so that `--repair` may remove it. What the operating system will not read
    # may be right, and stays.
    is_ours: bool = True
    removed: bool = False  # whether it has been removed


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a check found."""

    # Planned; read in full and right; not there or damaged, so that a sweep computes them. All 0 if the manifest is
    # damaged.
    n_parts: int
    n_whole: int
    n_missing: int
    is_merged: bool  # whether results.parquet is there and whole, and so are all parts
    faults: tuple[Fault, ...]  # one a file


def check_directory(directory: str | Path, *, repair: bool = False) -> CheckReport:
    """
    Check every part and the merged rows, byte for byte.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.
    repair : bool
        Remove what is damaged, so that a sweep makes it anew.

    Returns
    -------
    CheckReport
        What was found.

    Raises
    ------
    DirectoryError
        If there is no sweep in it.
    StoreError
        If another version wrote it, or a faulty file cannot be removed.
    """
    directory = Path(directory)
    parts: list[PartFile] = []
    n_parts, is_merged = 0, False
    try:
        manifest = read_manifest(directory)
    except DamagedManifest:
        # What parts and rows should be is not known then; the sweep looks at them when it has written it anew.
        faults = [Fault(path=directory / MANIFEST, what="is damaged: its values are not those that were written")]
    else:
        n_parts = manifest.n_parts
        parts, faults = _parts(directory / PARTS, manifest)
        path = directory / RESULTS
        if os.path.lexists(path):
            reason = _results_fault(directory, manifest, parts)
            is_merged = reason is None and len(parts) == n_parts
            if reason is not None:
                faults.append(Fault(path=path, what=reason, is_ours=not path.is_symlink()))
    if repair:
        with writing(directory):
            faults = [_removed(fault) if fault.is_ours else fault for fault in faults]
    return CheckReport(
        n_parts=n_parts,
        n_whole=len(parts),
        n_missing=n_parts - len(parts),
        is_merged=is_merged,
        faults=tuple(faults),
    )


def _removed(fault: Fault) -> Fault:
    # A name tells the bytes: whatever is put there meanwhile by a sweep is as bad, or has another name.
    fault.path.unlink(missing_ok=True)
    return replace(fault, removed=True)


def _parts(folder: Path, manifest: Manifest) -> tuple[list[PartFile], list[Fault]]:
    # Whole ones in the plan's order, and what is wrong with others.
    if folder.is_symlink():
        return [], [Fault(path=folder, what="is a symbolic link, which is not followed", is_ours=False)]
    faults: list[Fault] = []
    index_of: dict[PartFile, int] = {}
    files = list(part_files(folder).values())
    blocks = read_blocks(folder, files, list, schema_of(manifest.columns), manifest.sweep_id)
    for file, part in chain.from_iterable(blocks):
        if isinstance(part, StoreError):
            what = str(part).removeprefix(f"{folder / file.name}: ")
            faults.append(Fault(path=folder / file.name, what=what, is_ours=isinstance(part, DamagedPart)))
        else:
            index_of[file] = part.about["index"]
    listed, others = listed_parts(folder)
    for file in sorted({*listed} - {*files}):
        faults.append(Fault(path=folder / file.name, what="is a second file of its shard"))
    for name in others:
        faults.append(Fault(path=folder / name, what="no sweep wrote this: move it away", is_ours=False))
    return sorted(index_of, key=index_of.__getitem__), faults


def _results_fault(directory: Path, manifest: Manifest, parts: list[PartFile]) -> str | None:
    if manifest.results_sha256 is None:
        return "is of no finished sweep: the manifest tells no digest of it"
    if not results_are_whole(directory, manifest):
        return "is damaged: its bytes are not those that were written"
    if len(parts) == manifest.n_parts and not _same_rows(directory, parts):
        return "holds other rows than the parts"
    return None


def _same_rows(directory: Path, parts: list[PartFile]) -> bool:
    # Both as streams: a sweep may be larger than memory.
    with pq.ParquetFile(open_for_arrow(directory / RESULTS)) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        blocks = read_blocks(directory / PARTS, parts, lambda found: rows_of(whole(found)))
        n_same = 0
        for rows in regrouped(blocks, sizes):
            # Not `iter_batches`, which holds all of the file in memory.
            if n_same == len(sizes) or not file.read_row_group(n_same).equals(rows):
                return False
            n_same += 1
        return n_same == len(sizes)
