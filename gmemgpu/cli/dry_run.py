"""``gmemgpu sweep --dry-run``: what a sweep would take, and nothing of it done."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from gmemgpu.catalogue import tell_doubts
from gmemgpu.errors import Problem, SpecError
from gmemgpu.sweeping.estimate import estimate
from gmemgpu.sweeping.run.plan import make_plan
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store.directory import count_parts

if TYPE_CHECKING:
    from gmemgpu.sweeping.estimate import Range, SweepEstimate

__all__ = ["run_dry"]

_H = 3600.0


def run_dry(arguments: argparse.Namespace) -> int:
    """
    Time a little of a sweep and print what all of it would take.

    Parameters
    ----------
    arguments : argparse.Namespace
        Of ``gmemgpu sweep``.

    Returns
    -------
    int
        0.
    """
    spec = read_spec(arguments.spec)
    tell_doubts(spec.policies, spec.source, strict=arguments.strict)
    elsewhere = bool(arguments.scheduler or arguments.cluster)
    found = estimate(spec, workers=_workers(arguments), backend=arguments.backend, elsewhere=elsewhere)
    n_there = count_parts(arguments.output, spec, make_plan(spec, found.backend))
    if arguments.json:
        json.dump({**asdict(found), "n_parts_there": n_there}, sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{name:<12}{value}\n" for name, value in _lines(found, n_there))
    return 0


def _workers(arguments: argparse.Namespace) -> int:
    # Of jobs each is counted as one worker: how many it starts is said in jobqueue.yaml.
    if arguments.workers is not None:
        workers: int = arguments.workers
        if workers < 1:
            raise SpecError(Problem("workers", f"{workers} is not positive; leave it out for what a sweep would start"))
        return workers
    if arguments.scheduler:
        raise SpecError(Problem("workers", "is missing; tell how many workers that scheduler has"))
    if arguments.cluster:
        return int(arguments.adapt.rpartition(":")[2]) if arguments.adapt else int(arguments.jobs or 1)
    from gmemgpu.sweeping.clusters.local import default_workers

    return default_workers()


def _lines(found: SweepEstimate, n_there: int) -> list[tuple[str, str]]:
    there = f"; {n_there:,} of them are there, and counted below all the same" if n_there else ""
    return [
        ("evaluations", f"{found.n_rows:,} in {found.n_parts:,} parts, on {found.backend}{there}"),
        (
            "wall time",
            f"{_time(found.wall_s)} on {found.workers:,} {'worker' if found.workers == 1 else 'workers'}",
        ),
        (f"{found.unit}-hours", f"{found.busy_s[0] / _H:,.2f} to {found.busy_s[1] / _H:,.2f}"),
        ("memory", f'about {_size(found.worker_bytes)} for a worker with the longest trace, of "{found.largest}"'),
        ("disk", f"about {_size(found.disk_bytes)}"),
        (
            "based on",
            f"{found.n_timed:,} {'trace' if found.n_timed == 1 else 'traces'}, long ones cut short, timed in "
            f"{found.timed_s:,.0f} s on one {found.unit} of this machine; others may be slower",
        ),
    ]


def _time(range_s: Range) -> str:
    for unit, in_s in (("d", 24 * _H), ("h", _H), ("min", 60.0), ("s", 1.0)):
        if range_s[1] >= 2 * in_s or unit == "s":
            break
    return f"{range_s[0] / in_s:,.1f} to {range_s[1] / in_s:,.1f} {unit}"


def _size(n_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n_bytes < 1024:
            return f"{n_bytes:,.0f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:,.1f} GiB"
