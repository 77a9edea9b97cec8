"""``gmemgpu sweep``: run a specification, show how it goes, end with its decision table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from gmemgpu.sweeping.progress import Listener, SweepEvent, SweepStarted

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu sweep``."""
    parser.add_argument("spec", metavar="SPEC", help="TOML specification; see jobs/ for examples")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help="results directory; what it already holds of the same sweep is kept",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one a core, or one a GPU)")
    parser.add_argument("--backend", metavar="B", help="auto, numpy, reference or cupy (default: what SPEC says)")
    parser.add_argument("--json", action="store_true", help="write the decision table as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress and no table")


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep and print its table; 0 if all of it is done."""
    from gmemgpu.sweeping.run import sweep

    with _listener(quiet=arguments.quiet, say_why=not arguments.json) as listen:
        result = sweep(
            arguments.spec,
            arguments.output,
            backend=arguments.backend,
            workers=arguments.workers,
            progress=listen,
        )
    if result.stand_in is not None:
        shards, reason = _count(result.stand_in.n_shards, "shard"), result.stand_in.reason
        print(f"gmemgpu: warning: {shards} ran on numpy, since the device failed: {reason}", file=sys.stderr)
    if arguments.json or not arguments.quiet:
        from gmemgpu.cli.show import print_table
        from gmemgpu.report.decision import decide

        print_table(decide(result.directory), form="json" if arguments.json else "text")
    return 0


@contextmanager
def _listener(*, quiet: bool, say_why: bool) -> Iterator[Listener | None]:
    # A live bar on a terminal, a line at either end on a pipe, nothing if quiet.
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield _lines(say_why=say_why)
    else:
        from rich.console import Console

        with _progress(Console(stderr=True)) as progress:
            yield _bar(progress, say_why=say_why)


def _progress(console: Console) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("evaluations {task.fields[rate]}"),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        # An average over the whole run: shards of different scenarios take different times.
        speed_estimate_period=7 * 86_400,
    )


def _lines(*, say_why: bool) -> Listener:
    from gmemgpu.sweeping.progress import SweepStarted

    def listen(event: SweepEvent) -> None:
        if not isinstance(event, SweepStarted):
            return
        if say_why and event.workers and event.reason is not None:
            print(f"gmemgpu: {_choice(event)}", file=sys.stderr)
        print(
            f"gmemgpu: {event.n_rows - event.n_rows_done:,} of {_count(event.n_rows, 'evaluation')} to do "
            f"in {_count(event.n_shards - event.n_shards_done, 'task')} on {_count(event.workers, 'worker')}",
            file=sys.stderr,
        )

    return listen


def _choice(event: SweepStarted) -> str:
    return f"backend {event.backend} (auto: {event.reason})"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _bar(progress: Progress, *, say_why: bool) -> Listener:
    from gmemgpu.sweeping.progress import ShardDone, SweepMerged, SweepStarted

    task = progress.add_task("starting", total=None, rate="")
    found_done = 0

    def listen(event: SweepEvent) -> None:
        nonlocal found_done
        if isinstance(event, SweepStarted):
            found_done = event.n_rows_done
            if say_why and event.workers and event.reason is not None:
                progress.console.print(_choice(event), style="dim", markup=False, highlight=False)
            progress.update(task, total=event.n_rows, completed=found_done, description="sweeping")
        elif isinstance(event, ShardDone):
            progress.advance(task, event.n_rows)
            elapsed_s = progress.tasks[task].elapsed
            if elapsed_s:
                rate = (progress.tasks[task].completed - found_done) / elapsed_s
                progress.update(task, rate=f"{rate:,.0f}/s", description=event.label[:24])
        elif isinstance(event, SweepMerged):
            progress.update(task, description="done")

    return listen
