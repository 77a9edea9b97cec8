"""What a running sweep tells its caller: events, not prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["SweepStarted", "WorkersAwaited", "ShardDone", "ShardFailed", "SweepMerged", "SweepEvent", "Listener"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted:
    """
    The plan is known, the store is open, and a worker is up if one is needed.

    Parameters
    ----------
    n_shards, n_shards_done : int
        All, and those found finished.
    n_rows, n_rows_done : int
        The same in (scenario, seed, policy) rows.
    workers : int
        Worker processes that will run; 0 if nothing is left to do.
    backend : str
        The engine.
    reason : str or None
        Why ``auto`` took it; None if it was asked for by name.
    n_shards_failed : int
        In the journal since an earlier run, and so not tried again.
    dashboard : str or None
        Address of Dask's web page, if there is one.
    """

    n_shards: int
    n_shards_done: int
    n_rows: int
    n_rows_done: int
    workers: int
    backend: str
    reason: str | None
    n_shards_failed: int = 0
    dashboard: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersAwaited:
    """
    No worker is up, yet or any more.

    Parameters
    ----------
    whose : str
        Whose it would be, as in ``2 slurm jobs``.
    """

    whose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardDone:
    """A part is there, written by this sweep's workers or by another client's."""

    label: str
    seeds: tuple[int, ...]
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFailed:
    """A shard failed for good and the others go on; `message` names its scenario and seeds."""

    label: str
    seeds: tuple[int, ...]
    n_rows: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepMerged:
    """All parts are there and the merged rows are written."""

    n_rows: int


SweepEvent: TypeAlias = SweepStarted | WorkersAwaited | ShardDone | ShardFailed | SweepMerged
Listener: TypeAlias = Callable[[SweepEvent], None]
