"""Workers that are jobs of Slurm, PBS or LSF, submitted through dask-jobqueue."""

from __future__ import annotations

import asyncio
import logging
import math
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client
from distributed.comm.addressing import get_address_host
from distributed.core import Status
from distributed.utils import get_ip

from gmemgpu.errors import BackendError, GmemgpuError, Problem, SpecError
from gmemgpu.sweeping.cluster.config import CONFIG, LOOPBACK_DASHBOARD, ONE_THREAD, WORKER_CONFIG, environment_of
from gmemgpu.sweeping.cluster.dashboard import dashboard_of
from gmemgpu.sweeping.cluster.existing import security_of, slots_of
from gmemgpu.sweeping.cluster.local import starting
from gmemgpu.sweeping.cluster.options import ClusterOptions, is_word
from gmemgpu.sweeping.cluster.quiet import quiet_dask
from gmemgpu.sweeping.cluster.target import Target
from gmemgpu.sweeping.cluster.workers import Workers

__all__ = ["job_workers", "job_arguments"]

_CLASSES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
_GPU_DIRECTIVES = {"slurm": ["--gres=gpu:1"], "pbs": [], "lsf": ['-gpu "num=1"']}
_CONFIG: dict[str, Any] = {
    **CONFIG,
    # Jobs may wait for hours in their queue, the first ones and those that replace others.
    "distributed.scheduler.no-workers-timeout": None,
}
_ADAPT_EVERY = "2s"
_ASK_EVERY_S = 10.0
_REFUSED_S = 600.0
"""A queue that refused jobs for so long, while none runs, will not take any."""
_DEATH_TIMEOUT_S = 60
"""A worker whose scheduler is gone ends after so long, and its job with it."""


def job_arguments(target: Target, logs: Path) -> dict[str, Any]:
    """
    Give the arguments for dask-jobqueue.

    Parameters
    ----------
    target : Target
        Of kind ``slurm``, ``pbs`` or ``lsf``.
    logs : Path

    Returns
    -------
    dict
        For the constructor of its cluster class.
    """
    options = target.options
    exports = {**ONE_THREAD, **environment_of(WORKER_CONFIG)}
    arguments: dict[str, Any] = {
        "queue": options.queue,
        "cores": options.cores,
        "processes": options.workers_per_job,
        "memory": f"{options.memory}B",
        "walltime": options.walltime_text,
        "job_name": "gmemgpu",
        "python": options.python_word or shlex.quote(sys.executable),
        # In quotes, since a variable of the job's may hold anything, and the shell splits what it finds in $IFS.
        "local_directory": None if options.local_directory is None else f'"{options.local_directory}"',
        "log_directory": options.log_directory or str(logs.resolve()),
        "death_timeout": _DEATH_TIMEOUT_S,
        "job_extra_directives": [
            *(_GPU_DIRECTIVES[target.kind] if options.gpus else []),
            *options.job_extra_directives,
        ],
        "job_script_prologue": [
            *(f"export {name}={value}" for name, value in exports.items()),
            *options.job_script_prologue,
        ],
        "worker_extra_args": _worker_arguments(options),
        "interface": options.interface,
        "scheduler_options": {
            "port": 0,
            "dashboard_address": LOOPBACK_DASHBOARD,
            # Not every interface of a login node, as it would be by itself.
            **({} if options.interface else {"host": options.host or get_ip()}),
        },
        "silence_logs": logging.CRITICAL,
    }
    arguments["project" if target.kind == "lsf" else "account"] = options.account
    if target.kind == "lsf":
        arguments["walltime"] = options.walltime_text[:-3]
    if target.kind == "pbs" and options.gpus:
        mib = math.ceil(options.memory / 2**20)
        arguments["resource_spec"] = f"select=1:ncpus={options.cores}:ngpus=1:mem={mib}mb"
    if target.tls is not None:
        arguments["security"] = security_of(target.tls)
    return arguments


