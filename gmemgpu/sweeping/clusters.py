"""Dask clusters for a sweep: processes of this machine, jobs of a batch system, or a scheduler that is there."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import dask
from dask.system import CPU_COUNT
from dask.utils import parse_timedelta
from distributed import Client, LocalCluster
from distributed.core import Status
from distributed.security import Security
from distributed.system import MEMORY_LIMIT

from gmemgpu.errors import BackendError, GmemgpuError, Problem, SpecError
from gmemgpu.sweeping.run.unguarded import REMEDY, script_is_unguarded

__all__ = ["local_client", "default_workers", "scheduler_client", "job_client", "job_script"]

_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), 1
)
"""Each worker is one core's: libraries that start threads of their own would fight over it."""
_LOOPBACK_DASHBOARD = "127.0.0.1:0"
"""None and False would listen on 8787 nevertheless, ":0" on every interface."""
_WORKER_CONFIG: dict[str, Any] = {
    # Spawn, not fork: a worker shall inherit no threads, no locks and no CUDA context of its client.
    "distributed.worker.multiprocessing-method": "spawn",
    # A task holds no data that a spill could save, so only the last resort is kept.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,
}
_CONFIG: dict[str, Any] = {
    **_WORKER_CONFIG,
    "distributed.nanny.pre-spawn-environ": _ONE_THREAD,
    "distributed.scheduler.active-memory-manager.start": False,
    # A worker holds one task, and whoever dies is blamed alone: nobody's death takes a neighbour's task along.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.allowed-failures": 0,
    # Nothing is worth moving: a task's input is a few numbers.
    "distributed.scheduler.work-stealing": False,
}
_DEVICE_PERCENT = 90
"""Of a device's memory, for all workers that share it; the rest is for what each keeps on it besides arrays."""
_FIRST_WORKER_S = 60.0
_CONNECT_S = 15
_ADAPT_EVERY = "2s"
_LOOK_EVERY_S = 2.0


def default_workers() -> int:
    """Return the number of cores that this process may use, container limits included."""
    return int(CPU_COUNT)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    # A terminal sends Ctrl-C to all processes; it is for this one alone. Threads and processes inherit what is blocked
    # when they start; one that came meanwhile is taken up right after.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _security() -> Security:
    # What Dask's own configuration says of TLS is what its user wants; else certificates for this cluster alone: the
    # port is open to every user of this machine, and whoever reaches a scheduler can run code as its owner.
    if dask.config.get("distributed.comm.require-encryption") or dask.config.get("distributed.comm.tls.ca-file"):
        return Security()
    made: Security = Security.temporary()
    return made


@contextmanager
def _quiet() -> Iterator[None]:
    # Dask's own log lines would bury in tracebacks what reaches the user as one line.
    packages = ("distributed", "tornado", "asyncio")
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in packages]
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    try:
        for logger in levels:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


class _MachineCluster(LocalCluster):
    """A LocalCluster whose workers have an environment each: the GPU that a worker uses, and its share of that."""

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
    workers: int | None = None, *, n_devices: int = 0, n_tasks: int = sys.maxsize, retries: int = 2
) -> Iterator[Client]:
    """
    Start a Dask cluster of single-threaded processes on this machine, encrypted, on loopback.

    Parameters
    ----------
    workers : int, optional
        One a device or one a core if left out.
    n_devices : int
        CUDA devices that they share, each worker on one of them; 0 if they compute on cores.
    n_tasks : int
        No more workers than that.
    retries : int
        How often a task's worker may die; that of somebody else's scheduler counts by its own configuration.

    Yields
    ------
    distributed.Client

    Raises
    ------
    GmemgpuError
        If no worker can be started. One that dies while it starts ends nothing as long as there are others.
    """
    n_workers = min(workers or n_devices or default_workers(), n_tasks)
    with dask.config.set(_CONFIG), _quiet(), ExitStack() as stack:
        # The tracker of Python's own processes would unblock the signal again if it were started later.
        resource_tracker.ensure_running()
        try:
            with _sigint_blocked():
                cluster = _MachineCluster(
                    _device_environments(n_workers, n_devices) if n_devices else [{}],
                    host="127.0.0.1",
                    security=_security(),
                    memory_limit=MEMORY_LIMIT // n_workers,
                    dashboard_address=_LOOPBACK_DASHBOARD,
                    silence_logs=logging.CRITICAL,
                )
                stack.enter_context(cluster)
                cluster.scale(n_workers)  # type: ignore[no-untyped-call]
                # Interrupted while it connects, Dask would wait a minute for itself.
                client = stack.enter_context(Client(cluster, set_as_default=False))
            _wait_for_first(cluster, client)
        except (RuntimeError, OSError, ValueError) as error:
            raise GmemgpuError(f"no worker can be started: {_innermost(error)}") from error
        yield client


