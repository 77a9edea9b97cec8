"""What all clusters of a sweep have in common: Dask's configuration, encryption, and silence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed.security import Security

from gmemgpu.sweeping.clusters.fork_server import ONE_THREAD

__all__ = [
    "WORKER_CONFIG",
    "DEVICE_CONFIG",
    "CLUSTER_CONFIG",
    "LOOPBACK_DASHBOARD",
    "temporary_security",
    "quiet",
    "innermost",
    "chain_of",
]

LOOPBACK_DASHBOARD = "127.0.0.1:0"
"""None and False would listen on 8787 nevertheless, ":0" on every interface."""
WORKER_CONFIG: dict[str, Any] = {
    # Spawn, not fork: a worker shall inherit no threads, no locks and no CUDA context of its client.
    "distributed.worker.multiprocessing-method": "spawn",
    # A task holds no data that a spill could save, so only the last resort is kept.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,
}
DEVICE_CONFIG: dict[str, Any] = {"distributed.worker.daemon": False}
"""A worker on a GPU starts processes that make its traces. It ends with its nanny nevertheless."""
CLUSTER_CONFIG: dict[str, Any] = {
    **WORKER_CONFIG,
    "distributed.nanny.pre-spawn-environ": ONE_THREAD,
    "distributed.scheduler.active-memory-manager.start": False,
    # A worker holds one task, and whoever dies is blamed alone: nobody's death takes a neighbour's task along.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.allowed-failures": 0,
    # Nothing is worth moving: a task's input is a few numbers.
    "distributed.scheduler.work-stealing": False,
}


def temporary_security() -> Security:
    """
    Return certificates for one cluster alone, unless Dask's own configuration says what its user wants.

    The port is open to every user of this machine, and whoever reaches a scheduler can run code as its owner.
    """
    if dask.config.get("distributed.comm.tls.ca-file"):
        return Security()
    made: Security = Security.temporary()
    return made


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Dask's own log lines from a block: in tracebacks they would bury what reaches the user as one line."""
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


def innermost(error: BaseException) -> str:
    """Return what the innermost of a chain of errors says: what is wrong; those around it say that it took place."""
    message = next((str(one) for one in chain_of(error) if str(one)), type(error).__name__)
    return " ".join(message.split())


def chain_of(error: BaseException) -> list[BaseException]:
    """Return an error with those that led to it."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    return chain[::-1]
