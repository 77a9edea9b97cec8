"""Jobs of a batch system as workers, by dask-jobqueue, and others in place of those that are lost."""

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
from pathlib import Path
from tempfile import _TemporaryFileWrapper
from typing import Any
from weakref import WeakKeyDictionary

import dask
from dask.utils import parse_timedelta
from distributed import Client
from distributed.core import Status
from distributed.diagnostics.plugin import SchedulerPlugin

from gmemgpu.errors import BackendError, GmemgpuError, Problem, SpecError
from gmemgpu.sweeping.clusters.fork_server import ONE_THREAD, sigint_blocked
from gmemgpu.sweeping.clusters.settings import (
    CLUSTER_CONFIG,
    DEVICE_CONFIG,
    LOOPBACK_DASHBOARD,
    WORKER_CONFIG,
    innermost,
    quiet,
    temporary_security,
)

__all__ = ["job_client", "job_script"]

_ADAPT_EVERY = "2s"
_LOOK_EVERY_S = 2.0


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
        raise SpecError(Problem(str(path), f"is no valid YAML table: {innermost(error)}")) from None
    return dask.config.merge(dask.config.config, *found)


def _job_arguments(kind: str, logs: Path | None, *, on_device: bool) -> dict[str, Any]:
    # What jobqueue's own configuration does not say, or what a sweep needs besides it.
    config: Mapping[str, Any] = dask.config.get(f"jobqueue.{kind}", {})
    settings = {**WORKER_CONFIG, **(DEVICE_CONFIG if on_device else {})}
    exports = {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": v for key, v in settings.items()}
    arguments: dict[str, Any] = {
        "security": temporary_security(),
        "protocol": "tls://",
        "job_script_prologue": [
            *(f"export {name}={value}" for name, value in {**ONE_THREAD, **exports}.items()),
            *(config.get("job-script-prologue") or []),
        ],
        "silence_logs": logging.CRITICAL,
    }
    scheduler = dict(config.get("scheduler-options") or {})
    arguments["scheduler_options"] = {"dashboard_address": LOOPBACK_DASHBOARD, **scheduler}
    # Nobody looks at a worker's own pages, and its job would import Bokeh for them; later words take it back.
    extra = ["--no-dashboard", *(str(word) for word in config.get("worker-extra-args") or [])]
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
        dask.config.set({**CLUSTER_CONFIG, **patient}),
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
    message = " ".join(str(error).split())
    remedy = "say it in ~/.config/dask/jobqueue.yaml or in --cluster-config FILE"
    return SpecError(Problem(f"jobqueue.{kind}", f"{message}; {remedy}"))


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
    with _configured(kind, config_file) as made, quiet(), ExitStack() as stack:
        logs.mkdir(parents=True, exist_ok=True)
        try:
            with sigint_blocked():
                cluster = made(**_job_arguments(kind, logs, on_device=on_device))
                stack.callback(_close, cluster)
            least, most = jobs
            _submit(cluster, kind, max(1, least))
            cluster.adapt(minimum_jobs=least, maximum_jobs=most, interval=_ADAPT_EVERY)
            cluster.replaces_lost_workers = True
            # One worker a job: the job's cores are all its own.
            cluster.n_producers = int(dask.config.get(f"jobqueue.{kind}.cores", None) or 1) if on_device else 0
        except (ValueError, TypeError) as error:
            raise _wrong_config(kind, error) from error
        except (RuntimeError, OSError) as error:
            raise GmemgpuError(f"{kind}: no scheduler for jobs can be started here: {innermost(error)}") from error
        stack.enter_context(_replacing_lost_jobs(cluster))
        yield stack.enter_context(Client(cluster, set_as_default=False))


def _close(cluster: Any) -> None:
    # dask-jobqueue never marks a job as closed, and Dask asserts at the very end that each one is which Python has not
    # forgotten yet. All are cancelled by then, and the scheduler has ended.
    with suppress(AssertionError):
        cluster.close()
    cluster.status = Status.closed
    # It would remove its certificates when Python collects it, which need not be before the end.
    for held in vars(cluster).values():
        if isinstance(held, _TemporaryFileWrapper):
            held.close()


def _submit(cluster: Any, kind: str, n_jobs: int) -> None:
    # As `cluster.scale` does, which would not tell that the batch system refused them.
    async def submit() -> None:
        while len(cluster.worker_spec) < n_jobs:
            cluster.worker_spec.update(cluster.new_worker_spec())
        await cluster

    message = None
    try:
        cluster.sync(submit)
    except (RuntimeError, OSError, ValueError) as error:
        message = " ".join((str(error).partition("stderr:\n")[2].strip() or str(error)).split())
    taken = [_is_taken(job) for job in cluster.workers.values()]
    # Of a user who may have no more at a time the others are tried again.
    if message is not None and not any(taken):
        raise GmemgpuError(f"{kind} takes no job: {message}; --print-job shows the script")


def _is_taken(job: Any) -> bool:
    # Dask leaves one that was refused as if it were yet to be submitted, and fails when it closes.
    if job.job_id is None:
        job.status = Status.failed
    return job.job_id is not None


class _Coming(SchedulerPlugin):
    # When each job was last seen to have a worker: noted as they come, since some are gone again before anybody looks.
    name = "gmemgpu-coming"

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.up_s: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def jobs(self) -> list[tuple[str, Any, set[str]]]:
        # With the names of their workers, which are noted of jobs of several alone. A later job may have the same ones.
        specs = self._cluster.worker_spec
        found = [(name, job, specs.get(name, {}).get("group", ())) for name, job in list(self._cluster.workers.items())]
        return [(name, job, {f"{name}{suffix}" for suffix in group}) for name, job, group in found]

    def add_worker(self, scheduler: Any, worker: str) -> None:
        added = str(scheduler.workers[worker].name)
        self.up_s.update({job: time.monotonic() for _, job, workers in self.jobs() if added in workers})


@contextmanager
def _replacing_lost_jobs(cluster: Any) -> Iterator[None]:
    # Dask replaces a lost job that was one worker; of a job that was several it waits for the rest for ever, and one
    # that the batch system refused it does not submit again.
    lost_after_s = parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout"))
    ended = threading.Event()
    coming = _Coming(cluster)
    up_s = coming.up_s
    cluster.scheduler.add_plugin(coming)

    def look() -> None:
        now_s = time.monotonic()
        up = {str(worker["name"]) for worker in cluster.scheduler_info["workers"].values()}
        lost = []
        for name, job, workers in coming.jobs():
            if not _is_taken(job):
                up_s.setdefault(job, now_s)
            elif workers & up:
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
        # It holds the cluster, whose certificates are removed when nobody does any more.
        cluster.scheduler.remove_plugin(coming.name)
