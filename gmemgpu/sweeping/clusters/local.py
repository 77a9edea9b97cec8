"""A cluster of processes on this machine."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster
from distributed.core import Status
from distributed.system import MEMORY_LIMIT

from gmemgpu.errors import GmemgpuError
from gmemgpu.hidden import hidden
from gmemgpu.sweeping.clusters.fork_server import sigint_blocked, start_method
from gmemgpu.sweeping.clusters.settings import (
    CLUSTER_CONFIG,
    DEVICE_CONFIG,
    LOOPBACK_DASHBOARD,
    chain_of,
    innermost,
    quiet,
    temporary_security,
)
from gmemgpu.sweeping.run.main_guard import REMEDY, program_without_file, script_lacks_main_guard

__all__ = ["local_client", "default_workers"]

_ROUTES = "distributed.scheduler.http.routes"
_DEVICE_PERCENT = 90
"""Of a device's memory, for all workers that share it; the rest is for what each keeps on it besides arrays."""
_FIRST_WORKER_S = 60.0
_LOOPBACK = "start the loopback interface, over which workers are reached (ip link set lo up)"
_WITHOUT_DASK = "compute without Dask: gmemgpu shard SPEC -o DIR --index 0 --of 1"
_FEWER = "try fewer workers (--workers)"
_REMEDIES: dict[int | None, str] = {
    errno.EMFILE: f"allow more open files (ulimit -n), {_FEWER}",
    errno.ENFILE: f"allow more open files (fs.file-max), {_FEWER}",
    errno.EAGAIN: f"allow more processes (ulimit -u), {_FEWER}",
    errno.ENOMEM: f"free memory, {_FEWER}",
    errno.ENOSPC: "free room on the disk",
    # Python's own word for it is the whole list of folders that it tried.
    errno.ENOENT: "set TMPDIR to a folder that you may write to",
}
_FILES, _FILES_A_WORKER = 24, 10
"""A little more than this process was seen to hold open: 21, and 9 for each worker."""
_OTHERWISE = "call sweep from the main process, or give it a client of yours"


def default_workers() -> int:
    """Return the number of cores that this process may use, container limits included."""
    return int(CPU_COUNT)


class _MachineCluster(LocalCluster):
    """A LocalCluster whose workers have an environment each: the GPU that a worker uses, and its share of that."""

    n_producers = 0
    """Processes that make traces for each worker."""
    has_dashboard = True

    def __init__(self, environments: list[dict[str, str]], **arguments: Any) -> None:
        self._environments = environments
        super().__init__(n_workers=0, threads_per_worker=1, processes=True, **arguments)  # type: ignore[no-untyped-call]

    def new_worker_spec(self) -> dict[str, Any]:
        """Return the name and the options of the next worker."""
        ((name, spec),) = super().new_worker_spec().items()  # type: ignore[no-untyped-call]
        environment = self._environments[name % len(self._environments)]
        return {name: {**spec, "options": {**spec["options"], "env": environment}}}


@contextmanager
def local_client(
    workers: int | None = None,
    *,
    n_devices: int = 0,
    n_tasks: int = sys.maxsize,
    dashboard: bool = True,
) -> Iterator[Client]:
    """
    Start a Dask cluster of single-threaded processes on this machine, encrypted, on loopback.

    There are at most `n_tasks` workers: as many as asked for, else one a device, each on one of them, or one a core. A
    worker that dies while it starts ends nothing as long as there are others. Without `dashboard` there are no web
    pages even if Bokeh is installed: its import takes longer than a small sweep.
    """
    n_workers = min(workers or n_devices or default_workers(), n_tasks)
    _check_machine(n_workers)
    config = {
        **CLUSTER_CONFIG,
        "distributed.worker.multiprocessing-method": start_method(),
        # A copy: Dask adds a page to this list that tells of no Bokeh, where it is hidden from it.
        _ROUTES: list(dask.config.get(_ROUTES)),
    }
    if n_devices:
        config |= DEVICE_CONFIG
    # Dask imports pandas for a fork server that is not running yet; ours is.
    unneeded = [*(["pandas"] if start_method() == "forkserver" else []), *([] if dashboard else ["bokeh"])]
    with dask.config.set(config), quiet(), program_without_file(), ExitStack() as stack:
        try:
            with hidden(*unneeded), sigint_blocked():
                cluster = _MachineCluster(
                    _device_environments(n_workers, n_devices) if n_devices else [{}],
                    host="127.0.0.1",
                    security=temporary_security(),
                    memory_limit=MEMORY_LIMIT // n_workers,
                    dashboard_address=LOOPBACK_DASHBOARD,
                    silence_logs=logging.CRITICAL,
                )
                stack.enter_context(cluster)
                cluster.has_dashboard = dashboard
                cluster.n_producers = default_workers() // n_workers if n_devices else 0
                cluster.scale(n_workers)  # type: ignore[no-untyped-call]
                # Interrupted while it connects, Dask would wait a minute for itself.
                client = stack.enter_context(Client(cluster, set_as_default=False))
            _wait_for_first(cluster, client)
        except (RuntimeError, OSError, ValueError) as error:
            raise GmemgpuError(f"no worker can be started: {innermost(error)}; {_remedy(error)}") from error
        yield client


