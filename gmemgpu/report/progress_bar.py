"""A sweep's progress as a bar, on a terminal and in notebooks."""

from __future__ import annotations

import html
from datetime import timedelta
from importlib import import_module
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gmemgpu.sweeping.run.progress import ShardsDone, SweepEvent, SweepMerged, SweepStarted

__all__ = ["ProgressBar"]


class _Cell:
    # In a notebook, an element of HTML: rich draws there only with ipywidgets, which few who read a notebook have.
    def __init__(self) -> None:
        self._shown: Any = None

    def show(self, text: str) -> None:
        shown = import_module("IPython.display")
        if self._shown is None:
            self._shown = shown.display(shown.HTML(text), display_id=True)
        else:
            self._shown.update(shown.HTML(text))


class ProgressBar:
    """
    A bar of evaluations: those done, their rate and the time left. Give it to `gmemgpu.sweep` as ``progress``.

    Examples
    --------
    ::

        with gmemgpu.ProgressBar() as bar:
            gmemgpu.sweep("jobs/quickstart.toml", "results/quickstart", progress=bar)
    """

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("evaluations {task.fields[rate]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            # An average over the whole run: shards of different scenarios take different times.
            speed_estimate_period=7 * 86_400,
        )
        self._cell = _Cell() if self._progress.console.is_jupyter else None
        self._task = self._progress.add_task("starting", total=None, rate="")
        self._n_found_done = 0

    def _start(self) -> None:
        if self._cell is None:
            self._progress.start()

    def __enter__(self) -> ProgressBar:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def note(self, line: str) -> None:
        """
        Print a line above the bar.

        Parameters
        ----------
        line : str
            Without a newline.
        """
        self._progress.console.print(line, style="dim", markup=False, highlight=False)

    def __call__(self, event: SweepEvent) -> None:
        """
        Move the bar.

        Parameters
        ----------
        event : SweepEvent
        """
        if isinstance(event, SweepStarted):
            # Also where nobody entered the block: a notebook calls `sweep` in one line.
            self._start()
            self._n_found_done = event.n_rows_done
            self._progress.update(
                self._task, total=event.n_rows, completed=event.n_rows_done, description="starting workers"
            )
        elif isinstance(event, ShardsDone):
            self._progress.advance(self._task, event.n_rows)
            task = self._progress.tasks[self._task]
            if task.elapsed:
                rate = (task.completed - self._n_found_done) / task.elapsed
                self._progress.update(self._task, rate=f"{rate:,.0f}/s", description=event.label[:24])
        elif isinstance(event, SweepMerged):
            self._progress.update(self._task, description="done")
            self._progress.stop()
        if self._cell is not None:
            self._cell.show(self._element())

    def _element(self) -> str:
        task = self._progress.tasks[self._task]
        done, total = int(task.completed), int(task.total or 0)
        left = task.time_remaining
        words = [f"{done:,} of {total:,} evaluations", str(task.fields["rate"]), html.escape(task.description)]
        if left and not task.finished:
            words.append(f"{timedelta(seconds=int(left))} left")
        bar = f'<progress value="{done}" max="{max(total, 1)}" style="width: 20em"></progress>'
        return f"{bar} {' · '.join(word for word in words if word)}"