def _wait_for_first(cluster: Any, client: Client) -> None:
    until_s = time.monotonic() + _FIRST_WORKER_S
    while not cluster.scheduler_info["workers"]:
        started = list(cluster.workers.values())
        if started and all(worker.status == Status.failed for worker in started):
            if script_is_unguarded():
                raise GmemgpuError(f"no worker can be started; {REMEDY}")
            raise GmemgpuError(
                "no worker can be started: each ended before it was up; look for memory and process limits of this "
                "machine, or compute without Dask: gmemgpu shard SPEC -o DIR --index 0 --of 1"
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


def _innermost(error: BaseException) -> str:
    # The innermost of a chain says what is wrong; those around it, that it took place.
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    return next((str(one) for one in reversed(chain) if str(one)), type(error).__name__)


@contextmanager
def scheduler_client(address: str) -> Iterator[Client]:
    """
    Open a client of a Dask scheduler that somebody else started.

    Parameters
    ----------
    address : str
        ``tcp://…``, ``tls://…``, or the file that the scheduler wrote. TLS files are what Dask's configuration says.

    Yields
    ------
    distributed.Client

    Raises
    ------
    GmemgpuError
        If it does not answer, or not to these certificates.
    """
    with _quiet():
        try:
            where = {"address": address} if "://" in address else {"scheduler_file": address}
            if "scheduler_file" in where and not Path(address).is_file():
                raise SpecError(Problem("scheduler", f'"{address}" is neither an address (tcp://…) nor a file'))
            _refuse_without_certificates(address)
            client = Client(**where, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            tls = "TLS" in (told := _innermost(error)) or "certificate" in told.lower() or address.startswith("tls://")
            remedy = (
                "check distributed.comm.tls of Dask's configuration, on both sides"
                if tls
                else "check the address, whether it wants tls://, and that it is up"
            )
            raise GmemgpuError(f"{address}: no Dask scheduler answers ({told}); {remedy}") from error
        with client:
            yield client


def _refuse_without_certificates(address: str) -> None:
    # A client of Dask that finds it out by itself waits half a minute, and ends with a traceback.
    told = address if "://" in address else Path(address).read_text(encoding="utf-8")
    if "tls://" in told and Security().get_connection_args("client").get("ssl_context") is None:
        raise ValueError("it wants TLS, and the configuration here names no certificate")


def _cluster_class(kind: str) -> Any:
    # Its import would have Ctrl-C end the process at once, and as if all were well.
    handler = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ImportError:
        raise BackendError(f"--cluster {kind} needs dask-jobqueue; pip install 'gmemgpu[jobqueue]'") from None
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)
    classes = {
        name.removesuffix("Cluster").lower(): getattr(dask_jobqueue, name)
        for name in dir(dask_jobqueue)
        if name.endswith("Cluster") and name not in ("JobQueueCluster", "LocalCluster")
    }
    if kind not in classes:
        raise SpecError(Problem("cluster", f'"{kind}" is unknown; dask-jobqueue has {", ".join(sorted(classes))}'))
    return classes[kind]


def _laid_over(path: str | Path) -> Mapping[str, Any]:
    # Dask's configuration with a file of its kind over it, which leaves alone what it does not name.
    if not os.access(path, os.R_OK):
        raise SpecError(Problem(str(path), "cannot be read; check the path"))
    try:
        found = list(dask.config.collect_yaml([str(path)]))
    except ValueError as error:
        raise SpecError(Problem(str(path), f"is no valid YAML table: {' '.join(_innermost(error).split())}")) from None
    return dask.config.merge(dask.config.config, *found)


def _job_arguments(kind: str, logs: Path | None, *, on_device: bool) -> dict[str, Any]:
    # What jobqueue's own configuration does not say, or what a sweep needs besides it.
    config: Mapping[str, Any] = dask.config.get(f"jobqueue.{kind}", {})
    exports = {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": v for key, v in _WORKER_CONFIG.items()}
    arguments: dict[str, Any] = {
        "security": _security(),
        "protocol": "tls://",
        "job_script_prologue": [
            *(f"export {name}={value}" for name, value in {**_ONE_THREAD, **exports}.items()),
            *(config.get("job-script-prologue") or []),
        ],
        "silence_logs": logging.CRITICAL,
    }
    scheduler = dict(config.get("scheduler-options") or {})
    arguments["scheduler_options"] = {"dashboard_address": _LOOPBACK_DASHBOARD, **scheduler}
    extra = [str(word) for word in config.get("worker-extra-args") or []]
    if not config.get("death-timeout"):
        arguments["death_timeout"] = 60
    if config.get("python") is None:
        arguments["python"] = shlex.quote(sys.executable)
    if config.get("processes") is None:
        # Rows are computed by one thread a process; a GPU has one process.
        arguments["processes"] = 1 if on_device else int(config.get("cores") or 1)
    arguments["worker_extra_args"] = [*extra, "--nthreads", "1"] if on_device else extra
    if logs is not None:
        folder = str(logs.resolve())
        for key, argument in (("log-directory", "log_directory"), ("shared-temp-directory", "shared_temp_directory")):
            if config.get(key) is None:
                arguments[argument] = folder
    return arguments


@contextmanager
def _configured(kind: str, config_file: str | Path | None) -> Iterator[Any]:
    made = _cluster_class(kind)
    # Jobs may wait for hours in their queue, the first ones and those that replace others.
    patient = {"distributed.scheduler.no-workers-timeout": None}
    with (
        dask.config.set({**_CONFIG, **patient}),
        dask.config.set({} if config_file is None else _laid_over(config_file)),
    ):
        yield made


def job_script(kind: str, config_file: str | Path | None = None, *, on_device: bool = False) -> str:
    """
    Return the script of the jobs that a sweep would submit, without a scheduler of its own.

    Parameters
    ----------
    kind : str
        As in ``slurm``.
    config_file : str or Path, optional
        YAML as of `job_client`.
    on_device : bool
        Whether each job is one worker on one GPU.

    Returns
    -------
    str
        As the scheduler would get it.

    Raises
    ------
    BackendError
        If dask-jobqueue is missing.
    SpecError
        If it does not know that system, or its configuration lacks something.
    """
    with _configured(kind, config_file) as made:
        arguments = _job_arguments(kind, None, on_device=on_device)
        for key in ("security", "protocol", "scheduler_options", "silence_logs"):
            arguments.pop(key)
        try:
            job = made.job_cls("tls://SCHEDULER:PORT", name="NAME", config_name=kind, **arguments)
        except (ValueError, TypeError) as error:
            raise _wrong_config(kind, error) from None
        return str(job.job_script())


def _wrong_config(kind: str, error: Exception) -> SpecError:
    return SpecError(
        Problem(f"jobqueue.{kind}", f"{error}; say it in ~/.config/dask/jobqueue.yaml or in --cluster-config FILE")
    )


@contextmanager
def job_client(
    kind: str,
    *,
    jobs: tuple[int, int],
    logs: Path,
    config_file: str | Path | None = None,
    on_device: bool = False,
) -> Iterator[Client]:
    """
    Start jobs of a batch system, and others in place of those that are lost, until the block ends.

    Parameters
    ----------
    kind : str
        A class of dask-jobqueue, as in ``slurm`` for SLURMCluster.
    jobs : tuple of (int, int)
        Fewest and most that run; equal for a fixed number.
    logs : Path
        Folder that jobs see too, for what they print and for the certificates, where jobqueue's configuration names
        no other; made if need be.
    config_file : str or Path, optional
        YAML as of dask-jobqueue's ``jobqueue.yaml``, laid over the configuration that Dask found.
    on_device : bool
        Whether each job is one worker on one GPU.

    Yields
    ------
    distributed.Client

    Raises
    ------
    BackendError
        If dask-jobqueue is missing.
    SpecError
        If it does not know that system, its configuration lacks something, or a path cannot be part of a job script.
    GmemgpuError
        If no scheduler can be started here, or the batch system takes no job.
    """
    if shlex.quote(str(logs.resolve())) != str(logs.resolve()):
        raise SpecError(
            Problem("output", f'"{logs.resolve()}" has signs that a job script cannot hold; use letters, digits, -_./')
        )
    with _configured(kind, config_file) as made, _quiet(), ExitStack() as stack:
        logs.mkdir(parents=True, exist_ok=True)
        try:
            with _sigint_blocked():
                cluster = made(**_job_arguments(kind, logs, on_device=on_device))
                stack.callback(_close, cluster)
            least, most = jobs
            _submit(cluster, kind, max(1, least))
            cluster.adapt(minimum_jobs=least, maximum_jobs=most, interval=_ADAPT_EVERY)
            cluster.replaces_lost_workers = True
        except (ValueError, TypeError) as error:
            raise _wrong_config(kind, error) from error
        except (RuntimeError, OSError) as error:
            raise GmemgpuError(f"{kind}: no scheduler for jobs can be started here: {_innermost(error)}") from error
        stack.enter_context(_replacing_lost_jobs(cluster))
        yield stack.enter_context(Client(cluster, set_as_default=False))


def _close(cluster: Any) -> None:
    # dask-jobqueue never marks a job as closed, and Dask asserts at the very end that each one is which Python has not
    # forgotten yet. All are cancelled by then, and the scheduler has ended.
    with suppress(AssertionError):
        cluster.close()
    cluster.status = Status.closed


def _submit(cluster: Any, kind: str, n_jobs: int) -> None:
    # As `cluster.scale` does, which would not tell that the batch system refused them.
    async def submit() -> None:
        while len(cluster.worker_spec) < n_jobs:
            cluster.worker_spec.update(cluster.new_worker_spec())
        await cluster

    told = None
    try:
        cluster.sync(submit)
    except (RuntimeError, OSError, ValueError) as error:
        told = str(error).partition("stderr:\n")[2].strip() or str(error)
    taken = [_is_taken(job) for job in cluster.workers.values()]
    # Of a user who may have no more at a time the others are tried again.
    if told is not None and not any(taken):
        raise GmemgpuError(f"{kind} takes no job: {told}; --print-job shows the script")


def _is_taken(job: Any) -> bool:
    # Dask leaves one that was refused as if it were yet to be submitted, and fails when it closes.
    if job.job_id is None:
        job.status = Status.failed
    return job.job_id is not None


@contextmanager
def _replacing_lost_jobs(cluster: Any) -> Iterator[None]:
    # Dask replaces a lost job that was one worker; of a job that was several it waits for the rest for ever, and one
    # that the batch system refused it does not submit again.
    lost_after_s = parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout"))
    ended = threading.Event()
    up_s: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def look() -> None:
        now_s = time.monotonic()
        up = {str(worker["name"]) for worker in cluster.scheduler_info["workers"].values()}
        lost = []
        for name, job in list(cluster.workers.items()):
            group = cluster.worker_spec.get(name, {}).get("group", ())
            if not _is_taken(job):
                up_s.setdefault(job, now_s)
            elif any(f"{name}{suffix}" in up for suffix in group):
                up_s[job] = now_s
            if now_s - up_s.get(job, now_s) > lost_after_s:
                lost.append(name)
        if lost:
            cluster.sync(cluster.scale_down, lost)

    def watch() -> None:
        while not ended.wait(_LOOK_EVERY_S):
            with suppress(Exception):
                look()

    thread = threading.Thread(target=watch, name="gmemgpu-jobs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
