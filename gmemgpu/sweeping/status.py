"""How far a sweep is, from its directory alone: done, failed, claimed, missing, and how long the rest may take."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from gmemgpu.sweeping.claim import MERGING, read_claims
from gmemgpu.sweeping.journal import Failure, Journal
from gmemgpu.sweeping.layout import CLAIMS, FAILURES, PARTS, RESULTS
from gmemgpu.sweeping.manifest import read_manifest
from gmemgpu.sweeping.part import part_is_done, part_name
from gmemgpu.sweeping.writing import unreadable

__all__ = ["Client", "SweepStatus", "read_status"]

_WINDOW_NS = 600_000_000_000
"""The rate is that of the last ten minutes: scenarios differ, and so do hours on a shared cluster."""
_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """
    A process that holds claims.

    Parameters
    ----------
    who : str
        Host and process; "unknown" if it left no word of itself.
    n_claims : int
        Parts that it computes or is about to.
    n_workers, n_devices : int
    is_merging : bool
        Whether it writes the merged rows.
    gone : bool
        Whether it has ended for certain; its claims are free for others.
    """

    who: str
    n_claims: int
    n_workers: int
    n_devices: int
    is_merging: bool
    gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStatus:
    """
    The state of a results directory.

    Parameters
    ----------
    name : str
        The sweep's.
    n_parts, n_done, n_missing : int
        Planned; there by name; neither there nor failed. Names are trusted here: `gmemgpu check` opens every part.
    n_rows, n_rows_done : int
    failures : tuple of Failure
        Of shards that have no part.
    clients : tuple of Client
        Who works on it now.
    is_merged : bool
        Whether results.parquet is there and says that it is this sweep's.
    rows_per_s : float or None
        Over the last ten minutes before the newest part; None if there are not two parts to tell it from.
    left_s : float or None
        Time for what is missing at that rate; None if nobody works on it, or nothing tells.
    core_hours_left, gpu_hours_left : float or None
        The same times the workers that compute on cores now, and times the devices that others compute on.
    """

    name: str
    n_parts: int
    n_done: int
    n_missing: int
    n_rows: int
    n_rows_done: int
    failures: tuple[Failure, ...]
    clients: tuple[Client, ...]
    is_merged: bool
    rows_per_s: float | None
    left_s: float | None
    core_hours_left: float | None
    gpu_hours_left: float | None


def read_status(directory: str | Path) -> SweepStatus:
    """
    Look at a results directory, without taking part.

    Parameters
    ----------
    directory : str or Path

    Returns
    -------
    SweepStatus

    Raises
    ------
    DirectoryError
        If there is no sweep in it.
    StoreError
        If its manifest is damaged or something in it cannot be read.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    rows = {part_name(part["id"]): int(part["rows"]) for part in manifest["parts"]}
    found = _found(directory / PARTS)
    done = {name: rows[name] for name in rows if name in found}
    failures = tuple(
        failure for part_id, failure in Journal(directory / FAILURES).read().items() if part_name(part_id) not in done
    )
    n_rows_missing = sum(rows.values()) - sum(done.values()) - sum(failure.n_rows for failure in failures)
    clients = _clients(directory / CLAIMS)
    at_work = [client for client in clients if not client.gone]
    n_cores = sum(client.n_workers for client in at_work if not client.n_devices)
    n_devices = sum(client.n_devices for client in at_work)
    rate = _rows_per_s([(found[name], n) for name, n in done.items()])
    left_s = n_rows_missing / rate if rate and n_cores + n_devices else None
    return SweepStatus(
        name=manifest["name"],
        n_parts=len(rows),
        n_done=len(done),
        n_missing=len(rows) - len(done) - len(failures),
        n_rows=sum(rows.values()),
        n_rows_done=sum(done.values()),
        failures=failures,
        clients=clients,
        is_merged=part_is_done(directory / RESULTS, manifest["results"]["id"], manifest["results"]["rows"]),
        rows_per_s=rate,
        left_s=left_s,
        core_hours_left=None if left_s is None else left_s * n_cores / 3600,
        gpu_hours_left=None if left_s is None else left_s * n_devices / 3600,
    )


def _found(parts: Path) -> dict[str, int]:
    # File name to time stamp in ns.
    try:
        with os.scandir(parts) as entries:
            return {entry.name: entry.stat().st_mtime_ns for entry in entries if not entry.name.startswith(".")}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise unreadable(parts, error) from error


def _clients(claims: Path) -> tuple[Client, ...]:
    held: dict[str, list[Client]] = {}
    for name, claimed in read_claims(claims).items():
        owner = claimed.owner
        token = "" if owner is None else owner.token
        who, n_workers, n_devices = (
            ("unknown", 0, 0) if owner is None else (str(owner), owner.n_workers, owner.n_devices)
        )
        held.setdefault(token, []).append(
            Client(
                who=who,
                n_claims=int(name != MERGING),
                n_workers=n_workers,
                n_devices=n_devices,
                is_merging=name == MERGING,
                gone=claimed.gone,
            )
        )
    return tuple(
        replace(same[0], n_claims=sum(one.n_claims for one in same), is_merging=any(one.is_merging for one in same))
        for same in held.values()
    )


def _rows_per_s(written: list[tuple[int, int]]) -> float | None:
    # Only differences of time stamps that one file system gave: no clock of ours is asked.
    newest = max((t_ns for t_ns, _ in written), default=0)
    recent = sorted((t_ns, n) for t_ns, n in written if t_ns >= newest - _WINDOW_NS)
    if not recent or recent[0][0] == newest:
        return None
    # What the oldest holds was computed before the time that is looked at.
    return sum(n for _, n in recent[1:]) / ((newest - recent[0][0]) / _NS_PER_S)
