"""``gmemgpu sweep``: run a specification, show how it goes, end with its decision table."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from gmemgpu.cli.evaluate import STRICT_HELP
from gmemgpu.cli.message import tell
from gmemgpu.errors import Problem, SpecError

if TYPE_CHECKING:
    from distributed import Client

    from gmemgpu.sweeping.run.progress import Listener
    from gmemgpu.sweeping.run.sweep import SweepResult

__all__ = ["add_arguments", "run"]

_ONE_JOB = (1, 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu sweep``."""
    parser.add_argument("spec", metavar="SPEC", help="TOML specification; see jobs/ for examples")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="results directory; what it already holds of the same sweep is kept",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes here (default: one a core, or one a GPU)")
    parser.add_argument(
        "--backend", metavar="B", help="auto, numpy, numba, reference or cupy (default: what SPEC says)"
    )
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
    parser.add_argument(
        "--until",
        metavar="Q",
        help='add seeds until differences to the baseline are so precise, as in "regret: 0.1 %%"',
    )
    parser.add_argument(
        "--baseline",
        metavar="POLICY",
        help="with --until: the policy that others are held against (default: merged, else v10, else the first)",
    )
    parser.add_argument("--max-seeds", type=int, metavar="N", help="with --until: at most so many (default: 64)")
    parser.add_argument("--take-over", action="store_true", help="go on although another client seems to hold DIR")
    parser.add_argument("--strict", action="store_true", help=STRICT_HELP)
    _add_cluster_arguments(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="only time a few traces here, and tell what time and disk all would take"
    )
    parser.add_argument("--json", action="store_true", help="write the decision table as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress and no table")


