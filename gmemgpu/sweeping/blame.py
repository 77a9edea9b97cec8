"""What a shard is written down for when it failed for good."""

from __future__ import annotations

from distributed.comm.addressing import get_address_host
from distributed.scheduler import KilledWorker

from gmemgpu.errors import GmemgpuError, InputError
from gmemgpu.sweeping.journal import Failure, FailureKind
from gmemgpu.sweeping.shard import Shard, shard_names

__all__ = ["WorkersVanish", "failure_of"]


class WorkersVanish(GmemgpuError):
    """
    All workers were gone again and again while a shard ran, the last time it alone.

    Parameters
    ----------
    shard : Shard
    n_times : int
    """

    def __init__(self, shard: Shard, n_times: int) -> None:
        super().__init__(
            f"{shard_names([shard])}: all workers were gone {n_times} times while it ran, the last time alone, most "
            "likely for want of memory; try more memory for each job, or a smaller host"
        )


def failure_of(shard: Shard, error: BaseException, attempts: int) -> Failure:
    """
    Say why a shard has no part.

    Parameters
    ----------
    shard : Shard
    error : BaseException
        What its last task ended with.
    attempts : int

    Returns
    -------
    Failure
        To be written down.
    """
    kind: FailureKind = "input" if isinstance(error, InputError) else "error"
    message, where = str(error), ""
    if isinstance(error, KilledWorker):
        attempts = error.allowed_failures + 1
        times = "once" if attempts == 1 else f"{attempts} times"
        message = (
            f"{shard_names([shard])}: its worker process died {times}, most likely for want of memory; "
            "try fewer --workers, more memory for each, or a smaller host"
        )
        kind, where = "killed", get_address_host(error.last_worker.address)
    elif isinstance(error, WorkersVanish):
        kind = "killed"
    elif not isinstance(error, GmemgpuError):
        message = f"{shard_names([shard])}: {type(error).__name__}: {error}"
    return Failure(
        part_id=shard.part_id,
        label=shard.label,
        seeds=shard.seeds,
        n_rows=shard.n_rows,
        kind=kind,
        message=message,
        attempts=attempts,
        where=where,
    )
