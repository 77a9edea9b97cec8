"""Workers that are jobs of Slurm, PBS or LSF, submitted through dask-jobqueue."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client
from distributed.utils import get_ip

from gmemgpu.errors import BackendError, GmemgpuError
from gmemgpu.sweeping.cluster.config import CONFIG, LOOPBACK_DASHBOARD, ONE_THREAD, WORKER_CONFIG, environment_of
from gmemgpu.sweeping.cluster.existing import security_of, slots_of
from gmemgpu.sweeping.cluster.local import starting
from gmemgpu.sweeping.cluster.options import ClusterOptions
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
        "python": options.python_word or sys.executable,
        "local_directory": options.local_directory,
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
    try:
        import dask_jobqueue
    except ImportError:
        raise BackendError(f"--cluster {kind} needs dask-jobqueue; pip install 'gmemgpu[jobqueue]'") from None
    base: Any = getattr(dask_jobqueue, _CLASSES[kind])

    class Replacing(base):  # type: ignore[misc]
        """Forgets a job once all of its workers are gone, so that another takes its place."""

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
                names = {
                    f"{job}{suffix}"
                    for suffix in self.worker_spec.get(job, {}).get(
                        "group",
                        [
                            "",
                        ],
                    )
                }
                if worker in names and not names & up:
                    self._futures.add(asyncio.ensure_future(self.workers.pop(job).close()))

    return Replacing


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
    GmemgpuError
        If the queue refuses the jobs.
    """
    options = target.options
    per_job = options.workers_per_job
    n_workers = min(wanted or options.jobs * per_job, n_tasks)
    n_jobs = -(-n_workers // per_job)
    made = _cluster_class(target.kind)
    timeout = f"{options.replace_after // 10**6}ms"
    with dask.config.set({**_CONFIG, "distributed.deploy.lost-worker-timeout": timeout}), ExitStack() as stack:
        try:
            with starting():
                cluster = stack.enter_context(made(**job_arguments(target, logs)))
                cluster.adapt(minimum_jobs=n_jobs, maximum_jobs=n_jobs, interval=_ADAPT_EVERY)
                cluster.scale(jobs=n_jobs)
        except (RuntimeError, OSError, ValueError) as error:
            raise GmemgpuError(f"{target.kind}: no scheduler can be started for jobs: {error}") from error
        client = stack.enter_context(Client(cluster, set_as_default=False))
        count = slots_of(client)
        patience_ns = options.start_timeout
        yield Workers(
            client=client,
            n_expected=n_workers,
            n_slots=count,
            resources={"GPU": 1.0} if options.gpus else {},
            # Tasks that need a resource are handed out ahead; others one by one.
            shares_blame=options.gpus > 0,
            dashboard=client.dashboard_link,
            whose=f"{n_jobs:,} {target.kind} job{'s' if n_jobs > 1 else ''}",
            patience_s=None if patience_ns is None else patience_ns / 1e9,
        )
