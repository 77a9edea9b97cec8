"""``gmemgpu sweep --dry-run``: what a sweep would take, and nothing of it done."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from gmemgpu.errors import Problem, SpecError
from gmemgpu.sweeping.cluster.target import read_target
from gmemgpu.sweeping.estimate import estimate
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store import count_there

if TYPE_CHECKING:
    from gmemgpu.sweeping.cluster.target import Target
    from gmemgpu.sweeping.estimate import Estimate
    from gmemgpu.sweeping.spec import SweepSpec

__all__ = ["run_dry"]

_H = 3600.0


def run_dry(arguments: argparse.Namespace) -> int:
    """
    Measure a little of a sweep and print what all of it would take.

    Parameters
    ----------
    arguments : argparse.Namespace
        Of ``gmemgpu sweep``.

    Returns
    -------
    int
        0; a sweep that does not fit is an exception.
    """
    spec = read_spec(arguments.spec)
    target = read_target(
        arguments.cluster,
        spec.cluster,
        arguments.cluster_options,
        tls_ca=arguments.tls_ca,
        tls_cert=arguments.tls_cert,
        tls_key=arguments.tls_key,
    )
    backend = _backend(target, arguments.backend or spec.backend)
    workers, worker_bytes = _workers(target, spec, backend, arguments.workers)
    found = estimate(spec, backend=backend, workers=workers, worker_bytes=worker_bytes)
    n_there = count_there(arguments.output, spec, make_plan(spec, found.backend))
    if arguments.json:
        json.dump({**asdict(found), "n_shards_there": n_there}, sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{name:<12}{value}\n" for name, value in _lines(found, n_there))
    return 0


def _backend(target: Target, backend: str) -> str:
    # As a sweep on that cluster would choose; it is measured here all the same.
    if target.is_far and backend == "auto":
        return "cupy" if target.options.gpus else "numpy"
    return backend


def _workers(target: Target, spec: SweepSpec, backend: str, wanted: int | None) -> tuple[int, int | None]:
    # How many there will be, and the memory of each if that is known.
    if wanted is not None and wanted < 1:
        raise SpecError(Problem("workers", f"{wanted} is not positive; leave it out for what a sweep would start"))
    if target.kind == "scheduler":
        if wanted is None:
            raise SpecError(Problem("workers", "is missing; say how many workers that scheduler has"))
        return wanted, None
    if target.is_far:
        options = target.options
        return wanted or options.jobs * options.workers_per_job, options.memory // options.workers_per_job
    from distributed.system import MEMORY_LIMIT

    from gmemgpu.engine.choice import choose_engine
    from gmemgpu.engine.registry import device_count
    from gmemgpu.sweeping.cluster.local import default_workers
    from gmemgpu.sweeping.task import pairs_at_once

    n_rows = len(spec.scenarios) * len(spec.seeds) * len(spec.policies)
    choice = choose_engine(backend, n_pairs=pairs_at_once(n_rows))
    workers = wanted or device_count(choice.engine.name) or default_workers()
    return workers, MEMORY_LIMIT // workers


def _lines(found: Estimate, n_there: int) -> list[tuple[str, str]]:
    unit = "GPU" if found.on_device else "core"
    return [
        ("evaluations", f"{found.n_rows:,} in {found.n_shards:,} parts, on {found.backend}"),
        (
            "wall time",
            f"about {_time(found.wall_s)} on {found.workers:,} {'worker' if found.workers == 1 else 'workers'}",
        ),
        (f"{unit}-hours", f"about {found.busy_s / _H:,.2f}"),
        ("memory", f'about {_size(found.worker_bytes)} for a worker with the longest trace, of "{found.largest}"'),
        ("results", f"about {_size(found.result_bytes)}"),
        *([("there", f"{n_there:,} of {found.n_shards:,} parts already, all of which count above")] if n_there else []),
        (
            "certainty",
            f"times are good to a factor of {found.factor:.1f}: {found.n_traces_measured:,} traces, some cut short, "
            f"measured in {_time(found.measured_s)} on one {unit} of this machine; those of workers may be slower",
        ),
    ]


def _time(time_s: float) -> str:
    for unit, in_s in (("d", 24 * _H), ("h", _H), ("min", 60.0)):
        if time_s >= 2 * in_s:
            return f"{time_s / in_s:,.1f} {unit}"
    return f"{time_s:,.1f} s"


def _size(n_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n_bytes < 1024:
            return f"{n_bytes:,.0f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:,.1f} GiB"