def _worker_arguments(options: ClusterOptions) -> list[str]:
    arguments = ["--lifetime", f"{options.lifetime_s}s", "--lifetime-stagger", f"{options.stagger_ns // 10**9}s"]
    arguments += ["--dashboard-address", LOOPBACK_DASHBOARD]
    if options.gpus:
        # One thread, however many cores come with the GPU.
        arguments += ["--resources", "GPU=1", "--nthreads", "1"]
    return arguments


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
    base: Any = getattr(dask_jobqueue, _CLASSES[kind])

    class NotingJob(base.job_cls):  # type: ignore[misc]
        """
        Keeps what the queue said against it, which Dask would log, and then wait for ever.

        Its state is kept too: a cluster looks at the end whether each job was closed.
        """

        refusal: str | None = None

        async def start(self) -> None:
            try:
                await super().start()
            except (OSError, RuntimeError, ValueError) as error:
                self.refusal = str(error)
                self.status = Status.running

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed

    class ReplacingCluster(base):  # type: ignore[misc]
        """Forgets a job that cannot come or is gone with all of its workers, so that another takes its place."""

        job_cls = NotingJob

        def _update_worker_status(self, op: str, msg: str) -> None:
            # Dask itself does so for jobs of one worker only.
            if op == "remove":
                name = str(self.scheduler_info["workers"][msg]["name"])
                delay_s = parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout"))
                asyncio.get_running_loop().call_later(delay_s, self._forget_if_lost, name)
            super()._update_worker_status(op, msg)

        def _forget_if_lost(self, worker: str) -> None:
            up = {str(told["name"]) for told in self.scheduler_info["workers"].values()}
            for job in list(self.workers):
                names = {f"{job}{suffix}" for suffix in self.worker_spec.get(job, {}).get("group", [""])}
                if worker in names and not names & up:
                    self._forget(job)

        def forget_refused(self) -> None:
            """Have those submitted again that the queue refused."""
            for name, job in list(self.workers.items()):
                if job.refusal is not None:
                    self._forget(name)

        def _forget(self, name: str) -> None:
            self._futures.add(asyncio.ensure_future(self.workers.pop(name).close()))

    return ReplacingCluster


