"""How a sweep's progress reaches a person: a bar on a terminal, a line now and then on a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gmemgpu.cli.message import tell
from gmemgpu.sweeping.run.progress import (
    Compiling,
    ShardFailed,
    ShardsDone,
    StillRunning,
    SweepMerged,
    SweepStarted,
    WorkersReady,
)

if TYPE_CHECKING:
    from gmemgpu.sweeping.run.progress import Listener, SweepEvent

__all__ = ["shown_progress"]

_LINE_EVERY_S = 30.0


@contextmanager
def shown_progress(*, quiet: bool, say_why: bool) -> Iterator[Listener | None]:
    """
    Report a sweep's progress on standard error.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    say_why : bool
        Tell the reason for which ``auto`` took its engine.

    Yields
    ------
    callable or None
        Listener for the sweep.
    """
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield _Lines(say_why=say_why)
    else:
        from gmemgpu.report.progress_bar import ProgressBar

        with ProgressBar() as bar:

            def listen(event: SweepEvent) -> None:
                for line in _notes(event, say_why=say_why):
                    bar.note(line)
                bar(event)

            yield listen


class _Lines:
    def __init__(self, *, say_why: bool) -> None:
        self._say_why = say_why
        self._n_done = self._n_rows = 0
        self._begun_s = self._printed_s = time.monotonic()

    def __call__(self, event: SweepEvent) -> None:
        for line in _notes(event, say_why=self._say_why):
            _print(line)
        if isinstance(event, SweepStarted):
            self._n_rows, self._n_done = event.n_rows, event.n_rows_done
            n_tasks = event.n_shards - event.n_shards_done
            _print(
                f"{event.n_rows - event.n_rows_done:,} of {_count(event.n_rows, 'evaluation')} to do, {n_tasks:,} parts"
            )
        elif isinstance(event, ShardsDone | StillRunning):
            self._n_done += event.n_rows if isinstance(event, ShardsDone) else 0
            now_s = time.monotonic()
            if now_s - self._printed_s >= _LINE_EVERY_S:
                self._printed_s = now_s
                _print(f"{self._n_done:,} of {_count(self._n_rows, 'evaluation')} done, {now_s - self._begun_s:,.0f} s")


def _print(line: str) -> None:
    tell(f"gmemgpu: {line}")


def _notes(event: SweepEvent, *, say_why: bool) -> Iterator[str]:
    # What a line on a pipe and one above the bar say alike.
    if isinstance(event, SweepStarted):
        yield from event.notes
        if say_why and event.reason is not None and event.n_shards > event.n_shards_done:
            yield f"backend {event.backend} (auto: {event.reason})"
    elif isinstance(event, Compiling):
        yield "compiling the engine; this takes a minute, once for you and this version"
    elif isinstance(event, WorkersReady):
        workers = _count(event.n_workers, "worker") if event.n_workers else "waiting for a worker"
        yield workers + (f", dashboard {event.dashboard}" if event.dashboard else "")
    elif isinstance(event, ShardFailed):
        yield "failed: " + event.message.replace("\n", "\n        ")
    elif isinstance(event, SweepMerged):
        yield f"{_count(event.n_rows, 'row')} merged"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
