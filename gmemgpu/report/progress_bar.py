"""A sweep's progress as a bar, on a terminal and in notebooks."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gmemgpu.sweeping.run.progress import ShardsDone, SweepEvent, SweepMerged, SweepStarted

__all__ = ["ProgressBar"]


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
        self._task = self._progress.add_task("starting", total=None, rate="")
        self._n_found_done = 0

    def __enter__(self) -> ProgressBar:
        self._progress.start()
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
            self._progress.start()
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