def _check_machine(n_workers: int) -> None:
    # What Dask would only say after a minute or when every worker has failed, and then not why.
    if multiprocessing.current_process().daemon:
        raise GmemgpuError(
            f"a daemonic process (of multiprocessing.Pool, or a Dask worker) cannot start workers; {_OTHERWISE}"
        )
    try:
        multiprocessing.Lock()
    except (OSError, ImportError) as error:
        raise GmemgpuError(
            f"no worker can be started: POSIX semaphores cannot be made ({error}); mount /dev/shm with room, or "
            f"{_WITHOUT_DASK}"
        ) from error
    n_files = sum(1 for _ in Path("/proc/self/fd").iterdir()) + _FILES + n_workers * _FILES_A_WORKER
    n_allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if n_files > n_allowed != resource.RLIM_INFINITY:
        raise GmemgpuError(
            f"no worker can be started: some {n_files} files are open at once, and {n_allowed} are allowed; "
            f"{_REMEDIES[errno.EMFILE]}, or {_WITHOUT_DASK}"
        )
    try:
        with socket.socket() as here, socket.socket() as there:
            here.bind(("127.0.0.1", 0))
            here.listen()
            there.connect(here.getsockname())
    except OSError as error:
        raise GmemgpuError(
            f"no worker can be started: {error.strerror or error}; {_LOOPBACK}, or {_WITHOUT_DASK}"
        ) from error


def _remedy(error: BaseException) -> str:
    number = next((one.errno for one in chain_of(error) if isinstance(one, OSError)), None)
    return f"{_REMEDIES.get(number, 'mend that')}, or {_WITHOUT_DASK}"


def _wait_for_first(cluster: Any, client: Client) -> None:
    until_s = time.monotonic() + _FIRST_WORKER_S
    while not cluster.scheduler_info["workers"]:
        started = list(cluster.workers.values())
        if started and all(worker.status == Status.failed for worker in started):
            if script_lacks_main_guard():
                raise GmemgpuError(f"no worker can be started; {REMEDY}")
            raise GmemgpuError(
                "no worker can be started: each ended before it was up; look for memory and process limits of this "
                f"machine, or {_WITHOUT_DASK}"
            )
        if time.monotonic() > until_s:
            raise GmemgpuError(f"no worker came up within {_FIRST_WORKER_S:.0f} s; try fewer workers")
        time.sleep(0.02)


def _device_environments(n_workers: int, n_devices: int) -> list[dict[str, str]]:
    # What this process may see is all that its workers may share out; ids of any form are handed on as they are.
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    devices = named[:n_devices] or [str(i) for i in range(n_devices)]
    n_sharing = -(-n_workers // len(devices))
    # CuPy's own variable: each of several takes its part, whatever it sees free while the others start.
    share = {"CUPY_GPU_MEMORY_LIMIT": f"{_DEVICE_PERCENT / n_sharing:.2f}%"} if n_sharing > 1 else {}
    return [{"CUDA_VISIBLE_DEVICES": device, **share} for device in devices]
