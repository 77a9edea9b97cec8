"""Processes that make the traces of shards ahead of the one that evaluates them on a GPU."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from threading import Thread

from gmemgpu.errors import GmemgpuError
from gmemgpu.generator import generate
from gmemgpu.lifecycle.life_cycle import GeneratedTrace
from gmemgpu.sweeping.run.sent_trace import SenderDied, SentTrace, pack
from gmemgpu.sweeping.run.shard import Setting, Shard
from gmemgpu.sweeping.run.unguarded import program_left_out
from gmemgpu.workload.spec import Workload

__all__ = ["Producers", "ProducerDied"]

_DIED = (
    "a process that made traces for the GPU died, most likely for want of memory; free some, or let this process "
    "have fewer cores (taskset, or cores of its job): it starts one producer a core"
)

_workloads: list[Workload] = []
"""In a producer: of the sweep's scenarios."""


class ProducerDied(GmemgpuError):
    """A process that makes traces died; what it made is lost, and the next attempt starts others."""


class Producers:
    """Processes that live until `close`, or as long as this one."""

    def __init__(self, n: int, setting: Setting) -> None:
        self._n = n
        self._workloads = [scenario.workload for scenario in setting.scenarios]
        self._pool: ProcessPoolExecutor | None = None

    def traces(self, shards: Sequence[Shard]) -> Generator[GeneratedTrace, None, None]:
        """
        Iterate over the traces of shards, seed by seed, while others of them are made.

        What `generate` raises of a seed comes in place of its trace.
        """
        waiting: deque[Future[SentTrace]] = deque()
        # One for each process, and some that wait to be taken: what is made too early is only held in memory.
        most = self._n + self._n // 2 + 1
        try:
            for shard in shards:
                for seed in shard.seeds:
                    waiting.append(self._submit(shard.scenario, seed))
                    if len(waiting) == most:
                        yield waiting.popleft().result().unpack()
            while waiting:
                yield waiting.popleft().result().unpack()
        except (BrokenProcessPool, SenderDied):
            # Only when all of them are gone: a future given up while the pool marks it as lost ends the pool's thread.
            self._end(wait=True)
            raise ProducerDied(_DIED) from None
        finally:
            _give_up(waiting)

    def _submit(self, scenario: int, seed: int) -> Future[SentTrace]:
        # Starts a process if all are busy and there may be more.
        with program_left_out():
            if self._pool is None:
                # A mere fork would inherit threads, locks and a CUDA context. The server has imported what they need.
                context = get_context("forkserver")
                context.set_forkserver_preload([__name__])
                self._pool = ProcessPoolExecutor(self._n, context, _set_up, (self._workloads,))
            return self._pool.submit(_make, scenario, seed)

    def close(self) -> None:
        """End the processes, what they are making with them; the next call of `traces` would start others."""
        self._end(wait=False)

    def _end(self, *, wait: bool) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait, cancel_futures=not wait)


def _give_up(waiting: deque[Future[SentTrace]]) -> None:
    for future in waiting:
        if not future.cancel():
            # Memory that nobody has taken over stays with its producer.
            future.add_done_callback(_unpack)


def _unpack(future: Future[SentTrace]) -> None:
    with suppress(Exception):
        future.result().unpack()


# In a producer


def _set_up(workloads: list[Workload]) -> None:
    _workloads[:] = workloads
    # Nothing else ends it if the process that it makes traces for is killed.
    Thread(target=_end_with_parent, name="gmemgpu-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _make(scenario: int, seed: int) -> SentTrace:
    return pack(generate(_workloads[scenario], seed))
