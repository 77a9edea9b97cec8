"""Batches of traces: as many as fit the device, evaluated there while the caller makes the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from gmemgpu.engine.class_code import check_63_bits
from gmemgpu.engine.cupy.evaluation import EvaluatedBatch, evaluate_prepared
from gmemgpu.engine.cupy.memory import budget_bytes
from gmemgpu.engine.cupy.pieces import PieceColumns, piece_columns
from gmemgpu.engine.cupy.timelines import PIECE_BYTES, owners_bytes, play_pieces
from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.timeline.build import TimelinePieces, timeline_of, timeline_pieces

__all__ = ["BatchReport", "LAUNCH_PIECES", "evaluate_batches"]

LAUNCH_PIECES = 1 << 22
"""From so many pieces on a batch goes to the device, so that it works while the host makes the next (not measured)."""

_Rows = list[list[MetricRow]]


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


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    # A trace, cut at region borders.
    found: TimelinePieces
    columns: PieceColumns


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
    # One thread drives the device: it mostly waits, and the interpreter is free meanwhile.
    with ThreadPoolExecutor(1, "gmemgpu-device") as device:
        running: Future[_Rows] | None = None
        for batch in _batches(traces, costs, budget):
            work = partial(_evaluate, batch, policies, costs, budget, observe, stream)
            following = device.submit(_drive, work, batch, stream)
            if running:
                rows += running.result()
            running = following
        if running:
            rows += running.result()
    return rows


def _batches(traces: Iterable[Trace], costs: Costs, budget: int) -> Iterator[list[_Cut]]:
    batch: list[_Cut] = []
    n_pieces = n_regions = 0
    for trace in traces:
        check_63_bits(trace, costs, "cupy")
        found = timeline_pieces(trace)
        columns = piece_columns(found)
        n, regions = len(columns.op), len(columns.sizes)
        fits = (n_pieces + n) * PIECE_BYTES + owners_bytes(n_regions + regions) <= budget
        if batch and (not fits or n_pieces + n > LAUNCH_PIECES):
            yield batch
            batch, n_pieces, n_regions = [], 0, 0
        batch.append(_Cut(found, columns))
        n_pieces += n
        n_regions += regions
    if batch:
        yield batch


def _drive(work: Callable[[], _Rows], batch: list[_Cut], stream: Any) -> _Rows:
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
    # Pinned memory in a pool is lost to the host.
    batch.clear()
    cupy.get_default_pinned_memory_pool().free_all_blocks()
    return rows


def _evaluate(
    batch: list[_Cut],
    policies: Sequence[Policy],
    costs: Costs,
    budget: int,
    observe: Callable[[BatchReport], None] | None,
    stream: Any,
) -> _Rows:
    import cupy

    states, slice_pieces = play_pieces([cut.columns for cut in batch], budget, stream)
    n_pieces = sum(slice_pieces)
    predicted = max(slice_pieces) * PIECE_BYTES + owners_bytes(sum(len(cut.columns.sizes) for cut in batch))
    prepared = []
    while batch:
        found = batch.pop(0).found
        prepared.append(Prepared(found.trace, timeline=timeline_of(found, states.pop(0))))
    cupy.get_default_memory_pool().free_all_blocks()
    evaluated: EvaluatedBatch = evaluate_prepared(prepared, policies, costs, budget)
    if observe:
        observe(
            BatchReport(
                n_traces=len(prepared),
                n_pairs=sum(evaluated.portions),
                n_pieces=n_pieces,
                slice_pieces=slice_pieces,
                portions=evaluated.portions,
                predicted_bytes=max(predicted, evaluated.predicted_bytes),
            )
        )
    return evaluated.rows
