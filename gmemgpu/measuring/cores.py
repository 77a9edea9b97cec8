"""A CPU engine on all cores at once: one process for each, as sweeps run it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from gmemgpu.engine.protocol import Engine
from gmemgpu.engine.registry import engine
from gmemgpu.errors import BackendError
from gmemgpu.measuring.sample import sample_traces
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace

__all__ = ["Cores", "all_cores"]

_START_S = 120
"""Patience until all processes are up."""

_here: dict[str, Any] = {}
"""In a worker process: its engine, its traces, and the barrier at which all wait for each other."""


def _set_up(name: str, n_traces: int, barrier: Any) -> None:
    _here.update(engine=engine(name), traces=sample_traces(n_traces), barrier=barrier)


def _evaluate_for(policies: Sequence[Policy], least_s: float) -> tuple[float, list[list[MetricRow]]]:
    traces: list[Trace] = _here["traces"]
    on_cpu: Engine = _here["engine"]
    # Once untimed: it loads modules, and compiled code.
    rows = on_cpu.evaluate(traces, policies, Costs())
    _here["barrier"].wait(_START_S)
    n_rounds = 0
    begin = now = time.perf_counter()
    while n_rounds == 0 or now - begin < least_s:
        on_cpu.evaluate(traces, policies, Costs())
        n_rounds += 1
        now = time.perf_counter()
    return n_rounds * len(traces) * len(policies) / (now - begin), rows


class Cores:
    """
    Processes that evaluate at the same time.

    Parameters
    ----------
    pool : ProcessPoolExecutor
        As `all_cores` starts it.
    n : int
        Processes in it.
    """

    def __init__(self, pool: ProcessPoolExecutor, n: int) -> None:
        self._pool, self.n = pool, n

    def measure(self, policies: Sequence[Policy], least_s: float) -> tuple[float, list[list[MetricRow]]]:
        """
        Evaluate policies on all cores at once.

        Parameters
        ----------
        policies : sequence of Policy
            Evaluated on every trace of the sample.
        least_s : float
            Least time that every process works for.

        Returns
        -------
        pairs_per_s : float
            (trace, policy) pairs evaluated, all processes together.
        rows : list (traces) of list (policies) of MetricRow
            What each process computed, all the same.

        Raises
        ------
        BackendError
            If a process dies, or processes disagree.
        """
        # Each waits for all others, so each process gets one.
        running = [self._pool.submit(_evaluate_for, policies, least_s) for _ in range(self.n)]
        try:
            found = [work.result() for work in running]
        except BrokenProcessPool as error:
            raise BackendError(f"a process died ({error}), most likely for want of memory") from error
        if any(rows != found[0][1] for _, rows in found):
            raise BackendError("two processes found different integers for the same traces; check the memory")
        return sum(rate for rate, _ in found), found[0][1]


@contextmanager
def all_cores(name: str, n: int, n_traces: int) -> Iterator[Cores]:
    """
    Start processes that hold the same traces.

    Parameters
    ----------
    name : str
        Name of the engine.
    n : int
        Number of processes.
    n_traces : int
        Traces of the sample that each makes, from seed 0 on.

    Yields
    ------
    Cores
        Up until the context is left.
    """
    spawn = get_context("spawn")
    with ProcessPoolExecutor(n, spawn, _set_up, (name, n_traces, spawn.Barrier(n))) as pool:
        yield Cores(pool, n)
