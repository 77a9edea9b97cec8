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
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="workers (default: one a core, or one a GPU; on a cluster, its options)",
    )
    parser.add_argument("--backend", metavar="B", help="auto, numpy, reference or cupy (default: what SPEC says)")
    parser.add_argument(
        "--on-error",
        choices=("stop", "continue"),
        default="stop",
        help="when a shard fails for good: stop (default), or go on with the others",
    )
    parser.add_argument(
        "--retries",
        type=int,
        default=2,
        metavar="N",
        help="how often to try a shard again that failed, or whose worker died (default: 2)",
    )
    _add_cluster_arguments(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="only measure some traces here, for 10 s or so, and say what time, memory and disk all would take",
    )
    parser.add_argument("--json", action="store_true", help="write the decision table as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress and no table")


def _add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cluster")
    group.add_argument(
        "--cluster",
        default="local",
        metavar="WHERE",
        help="local (default), slurm, pbs, lsf, tcp://HOST:PORT, tls://HOST:PORT or a Dask scheduler's file (….json)",
    )
    group.add_argument("--cluster-options", metavar="FILE", help="TOML file with a [cluster] table")
    group.add_argument("--tls-ca", metavar="FILE", help="certificates of who signs the scheduler's and the workers'")
    group.add_argument("--tls-cert", metavar="FILE", help="own certificate")
    group.add_argument("--tls-key", metavar="FILE", help="its private key")


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep and print its table; 0 if all of it is done."""
    if arguments.dry_run:
        from gmemgpu.cli.dry_run import run_dry

        return run_dry(arguments)
    from gmemgpu.cli.termination import leaving_on_sigterm
    from gmemgpu.sweeping.run import sweep

    with leaving_on_sigterm(), _listener(quiet=arguments.quiet, say_why=not arguments.json) as listen:
        result = sweep(
            arguments.spec,
            arguments.output,
            backend=arguments.backend,
            workers=arguments.workers,
            progress=listen,
            cluster=arguments.cluster,
            cluster_options=arguments.cluster_options,
            tls_ca=arguments.tls_ca,
            tls_cert=arguments.tls_cert,
            tls_key=arguments.tls_key,
            on_error=arguments.on_error,
            retries=arguments.retries,
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
        for line in _told(event, say_why=say_why):
            print(f"gmemgpu: {line}", file=sys.stderr)
        if isinstance(event, SweepStarted):
            n_to_do = event.n_shards - event.n_shards_done - event.n_shards_failed
            print(
                f"gmemgpu: {event.n_rows - event.n_rows_done:,} of {_count(event.n_rows, 'evaluation')} to do "
                f"in {_count(n_to_do, 'task')} on {_count(event.workers, 'worker')}",
                file=sys.stderr,
            )

    return listen


def _told(event: SweepEvent, *, say_why: bool) -> Iterator[str]:
    # What a line on a pipe and one above the bar say alike.
    from gmemgpu.sweeping.progress import ShardFailed, SweepStarted, WorkersAwaited

    if isinstance(event, SweepStarted):
        if say_why and event.workers and event.reason is not None:
            yield _choice(event)
        if event.dashboard is not None:
            yield f"dashboard {event.dashboard}"
        if event.n_shards_failed:
            yield f"{_count(event.n_shards_failed, 'shard')} failed earlier and will not be tried again"
    elif isinstance(event, WorkersAwaited):
        yield f"waiting for a worker of {event.whose}"
    elif isinstance(event, ShardFailed):
        yield "failed: " + event.message.replace("\n", "\n        ")


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
        for line in _told(event, say_why=say_why):
            progress.console.print(line, style="dim", markup=False, highlight=False)
        if isinstance(event, SweepStarted):
            found_done = event.n_rows_done
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
