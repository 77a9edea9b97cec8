"""How Dask is set up wherever gmemgpu starts a scheduler or workers of its own."""

from __future__ import annotations

from typing import Any

__all__ = ["ONE_THREAD", "WORKER_CONFIG", "CONFIG", "LOOPBACK_DASHBOARD", "environment_of"]

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), 1
)
"""Each worker is one core's: libraries that start threads of their own would fight over it."""

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

CONFIG: dict[str, Any] = {
    **WORKER_CONFIG,
    "distributed.nanny.pre-spawn-environ": ONE_THREAD,
    "distributed.scheduler.active-memory-manager.start": False,
    # A worker gets its next task when it has none, but for the first two: a death takes few others along.
    "distributed.scheduler.worker-saturation": 1.0,
}


def environment_of(config: dict[str, Any]) -> dict[str, str]:
    """Give the environment variables that say the same to a Dask process that somebody else starts."""
    return {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": str(value) for key, value in config.items()}
