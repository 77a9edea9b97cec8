"""How far a sweep is, from its directory alone."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmemgpu.sweeping.store.failure import Failure, read_failures
from gmemgpu.sweeping.store.files import PARTS
from gmemgpu.sweeping.store.lock import LockHolder, read_holder
from gmemgpu.sweeping.store.manifest import read_manifest
from gmemgpu.sweeping.store.part import part_files, parts_of_sweep
from gmemgpu.sweeping.store.results import results_are_whole

__all__ = ["SweepStatus", "read_status"]

_WINDOW_S = 600.0
"""The rate is that of the last ten minutes: scenarios differ, and so do hours on a shared cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStatus:
    """
    The state of a results directory.

    Parameters
    ----------
    name : str
        The sweep's.
    n_parts, n_done : int
        Planned; there by name, and of this sweep by what they say. They are trusted: `gmemgpu check` reads every part.
    n_rows : int
        Of the whole sweep.
    failures : tuple of Failure
        Of shards that have no part.
    holder : LockHolder or None
        The client that works on it.
    is_merged : bool
        Whether results.parquet is there, byte for byte as it was written.
    parts_per_s : float or None
        Over the last ten minutes before the newest part; None if there are not two parts to tell it from.
    left_s : float or None
        Time for what is missing at that rate; None if nobody holds the directory, or nothing tells.
    until : dict or None
        As of `Manifest`.
    """

    name: str
    n_parts: int
    n_done: int
    n_rows: int
    failures: tuple[Failure, ...]
    holder: LockHolder | None
    is_merged: bool
    parts_per_s: float | None
    left_s: float | None
    until: dict[str, Any] | None


def read_status(directory: str | Path) -> SweepStatus:
    """
    Read how far a sweep is, without taking part.

    Parameters
    ----------
    directory : str or Path
        Of a sweep.

    Returns
    -------
    SweepStatus
        As of now.

    Raises
    ------
    DirectoryError
        If there is no sweep in it.
    StoreError
        If its manifest is damaged, or it cannot be read.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    folder = directory / PARTS
    is_merged = results_are_whole(directory, manifest)
    there = part_files(folder)
    if not is_merged:
        there = parts_of_sweep(folder, there, manifest.sweep_id)
    written_s = []
    for file in there.values():
        with suppress(OSError):
            written_s.append((folder / file.name).lstat().st_mtime)
    n_missing = max(0, manifest.n_parts - len(there))
    holder = read_holder(directory)
    rate = _rate(written_s)
    working = holder is not None and not holder.is_dead
    return SweepStatus(
        name=manifest.name,
        n_parts=manifest.n_parts,
        n_done=min(len(there), manifest.n_parts),
        n_rows=manifest.n_rows,
        failures=tuple(read_failures(directory, there)),
        holder=holder,
        is_merged=is_merged,
        parts_per_s=rate,
        left_s=n_missing / rate if rate and working and n_missing else None,
        until=manifest.until,
    )


def _rate(written_s: list[float]) -> float | None:
    # From the first part of the window to the newest.
    if not written_s:
        return None
    newest_s = max(written_s)
    recent = [time_s for time_s in written_s if newest_s - time_s <= _WINDOW_S]
    took_s = newest_s - min(recent)
    return (len(recent) - 1) / took_s if took_s > 0 else None
