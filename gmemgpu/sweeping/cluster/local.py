"""Worker processes on this machine, reachable from this machine alone."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Nanny, Scheduler, SpecCluster
from distributed.system import MEMORY_LIMIT

from gmemgpu.errors import GmemgpuError
from gmemgpu.sweeping.cluster.config import CONFIG, LOOPBACK_DASHBOARD
from gmemgpu.sweeping.unguarded import REMEDY, script_is_unguarded

__all__ = ["local_client", "starting", "default_workers"]

_CONFIG: dict[str, Any] = {
    **CONFIG,
    # Without this a task waits for ever once no worker can be started any more.
    "distributed.scheduler.no-workers-timeout": "60s",
}

_DEVICE_PERCENT = 90
"""Of a device's memory, for all workers that share it; the rest is for what each keeps on it besides arrays."""


def default_workers() -> int:
    """Give the number of cores that this process may use, container limits included."""
    return int(CPU_COUNT)


@contextmanager
def local_client(workers: int, n_devices: int = 0) -> Iterator[Client]:
    """
    Run a Dask cluster of single-threaded worker processes.

    Parameters
    ----------
    workers : int
    n_devices : int
        CUDA devices that they share, each worker on one of them; 0 if they compute on cores.

    Yields
    ------
    distributed.Client
        Its scheduler, dashboard and workers listen on loopback, at random ports.

    Raises
    ------
    GmemgpuError
        If no worker can be started.

    Notes
    -----
    A killed worker is started again. Workers end by themselves when this process is killed. Ctrl-C, which a terminal
    sends to all of them, is for this process alone: it is blocked while the cluster starts, and workers and the
    threads that start them inherit that; one that came meanwhile is taken up right after.
    """
    with dask.config.set(_CONFIG), ExitStack() as stack:
        # The tracker of Python's own processes would unblock the signal again if it were started later.
        resource_tracker.ensure_running()
        try:
            with starting():
                cluster = stack.enter_context(_cluster(workers, n_devices))
        except RuntimeError as error:
            if script_is_unguarded():
                raise GmemgpuError(f"no worker can be started; {REMEDY}") from None
            raise GmemgpuError(f"no worker can be started ({error}); try fewer workers") from error
        yield stack.enter_context(Client(cluster, set_as_default=False))


@contextmanager
def starting() -> Iterator[None]:
    """Block Ctrl-C, which threads and processes started meanwhile inherit; one that came is taken up afterwards."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _cluster(workers: int, n_devices: int) -> SpecCluster:
    if n_devices:
        return _device_cluster(workers, _device_names(n_devices))
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=LOOPBACK_DASHBOARD,
        # What matters of a failure reaches the user as one message; Dask's own log lines would bury it.
        silence_logs=logging.CRITICAL,
    )


def _device_names(n_devices: int) -> list[str]:
    # What this process may see is all that its workers may share out; ids of any form are handed on as they are.
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:n_devices] or [str(i) for i in range(n_devices)]


def _device_cluster(workers: int, devices: list[str]) -> SpecCluster:
    # A LocalCluster gives all of its workers one environment.
    n_sharing = -(-workers // len(devices))
    # CuPy's own variable: each of several takes its part, whatever it sees free while the others start.
    share = {"CUPY_GPU_MEMORY_LIMIT": f"{_DEVICE_PERCENT / n_sharing:.2f}%"} if n_sharing > 1 else {}

    def worker(i: int) -> dict[str, Any]:
        return {
            "cls": Nanny,
            "options": {
                "host": "127.0.0.1",
                "nthreads": 1,
                "memory_limit": MEMORY_LIMIT // workers,
                "dashboard": False,
                "silence_logs": logging.CRITICAL,
                "env": {"CUDA_VISIBLE_DEVICES": devices[i % len(devices)], **share},
            },
        }

    return SpecCluster(
        workers={i: worker(i) for i in range(workers)},
        scheduler={
            "cls": Scheduler,
            "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": LOOPBACK_DASHBOARD},
        },
        silence_logs=logging.CRITICAL,
    )