def _add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cluster (connections and TLS: as Dask is configured)")
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask scheduler: tcp://…, tls://…, or the file it wrote"
    )
    group.add_argument(
        "--cluster", metavar="KIND", help="jobs by dask-jobqueue: slurm, pbs, lsf, …, as its jobqueue.yaml says"
    )
    group.add_argument("--cluster-config", metavar="FILE", help="YAML, laid over that jobqueue.yaml")
    number = group.add_mutually_exclusive_group()
    number.add_argument("--jobs", type=int, metavar="N", help="how many jobs (default: 1); lost ones are replaced")
    number.add_argument("--adapt", metavar="MIN:MAX", help="as many jobs as there is work for, from MIN to MAX")
    group.add_argument("--print-job", action="store_true", help="only print the script that each job would run")


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep and print its table; 0 if all of it is done and gave what the spec expects."""
    jobs = _checked(arguments)
    if arguments.print_job:
        from gmemgpu.sweeping.clusters.jobs import job_script

        sys.stdout.write(
            job_script(arguments.cluster, arguments.cluster_config, on_device=_wants_device(arguments)).rstrip() + "\n"
        )
        return 0
    if arguments.dry_run:
        from gmemgpu.cli.dry_run import run_dry

        return run_dry(arguments)
    opening = _opening(arguments, jobs)
    if opening is None:
        from gmemgpu.sweeping.clusters.fork_server import start_fork_server

        start_fork_server()
    from gmemgpu.cli.progress import shown_progress
    from gmemgpu.cli.rejected import warn_of_nothing_freed_in, warn_of_rejected_in
    from gmemgpu.cli.termination import leaving_on_sigterm

    with (
        leaving_on_sigterm(),
        shown_progress(quiet=arguments.quiet, say_why=not arguments.json) as listen,
    ):
        result = _swept(arguments, opening, listen)
    if result.fallback is not None:
        n, reason = result.fallback.n_shards, result.fallback.reason
        shards = f"{n:,} {'shard' if n == 1 else 'shards'}"
        tell(f"gmemgpu: warning: {shards} ran on CPU cores, since the device failed: {reason}")
    warn_of_rejected_in(result.directory)
    if arguments.json or not arguments.quiet:
        warn_of_nothing_freed_in(result.directory)
        from gmemgpu.cli.show import print_table
        from gmemgpu.report.decision import read_decision_table
        from gmemgpu.report.render import MOST_GROUPS

        most = None if arguments.json else MOST_GROUPS
        table = read_decision_table(result.directory, most_groups=most)
        command = shlex.join(["gmemgpu", "show", arguments.output])
        print_table(table, form="json" if arguments.json else "text", command=command)
    checked = result.checked
    for line in checked.unmet:
        tell(f"gmemgpu: {arguments.spec}: {line}")
    if checked.n_figures and not arguments.quiet:
        n_met = checked.n_figures - len(checked.unmet)
        tell(f"{n_met:,} of {checked.n_figures:,} figures as {arguments.spec} expects them")
    return 1 if checked.unmet else 0


def _swept(
    arguments: argparse.Namespace,
    opening: Callable[[], AbstractContextManager[Client]] | None,
    listen: Listener | None,
) -> SweepResult:
    options = {
        "backend": arguments.backend,
        "workers": arguments.workers,
        "progress": listen,
        "on_error": arguments.on_error,
        "retries": arguments.retries,
        "take_over": arguments.take_over,
        "strict": arguments.strict,
    }
    if arguments.until is None:
        from gmemgpu.sweeping.run.sweep import sweep

        return sweep(arguments.spec, arguments.output, opening, **options)
    from gmemgpu.until import DEFAULT_MAX_SEEDS, sweep_until

    def note(line: str) -> None:
        if not arguments.quiet:
            tell(f"gmemgpu: {line}")

    most = DEFAULT_MAX_SEEDS if arguments.max_seeds is None else arguments.max_seeds
    precision = {"until": arguments.until, "baseline": arguments.baseline, "max_seeds": most}
    return sweep_until(arguments.spec, arguments.output, opening, note=note, **precision, **options)[0]


def _checked(arguments: argparse.Namespace) -> tuple[int, int]:
    # Fewest and most jobs.
    problems = []
    if arguments.output is None and not arguments.print_job:
        problems.append(Problem("--output", "is missing; give a directory for the results"))
    for name in ("baseline", "max_seeds"):
        if getattr(arguments, name) is not None and arguments.until is None:
            problems.append(Problem(f"--{name.replace('_', '-')}", "is about --until, which is missing"))
    for name in ("dry_run", "print_job"):
        if arguments.until is not None and getattr(arguments, name):
            option = f"--{name.replace('_', '-')}"
            problems.append(Problem("--until", f"runs a sweep, and {option} runs none; leave one of them out"))
    if arguments.scheduler and arguments.cluster:
        problems.append(Problem("--cluster", "starts a scheduler of its own; leave --scheduler out, or --cluster"))
    for name in ("cluster_config", "jobs", "adapt", "print_job"):
        if getattr(arguments, name) and not arguments.cluster:
            problems.append(Problem(f"--{name.replace('_', '-')}", "is about jobs; say which with --cluster slurm, …"))
    if arguments.workers is not None and (arguments.cluster or arguments.scheduler) and not arguments.dry_run:
        problems.append(Problem("--workers", "counts processes on this machine; use --jobs or --adapt for jobs"))
    jobs = _ONE_JOB if arguments.jobs is None else (arguments.jobs, arguments.jobs)
    if arguments.adapt is not None:
        least, _, most = arguments.adapt.partition(":")
        jobs = (int(least), int(most)) if least.isdecimal() and most.isdecimal() else (1, 0)
    if not 0 <= jobs[0] <= jobs[1] or jobs[1] < 1:
        name, value = ("--jobs", arguments.jobs) if arguments.adapt is None else ("--adapt", arguments.adapt)
        problems.append(Problem(name, f'"{value}" is no number of jobs; write --jobs 4 or --adapt 1:16'))
    if problems:
        raise SpecError(problems)
    return jobs


def _wants_device(arguments: argparse.Namespace) -> bool:
    from gmemgpu.engine.registry import runs_on_devices
    from gmemgpu.sweeping.spec import read_spec

    backend = arguments.backend or read_spec(arguments.spec).backend
    return backend != "auto" and runs_on_devices(backend)


def _opening(
    arguments: argparse.Namespace, jobs: tuple[int, int]
) -> Callable[[], AbstractContextManager[Client]] | None:
    # Called when the directory is held and something is to be computed: nobody submits jobs to be refused then.
    if arguments.scheduler:

        def connect() -> AbstractContextManager[Client]:
            from gmemgpu.sweeping.clusters.scheduler import scheduler_client

            return scheduler_client(arguments.scheduler)

        return connect
    if arguments.cluster:

        def submit() -> AbstractContextManager[Client]:
            from gmemgpu.sweeping.clusters.jobs import job_client
            from gmemgpu.sweeping.store.files import LOGS

            return job_client(
                arguments.cluster,
                jobs=jobs,
                logs=Path(arguments.output) / LOGS,
                config_file=arguments.cluster_config,
                on_device=_wants_device(arguments),
            )

        return submit
    return None
