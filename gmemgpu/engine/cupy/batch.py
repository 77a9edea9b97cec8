"""Batches of traces: as many as fit the device, evaluated there while the caller makes the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from gmemgpu.engine.class_code import check_63_bits
from gmemgpu.engine.cupy.memory import bound_bytes, budget_bytes, owners_bytes, row_bound_bytes
from gmemgpu.engine.cupy.pairs import Pair, run_pairs
from gmemgpu.engine.cupy.resident import Resident
from gmemgpu.engine.cupy.row import metric_row, oracle_row
from gmemgpu.engine.cupy.slices import slice_bytes
from gmemgpu.engine.cupy.timelines import build_timelines
from gmemgpu.engine.cupy.trace_input import TraceInput
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace

__all__ = ["BatchReport", "LAUNCH_PIECES", "evaluate_batches"]

LAUNCH_PIECES = 1 << 25
"""From so many pieces on a batch goes to the device, so that it works while the host makes the next (not measured)."""

_Rows = list[list[MetricRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """
    What became of a batch.

    Parameters
    ----------
    n_traces, n_pairs, n_pieces : int
    n_lists : int
        In how many lists of slices its timelines were built.
    predicted_bytes : int
        Device memory that it should have taken at most, from the sizes of its columns and the counts of its rows.
    """

    n_traces: int
    n_pairs: int
    n_pieces: int
    n_lists: int
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

    own = [policy for policy in policies if not policy.is_oracle]
    budget = budget_bytes() if budget is None else budget
    rows: _Rows = []
    # On the caller's current device. One for all batches: CuPy's pool keeps free memory apart by stream.
    stream = cupy.cuda.Stream(non_blocking=True)
    # One thread drives the device: it mostly waits, and the interpreter is free meanwhile.
    with ThreadPoolExecutor(1, "gmemgpu-device") as device:
        running: Future[_Rows] | None = None
        for batch in _batches(traces, own, costs, budget):
            work = partial(_evaluate, batch, policies, own, costs, budget, observe, stream)
            following = device.submit(_drive, work, batch, stream)
            if running:
                rows += running.result()
            running = following
        if running:
            rows += running.result()
    return rows


def _batches(
    traces: Iterable[Trace], policies: Sequence[Policy], costs: Costs, budget: int
) -> Iterator[list[Resident]]:
    batch: list[Resident] = []
    n_bytes = n_pieces = 0
    for trace in traces:
        check_63_bits(trace, costs, "cupy")
        resident = Resident(TraceInput(trace), policies)
        bound = bound_bytes(resident)
        fits = n_bytes + bound + owners_bytes([*batch, resident]) <= budget
        if batch and (not fits or n_pieces + len(resident.input.pieces) > LAUNCH_PIECES):
            yield batch
            batch, n_bytes, n_pieces = [], 0, 0
        batch.append(resident)
        n_bytes += bound
        n_pieces += len(resident.input.pieces)
    if batch:
        yield batch


def _drive(work: Callable[[], _Rows], batch: list[Resident], stream: Any) -> _Rows:
    # In the thread that drives the device; the batch is empty afterwards.
    import cupy

    # Each thread has a current device of its own, at first device 0. To leave it again could fail, and hide an error.
    cupy.cuda.Device(stream.device_id).use()
    # What the last batch left free is in pieces, which the pool never joins across streams; the driver has it whole.
    cupy.get_default_memory_pool().free_all_blocks()
    try:
        rows = work()
    except BaseException:
        # Buffers go back to the pools with this error: no copy and no kernel may be under way there.
        with suppress(cupy.cuda.runtime.CUDARuntimeError):  # a lost device; the first error tells more
            cupy.cuda.Device().synchronize()
        raise
    # With the batch go the buffers that its columns were copied from. Pinned memory in a pool is lost to the host.
    batch.clear()
    cupy.get_default_pinned_memory_pool().free_all_blocks()
    return rows


def _evaluate(
    batch: Sequence[Resident],
    policies: Sequence[Policy],
    own: Sequence[Policy],
    costs: Costs,
    budget: int,
    observe: Callable[[BatchReport], None] | None,
    stream: Any,
) -> _Rows:
    import cupy

    kept = sum(resident.kept_bytes for resident in batch)
    owners = owners_bytes(batch)
    room = budget - kept - owners
    pieces = sum(slice_bytes(resident.input.pieces, 0, resident.input.n_regions) for resident in batch)
    # A batch of several was made to fit whole; a trace that does not comes in slices, beside the rows made of them.
    whole = pieces + sum(map(row_bound_bytes, batch)) <= room
    slices = pieces if whole else room // 2
    for resident in batch:
        resident.upload(stream)
    n_lists = build_timelines(batch, slices, room - slices, stream)
    # Pieces and states are gone, and nothing is queued: the scratch of pairs is to find their room in one.
    cupy.get_default_memory_pool().free_all_blocks()
    rows = sum(resident.rows_bytes for resident in batch)
    runs = run_pairs(batch, own, costs, budget - kept - rows, stream)
    if observe:
        observe(
            BatchReport(
                n_traces=len(batch),
                n_pairs=len(runs.by_pair),
                n_pieces=sum(len(resident.input.pieces) for resident in batch),
                n_lists=n_lists,
                predicted_bytes=kept + rows + max(owners + min(pieces, slices), runs.predicted_bytes),
            )
        )
    found = []
    for i, resident in enumerate(batch):
        totals = resident.totals(stream)
        cores = resident.input.core_counts.tolist()
        ran = iter([metric_row(runs.by_pair[Pair(i, j)], totals, cores) for j in range(len(own))])
        found.append([oracle_row(totals, cores) if policy.is_oracle else next(ran) for policy in policies])
    return found
