"""Workers for a sweep, of whatever kind was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask

from gmemgpu.sweeping.cluster import local
from gmemgpu.sweeping.cluster.dashboard import dashboard_of
from gmemgpu.sweeping.cluster.target import Target
from gmemgpu.sweeping.cluster.workers import Workers

__all__ = ["open_workers"]


@contextmanager
def open_workers(
    target: Target, *, wanted: int | None, n_devices: int, n_tasks: int, retries: int, logs: Path
) -> Iterator[Workers]:
    """
    Start workers, or connect to a scheduler that has some.

    Parameters
    ----------
    target : Target
    wanted : int or None
        Workers that the user asked for.
    n_devices : int
        Devices of this machine that local workers share.
    n_tasks : int
        At most; no more workers are started.
    retries : int
        How often a task is tried again after its worker died.
    logs : Path
        Where jobs write what they print.

    Yields
    ------
    Workers

    Raises
    ------
    GmemgpuError
        If none can be had.
    """
    with dask.config.set({"distributed.scheduler.allowed-failures": retries}):
        if target.kind == "local":
            n = min(wanted or n_devices or local.default_workers(), n_tasks)
            with local.local_client(n, n_devices) as client:
                yield Workers(
                    client=client,
                    n_expected=n,
                    n_slots=lambda: n,
                    resources={},
                    dashboard=dashboard_of(client),
                )
        elif target.kind == "scheduler":
            from gmemgpu.sweeping.cluster.existing import existing_workers

            with existing_workers(target) as workers:
                yield workers
        else:
            from gmemgpu.sweeping.cluster.jobs import job_workers

            with job_workers(target, wanted=wanted, n_tasks=n_tasks, logs=logs) as workers:
                yield workers
