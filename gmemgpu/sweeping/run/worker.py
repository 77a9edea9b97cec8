"""What a Dask worker needs for a sweep: the same code, the same disk, and what all shards share, sent once."""

from __future__ import annotations

import multiprocessing
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
from distributed import WorkerPlugin, get_worker

from gmemgpu.atomic import written_whole
from gmemgpu.engine.registry import why_missing
from gmemgpu.errors import GmemgpuError
from gmemgpu.hidden import hidden
from gmemgpu.sweeping.run.producers import Producers
from gmemgpu.sweeping.run.shard import Setting, Shard, compute_shards
from gmemgpu.sweeping.store.files import writing
from gmemgpu.sweeping.store.identity import differences, versions

__all__ = ["UnfitWorker", "SweepWorker", "mark", "compute_on_worker", "FALLBACK_TOPIC"]

FALLBACK_TOPIC = "gmemgpu-fallback"
"""Dask's name for events by which workers say that a device failed: results of tasks are never fetched."""
_SHARED = "DIR must lie on a file system that this machine and all workers share, under the same path"


class UnfitWorker(GmemgpuError):
    """A worker cannot take part, through no fault of any shard."""


@contextmanager
def mark(parts: Path) -> Iterator[tuple[str, str]]:
    """
    Write a file with a random number beside the parts, by which workers know that they see the same folder.

    Yields the file's name and what it holds.
    """
    nonce = secrets.token_hex(16)
    # Named as what killed workers leave, so that it goes the same way if this process is killed.
    path = parts / f".mark.{nonce[:8]}.partial"
    with writing(parts), written_whole(path) as file:
        file.write(nonce.encode())
    try:
        yield path.name, nonce
    finally:
        path.unlink(missing_ok=True)


class SweepWorker(WorkerPlugin):
    """
    The sweep's part on each worker.

    If the jobs `are_ours`, an unfit one leaves its cluster, which starts another; not so on somebody else's scheduler.
    With 2 `n_producers` or more, processes make its traces and it only evaluates them; None for as many as it has
    threads.
    """

    def __init__(
        self, setting: Setting, parts: Path, marked: tuple[str, str], *, are_ours: bool, n_producers: int | None = 0
    ) -> None:
        self.name = f"gmemgpu-{setting.sweep_id}"
        self._setting = setting
        self._parts = parts
        self._marked = marked
        self._are_ours = are_ours
        self._n_producers = n_producers
        self._producers: Producers | None = None
        self._versions = versions()
        self._unfit: str | None = None

    async def setup(self, worker: Any) -> None:
        """Check that this worker runs the same code and sees the same folder."""
        # Threads of one worker share a device; and NumPy's arrays of two traces would need twice the memory.
        self._one_at_a_time = Lock()
        reason = self._reason()
        if reason is None:
            if self._are_ours:
                # With its first array Arrow looks for pandas, whose import takes longer than a small shard. Nobody
                # else will want it here.
                with hidden("pandas"):
                    pa.array([0])
            n = worker.state.nthreads if self._n_producers is None else self._n_producers
            # Dask's own default, for workers of somebody else's: a daemonic process may have no children.
            if n > 1 and not multiprocessing.current_process().daemon:
                self._producers = Producers(n, self._setting)
            return
        self._unfit = f"worker {worker.address} on {socket.gethostname()}: {reason}"
        worker.log_event(self.name, self._unfit)
        if self._are_ours:
            # The scheduler hands what it was given to others, and blames no task for it.
            await worker.scheduler.retire_workers(workers=[worker.address], close_workers=True)
        raise UnfitWorker(self._unfit)

    def teardown(self, worker: Any) -> None:
        """End what makes traces for this worker."""
        if self._producers is not None:
            self._producers.close()

    def _reason(self) -> str | None:
        here = versions()
        if here != self._versions:
            differing = "; ".join(differences(here, self._versions))
            return f"does not run the same code ({differing}); install the same versions there, or rows could differ"
        name, nonce = self._marked
        try:
            sees = (self._parts / name).read_text() == nonce
        except OSError:
            sees = False
        if not sees:
            return f"does not see {self._parts}; {_SHARED}"
        own = self._parts / f".mark.{secrets.token_hex(4)}.partial"
        try:
            own.write_text(nonce)
            own.unlink()
        except OSError as error:
            return f"cannot write {self._parts}: {error.strerror}; {_SHARED}, and all must be allowed to write there"
        return None if self._setting.auto else why_missing(self._setting.backend)

    @property
    def is_busy(self) -> bool:
        """Whether a task computes here now."""
        return self._one_at_a_time.locked()

    def compute(self, shards: Sequence[Shard]) -> str | None:
        """Compute shards as `compute_shards` does, unless this worker is unfit."""
        if self._unfit is not None:
            raise UnfitWorker(self._unfit)
        with self._one_at_a_time:
            generated = None if self._producers is None else self._producers.traces
            return compute_shards(shards, self._setting, self._parts, generated)


def compute_on_worker(shards: tuple[Shard, ...], plugin: str) -> None:
    """Compute shards on the worker that this is called on: what a Dask task does."""
    worker = get_worker()
    found = worker.plugins.get(plugin)
    if not isinstance(found, SweepWorker):
        raise UnfitWorker(f"worker {worker.address} was started while its scheduler had forgotten this sweep")
    reason = found.compute(shards)
    if reason is not None:
        worker.log_event(FALLBACK_TOPIC, {"parts": [shard.part_id for shard in shards], "reason": reason})
