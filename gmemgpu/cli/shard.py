"""``gmemgpu shard``: one share of a sweep in this process, for job arrays."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gmemgpu.cli.evaluate import STRICT_HELP
from gmemgpu.cli.message import tell

if TYPE_CHECKING:
    from gmemgpu.sweeping.run.progress import SweepEvent
    from gmemgpu.sweeping.run.share import ShareResult

__all__ = ["add_arguments", "run"]

_MAX_FAILURES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``gmemgpu shard``."""
    parser.epilog = (
        "Task I of N of a job array: `gmemgpu shard SPEC -o DIR --index $SLURM_ARRAY_TASK_ID --of "
        "$SLURM_ARRAY_TASK_COUNT`. It needs no Dask and no other task: all fill one directory, in any order, as often "
        "as you like; what is there is not done again. The task that finds all parts there merges them; `gmemgpu "
        "sweep SPEC -o DIR` does the same at any time. Exit code 0: this share is there; 1: some of it failed."
    )
    parser.add_argument("spec", metavar="SPEC", help="TOML specification; see jobs/ for examples")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="results directory, the same for all")
    parser.add_argument("--index", type=int, required=True, metavar="I", help="this share, from 0")
    parser.add_argument("--of", type=int, required=True, metavar="N", help="number of shares")
    parser.add_argument(
        "--backend", metavar="B", help="auto, numpy, numba, reference or cupy (default: what SPEC says)"
    )
    parser.add_argument("--strict", action="store_true", help=STRICT_HELP)
    parser.add_argument("--json", action="store_true", help="write what became of the share as JSON")
    parser.add_argument("--quiet", action="store_true", help="say nothing but failures")


def run(arguments: argparse.Namespace) -> int:
    """Compute the share; 0 if all of it is there, 1 if a shard of it failed."""
    from gmemgpu.cli.termination import leaving_on_sigterm
    from gmemgpu.sweeping.run.share import compute_share

    who = f"share {arguments.index} of {arguments.of}"

    def listen(event: SweepEvent) -> None:
        from gmemgpu.sweeping.run.progress import SweepMerged, SweepStarted

        if isinstance(event, SweepStarted):
            todo = event.n_shards - event.n_shards_done
            _say(f"{who}: {todo:,} of {event.n_shards:,} shards to do on {event.backend}")
        elif isinstance(event, SweepMerged):
            _say(f"all parts are there: {event.n_rows:,} rows merged")

    with leaving_on_sigterm():
        result = compute_share(
            arguments.spec,
            arguments.output,
            index=arguments.index,
            of=arguments.of,
            backend=arguments.backend,
            progress=None if arguments.quiet else listen,
            strict=arguments.strict,
        )
    if not arguments.quiet:
        _say(f"{who}: {result.n_shards_computed:,} shards computed, {len(result.failures):,} failed")
    _tell_failures(result)
    if arguments.json:
        _print_json(result)
    return 1 if result.failures else 0


def _say(line: str) -> None:
    tell(f"gmemgpu: {line}")


def _tell_failures(result: ShareResult) -> None:
    for failure in result.failures[:_MAX_FAILURES]:
        _say("failed: " + failure.message.replace("\n", "\n        "))
    if len(result.failures) > _MAX_FAILURES:
        _say(f"… and {len(result.failures) - _MAX_FAILURES} more")
    if result.failures:
        _say("the same command tries them again")


def _print_json(result: ShareResult) -> None:
    import json
    from dataclasses import asdict

    json.dump({**asdict(result), "directory": str(result.directory)}, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
