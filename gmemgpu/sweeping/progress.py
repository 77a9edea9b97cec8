"""What a running sweep tells its caller: events, not prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["SweepStarted", "ShardDone", "SweepMerged", "SweepEvent", "Listener"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted:
    """
    The plan is known and the store is open.

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
    """

    n_shards: int
    n_shards_done: int
    n_rows: int
    n_rows_done: int
    workers: int
    backend: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardDone:
    """A part was written."""

    label: str
    seeds: tuple[int, ...]
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepMerged:
    """All parts are there and the merged rows are written."""

    n_rows: int


SweepEvent: TypeAlias = SweepStarted | ShardDone | SweepMerged
Listener: TypeAlias = Callable[[SweepEvent], None]
