"""What a running sweep tells its caller: events, not prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "SweepStarted",
    "Compiling",
    "WorkersReady",
    "StillRunning",
    "ShardsDone",
    "ShardFailed",
    "SweepMerged",
    "SweepEvent",
    "Listener",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted:
    """
    The plan is known and the store is open; workers are yet to come.

    Parameters
    ----------
    n_shards, n_shards_done : int
        All, and those found finished.
    n_rows, n_rows_done : int
        The same in (scenario, seed, policy) rows.
    backend : str
        The engine.
    reason : str or None
        Why ``auto`` took it; None if it was asked for by name.
    notes : tuple of str
        How VM tables were read.
    """

    n_shards: int
    n_shards_done: int
    n_rows: int
    n_rows_done: int
    backend: str
    reason: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiling:
    """The engine is compiled before workers start, which takes a minute, once for a user and a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersReady:
    """
    How many workers are up: at least one for the first time, none for a while, or one again.

    Parameters
    ----------
    n_workers : int
        How many.
    dashboard : str or None
        Address of Dask's web page, if it has one.
    """

    n_workers: int
    dashboard: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRunning:
    """Parts are waited for: every other second, for who would show that time passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardsDone:
    """
    The parts of some shards are there.

    Parameters
    ----------
    label : str
        Of the first one's scenario.
    n_rows : int
        Of all of them.
    """

    label: str
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFailed:
    """
    A shard failed for good and the others go on.

    Parameters
    ----------
    label : str
        Of its scenario.
    message : str
        Names its scenario and seeds.
    """

    label: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepMerged:
    """
    All parts are there and the merged rows are written.

    Parameters
    ----------
    n_rows : int
        Rows of the sweep.
    """

    n_rows: int


SweepEvent: TypeAlias = SweepStarted | Compiling | WorkersReady | StillRunning | ShardsDone | ShardFailed | SweepMerged
Listener: TypeAlias = Callable[[SweepEvent], None]