class _Count:
    """Counts what can run now, and says so if nothing ever will."""

    def __init__(self, cluster: Any, client: Client, kind: str, logs: str) -> None:
        self._cluster = cluster
        self._count = slots_of(client)
        self._kind = kind
        self._logs = logs
        self._ever_up = False
        self._asked_s = self._well_s = time.monotonic()
        self._forgot_s = -math.inf

    def __call__(self) -> int:
        n = self._count()
        self._ever_up = self._ever_up or n > 0
        refusal = next((job.refusal for job in self._jobs() if job.refusal is not None), None)
        if n > 0 or any(job.job_id is not None for job in self._jobs()):
            self._well_s = time.monotonic()
        if refusal is not None:
            # A limit on the number of jobs, or a queue too busy to answer, passes; where none was ever taken, it is
            # something else.
            not_well_s = time.monotonic() - self._well_s
            if not_well_s > (_REFUSED_S if self._ever_up else 0.0):
                raise GmemgpuError(f"{self._kind}: jobs cannot be submitted: {_last_line(refusal)}")
            if time.monotonic() - self._forgot_s > _ASK_EVERY_S:
                self._forgot_s = time.monotonic()
                self._cluster.loop.add_callback(self._cluster.forget_refused)
        if not self._ever_up and self._kind == "slurm" and time.monotonic() - self._asked_s > _ASK_EVERY_S:
            self._asked_s = time.monotonic()
            if self._all_have_ended():
                raise GmemgpuError(
                    f"slurm: all jobs ended before one of their workers came up; what they printed is in {self._logs}"
                )
        return n

    def _jobs(self) -> list[Any]:
        return list(self._cluster.workers.values())

    def _all_have_ended(self) -> bool:
        ids = [job.job_id for job in self._jobs() if job.job_id is not None]
        if not ids:
            return False
        try:
            asked = subprocess.run(
                ["squeue", "--noheader", "--format=%i", "--jobs", ",".join(ids)],
                capture_output=True,
                text=True,
                timeout=_ASK_EVERY_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        # Once its record is gone, a job that ended is an error of its own.
        forgotten = asked.returncode != 0 and "Invalid job id" in asked.stderr
        return forgotten or (asked.returncode == 0 and not asked.stdout.strip())


_HEADINGS = ("Command:", "stdout:", "stderr:")
_NOT_FOUND = " (the shell's word for a command that does not exist)"


def _last_line(text: str) -> str:
    # dask-jobqueue tells of a command that failed under headings; some commands say nothing at all.
    lines = [line.strip() for line in text.splitlines() if line.strip() and line.strip() not in _HEADINGS]
    last = lines[-1] if lines else "no reason given"
    code = next((line for line in lines if line.startswith("Exit code:")), None)
    if code is None or text.rpartition("stderr:")[2].strip():
        return last
    return f"{last} ended with {code.lower()}{_NOT_FOUND if code.endswith(' 127') else ''}"


def _retire(client: Client, worker: str) -> None:
    # With all others on its host; their job ends with the last of them, and another is submitted.
    host = get_address_host(worker)
    with suppress(OSError):
        there = [address for address in client.nthreads() if get_address_host(address) == host]
        client.retire_workers(there, close_workers=True)


def _refuse_wrong_options(target: Target, logs: Path) -> None:
    # dask-jobqueue writes them into a script as they are.
    paths = {} if target.options.log_directory else {"cluster.log_directory": (str(logs.resolve()), "is missing, and ")}
    if target.tls is not None:
        paths |= {f"tls_{name}": (path, "") for name, path in asdict(target.tls).items()}
    problems = [
        Problem(key, f'{lacking}"{path}" has signs that a job script cannot hold; give a path of letters, digits, -_./')
        for key, (path, lacking) in paths.items()
        if not is_word(path)
    ]
    try:
        Path(target.options.log_directory or logs).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problems.append(Problem("cluster.log_directory", f"cannot be made: {error}; name another"))
    known = [name for _, name in socket.if_nameindex()]
    if target.options.interface and target.options.interface not in known:
        told = f'"{target.options.interface}" is no network interface of this host; there are {", ".join(known)}'
        problems.append(Problem("cluster.interface", told))
    if problems:
        raise SpecError(problems)


@contextmanager
def job_workers(target: Target, *, wanted: int | None, n_tasks: int, logs: Path) -> Iterator[Workers]:
    """
    Submit jobs, and others in place of those that are lost, until the block ends.

    Parameters
    ----------
    target : Target
        Of kind ``slurm``, ``pbs`` or ``lsf``.
    wanted : int or None
        Workers, in place of what its options say.
    n_tasks : int
        No more workers than that.
    logs : Path

    Raises
    ------
    BackendError
        If dask-jobqueue is missing.
    SpecError
        If a path cannot be part of a job script.
    GmemgpuError
        If no scheduler can be started here. Whether the queue takes the jobs shows later, when workers are counted.
    """
    options = target.options
    per_job = options.workers_per_job
    n_workers = min(wanted or options.jobs * per_job, n_tasks)
    n_jobs = -(-n_workers // per_job)
    made = _cluster_class(target.kind)
    _refuse_wrong_options(target, logs)
    timeout = f"{options.replace_after // 10**6}ms"
    with (
        dask.config.set({**_CONFIG, "distributed.deploy.lost-worker-timeout": timeout}),
        quiet_dask(),
        ExitStack() as stack,
    ):
        try:
            with starting():
                cluster = stack.enter_context(made(**job_arguments(target, logs)))
                cluster.adapt(minimum_jobs=n_jobs, maximum_jobs=n_jobs, interval=_ADAPT_EVERY)
                cluster.scale(jobs=n_jobs)
        except (RuntimeError, OSError, ValueError) as error:
            where = f"cluster.host = {options.host}" if options.host else "this host's address (see cluster.host)"
            raise GmemgpuError(f"{target.kind}: no scheduler for jobs can be started on {where}: {error}") from error
        client = stack.enter_context(Client(cluster, set_as_default=False))
        patience_ns = options.start_timeout
        yield Workers(
            client=client,
            n_expected=n_workers,
            n_slots=_Count(cluster, client, target.kind, options.log_directory or str(logs)),
            resources={"GPU": 1.0} if options.gpus else {},
            dashboard=dashboard_of(client),
            whose=f"{n_jobs:,} {target.kind} job{'s' if n_jobs > 1 else ''}",
            remedy="look at what they wait for in their queue, ask for less, or raise cluster.start_timeout",
            patience_s=None if patience_ns is None else patience_ns / 1e9,
            replace=partial(_retire, client),
        )
