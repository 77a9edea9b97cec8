"""Processes that make the traces of shards ahead of the one that evaluates them on a GPU."""

from __future__ import annotations

import mmap
import os
import select
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from multiprocessing import connection, get_context, parent_process
from multiprocessing.reduction import DupFd
from threading import Thread
from typing import Any

import numpy as np

from gmemgpu.errors import GmemgpuError
from gmemgpu.generator import generate
from gmemgpu.lifecycle.life_cycle import GeneratedTrace
from gmemgpu.sweeping.compile_once import is_compiled
from gmemgpu.sweeping.run.main_guard import program_left_out
from gmemgpu.sweeping.run.shard import Setting, Shard
from gmemgpu.workload.spec import Workload

__all__ = ["Producers", "ProducerDied", "SentTrace", "pack"]

_DIED = (
    "a process that made traces for the GPU died, most likely for want of memory; free some, or let this process "
    "have fewer cores (taskset, or cores of its job): it starts one producer a core"
)

_SMALL_BYTES = select.PIPE_BUF // 2
"""Less goes through the pipe, and what else is sent fits as well: a pipe takes so much whole or not at all. Of a longer
message a process that is killed can leave a part, and whoever reads would wait for the rest for ever."""

_workloads: list[Workload] = []
"""In a producer: of the sweep's scenarios."""


class ProducerDied(GmemgpuError):
    """A process that makes traces died; what it made is lost, and the next attempt starts others."""


@dataclass(frozen=True, slots=True)
class SentTrace:
    """A trace that can be sent."""

    made: GeneratedTrace  # without its columns if they are elsewhere
    columns: dict[str, str]  # name and type of each column that is elsewhere, in the order in which they lie there
    n_events: int  # length of each
    file: Any  # where they lie: a file in memory that has no name, gone with the last process that has it open

    def unpack(self) -> GeneratedTrace:
        """Return the trace, in the other process; once, and only while the one that packed it lives."""
        if self.file is None:
            return self.made
        try:
            file = self.file.detach()
        except (ConnectionError, FileNotFoundError, EOFError):
            raise ProducerDied(_DIED) from None
        try:
            memory = mmap.mmap(file, 0)
        finally:
            os.close(file)
        found: dict[str, Any] = {}
        at = 0
        for name, dtype in self.columns.items():
            found[name] = np.frombuffer(memory, dtype, self.n_events, at)
            at += found[name].nbytes
        return replace(self.made, trace=replace(self.made.trace, **found))


def pack(made: GeneratedTrace) -> SentTrace:
    """Build what another process can take a trace from, for as long as this one lives."""
    trace = made.trace
    found = [(field.name, getattr(trace, field.name)) for field in fields(trace)]
    columns = [(name, value) for name, value in found if isinstance(value, np.ndarray)]
    # The widest first, so that each begins where its type may.
    columns.sort(key=lambda column: -column[1].itemsize)
    if sum(column.nbytes for _, column in columns) < _SMALL_BYTES:
        return SentTrace(made, {}, 0, None)
    with os.fdopen(os.memfd_create("gmemgpu-trace"), "wb") as file:
        for _, column in columns:
            file.write(np.ascontiguousarray(column).data)
        file.flush()
        handle = DupFd(file.fileno())
    empty: dict[str, Any] = {name: column[:0] for name, column in columns}
    types = {name: column.dtype.str for name, column in columns}
    return SentTrace(replace(made, trace=replace(trace, **empty)), types, len(trace), handle)


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
        except (BrokenProcessPool, ProducerDied):
            # Only when all of them are gone: a future given up while the pool marks it as lost ends the pool's thread.
            self._end(wait=True, cancel=False)
            raise ProducerDied(_DIED) from None
        finally:
            _give_up(waiting)

    def _submit(self, scenario: int, seed: int) -> Future[SentTrace]:
        # Starts a process if all are busy and there may be more.
        with program_left_out():
            if self._pool is None:
                # A mere fork would inherit threads, locks and a CUDA context. The server has imported what they need.
                context = get_context("forkserver")
                # Numba only where it saves more than it costs; those who fork then place VMs by compiled code.
                context.set_forkserver_preload([__name__, *(["numba"] if is_compiled() else [])])
                self._pool = ProcessPoolExecutor(self._n, context, _set_up, (self._workloads,))
            return self._pool.submit(_make, scenario, seed)

    def close(self, *, wait: bool = False) -> None:
        """
        End the processes, after what they are making; the next call of `traces` would start others.

        A program that ends next has to `wait`: Python 3.11 may complain if it ends while they do.
        """
        self._end(wait=wait, cancel=True)

    def _end(self, *, wait: bool, cancel: bool) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait, cancel_futures=cancel)


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
