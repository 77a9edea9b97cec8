"""Batches of traces: as many as fit the device, evaluated there while the caller makes the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from gmemgpu.engine.class_code import check_63_bits
from gmemgpu.engine.cupy.evaluation import EvaluatedBatch, TooLarge, evaluate_columns
from gmemgpu.engine.cupy.memory import budget_bytes
from gmemgpu.engine.cupy.pieces import stage_events
from gmemgpu.engine.cupy.timelines import PIECE_BYTES, PlayedTraces, least_bytes, play_traces
from gmemgpu.engine.cupy.transfer import Arena
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace

__all__ = ["BatchReport", "KEPT_PINNED_BYTES", "LAUNCH_EVENTS", "LAUNCH_PAIRS", "evaluate_batches", "forget_arenas"]

LAUNCH_PAIRS = 1 << 14
"""With so many pairs a batch goes to the device, so that it works while the host takes others (not measured)."""
LAUNCH_EVENTS = 3 << 23
"""And with so many events: those of two batches are in the host's memory at a time."""

KEPT_PINNED_BYTES = 1 << 30
"""Pinned memory that waits for the next call: 300 MB of it took 0.28 s to get on an H200's host, and 0.08 s to fill."""

_Rows = list[list[MetricRow]]
_idle: list[tuple[Arena, Arena]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """
    What became of a batch.

    Parameters
    ----------
    n_traces, n_pairs, n_pieces : int
    slice_pieces : list of int
        How many pieces were played at a time.
    portions : list of int
        How many pairs were evaluated at a time.
    predicted_bytes : int
        Device memory that it was expected to take at most.
    """

    n_traces: int
    n_pairs: int
    n_pieces: int
    slice_pieces: list[int]
    portions: list[int]
    predicted_bytes: int


def evaluate_batches(
    traces: Iterable[Trace],
    policies: Sequence[Policy],
    costs: Costs,
    *,
    budget: int | None = None,
    observe: Callable[[BatchReport], None] | None = None,
) -> _Rows:
    """
    Evaluate every policy on every trace.

    Parameters
    ----------
    traces : iterable of Trace
        Taken one after another; while one batch is on the device the next traces are taken.
    policies : sequence of Policy
    costs : Costs
    budget : int, optional
        Bytes of device memory that a batch may take; most of what is free if left out.
    observe : callable, optional
        Called with a `BatchReport` after each batch, from the thread that drives the device.

    Returns
    -------
    list (traces) of list (policies) of MetricRow

    Raises
    ------
    BackendError
        If a trace does not fit the device however it is cut, or its times do not fit 63 bits.
    """
    import cupy

    budget = budget_bytes() if budget is None else budget
    rows: _Rows = []
    # On the caller's current device. One for all batches: CuPy's pool keeps free memory apart by stream.
    stream = cupy.cuda.Stream(non_blocking=True)
    try:
        arenas = _idle.pop()
    except IndexError:
        arenas = Arena(), Arena()
    try:
        # One thread drives the device: it mostly waits, and the interpreter is free meanwhile.
        with ThreadPoolExecutor(1, "gmemgpu-device") as device:
            running: Future[_Rows] | None = None
            for n, batch in enumerate(_batches(traces, len(policies), costs, budget)):
                # By turns: the last batch may be on the device still, the one before it is over.
                arena = arenas[n % 2]
                stage_events(batch, arena)
                work = partial(_evaluate, batch, policies, costs, budget, observe, arena, stream)
                following = device.submit(_drive, work, batch, stream)
                if running:
                    rows += running.result()
                running = following
            if running:
                rows += running.result()
    except BaseException:
        for arena in arenas:
            arena.release()
        raise
    if sum(map(len, arenas)) > KEPT_PINNED_BYTES:
        for arena in arenas:
            arena.release()
    _idle.append(arenas)
    return rows


def forget_arenas() -> None:
    """Return the pinned memory that waits for the next call to the host."""
    while _idle:
        for arena in _idle.pop():
            arena.release()


def _batches(traces: Iterable[Trace], n_policies: int, costs: Costs, budget: int) -> Iterator[list[Trace]]:
    batch: list[Trace] = []
    n_events = n_regions = 0
    for trace in traces:
        check_63_bits(trace, costs, "cupy")
        trace = trace.before_horizon()
        n, regions = len(trace), trace.host.n_regions
        # About as many pieces as events; more than that are played in slices.
        needed = least_bytes(n_events + n, n_regions + regions) + (n_events + n) * PIECE_BYTES
        if batch and (needed > budget or n_events + n > LAUNCH_EVENTS):
            yield batch
            batch, n_events, n_regions = [], 0, 0
        batch.append(trace)
        n_events += n
        n_regions += regions
        # At once, not with the next trace: that one may have yet to be made.
        if len(batch) * n_policies >= LAUNCH_PAIRS:
            yield batch
            batch, n_events, n_regions = [], 0, 0
    if batch:
        yield batch


def _drive(work: Callable[[], _Rows], batch: list[Trace], stream: Any) -> _Rows:
    # In the thread that drives the device; the batch is empty afterwards.
    import cupy

    # Each thread has a current device of its own, at first device 0. To leave it again could fail, and hide an error.
    cupy.cuda.Device(stream.device_id).use()
    # What the last batch left free is in pieces, which the pool never joins across streams; the driver has it whole.
    cupy.get_default_memory_pool().free_all_blocks()
    try:
        with stream:
            rows = work()
    except BaseException:
        # Buffers go back to the pools with this error: no copy and no kernel may be under way there.
        with suppress(cupy.cuda.runtime.CUDARuntimeError):  # a lost device; the first error tells more
            cupy.cuda.Device().synchronize()
        raise
    batch.clear()
    return rows


def _evaluate(
    batch: list[Trace],
    policies: Sequence[Policy],
    costs: Costs,
    budget: int,
    observe: Callable[[BatchReport], None] | None,
    arena: Arena,
    stream: Any,
) -> _Rows:
    import cupy

    pool = cupy.get_default_memory_pool()
    before = pool.used_bytes()
    try:
        played, evaluated = _evaluate_at_once(batch, policies, costs, budget, before, arena, stream)
    except (TooLarge, cupy.cuda.memory.OutOfMemoryError):
        if len(batch) == 1:
            raise
        evaluated = None
    if evaluated is None:
        pool.free_all_blocks()
        half = len(batch) // 2
        rows: _Rows = []
        for part in (batch[:half], batch[half:]):
            rows += _evaluate(part, policies, costs, budget, observe, arena, stream)
        return rows
    if observe:
        observe(
            BatchReport(
                n_traces=len(batch),
                n_pairs=sum(evaluated.portions),
                n_pieces=sum(played.slice_pieces),
                slice_pieces=played.slice_pieces,
                portions=evaluated.portions,
                predicted_bytes=max(played.predicted_bytes, evaluated.predicted_bytes - before),
            )
        )
    return evaluated.rows


def _evaluate_at_once(
    batch: list[Trace], policies: Sequence[Policy], costs: Costs, budget: int, before: int, arena: Arena, stream: Any
) -> tuple[PlayedTraces, EvaluatedBatch]:
    import cupy

    clearings = any(policy.scope in ("dirty", "dirty_retry") for policy in policies)
    played = play_traces(batch, budget, arena, stream, clearings=clearings)
    cupy.get_default_memory_pool().free_all_blocks()
    return played, evaluate_columns(played.columns, policies, costs, before + budget)
