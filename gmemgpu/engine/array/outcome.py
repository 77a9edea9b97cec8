"""What the passes of a batch did, pair by pair, and the rows that follow."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.passes import Passes, first_at
from gmemgpu.engine.array.schedule import Schedule
from gmemgpu.engine.array.xp import Array
from gmemgpu.engine.class_code import CACHED, CLEAN, FAIL_EARLY, N_CODES
from gmemgpu.engine.outcome import AttemptCounts, add_attempts, add_bits, empty_row
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.timeline.integral import exact_sum

__all__ = ["Outcome", "rows_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """
    What the attempts of a batch led to.

    Parameters
    ----------
    codes : (n_costs,) int64
        Attempts of counted passes by class code, group and pair.
    failed, early, cached : (n_pairs,) int64
        What to add to the numbers that follow from the codes: attempts that found another state than their class says.
    first_pass, first_row, first_done_ns : (m,) int64
        Attempts that found a region free and its bit not set: the pass, the row met, and the completion.
    """

    codes: Array
    failed: Array
    early: Array
    cached: Array
    first_pass: Array
    first_row: Array
    first_done_ns: Array


def _in_hazard(shutdowns: list[tuple[int, int]], start_ns: Int64Array, end_ns: Int64Array) -> BoolArray:
    hazard = np.zeros(len(start_ns), bool)
    for begin, end in shutdowns:
        hazard |= (start_ns >= begin) & (start_ns < end)
        hazard |= (start_ns < begin) & (end_ns > begin)
    return hazard


def rows_of(
    batch: Batch, schedule: Schedule, passes: Passes, ran: Array, empty: Array, outcome: Outcome
) -> list[MetricRow]:
    """
    Build the rows of a settled batch.

    Parameters
    ----------
    batch : Batch
    schedule : Schedule
    passes : Passes
    ran, empty : (n_passes,) bool
        Whether SNP was on; whether no region was left.
    outcome : Outcome
    """
    at = passes.at.tolist()
    counted_from = first_at(passes, batch.warmup_ns).tolist()
    lost = _lost(batch, schedule, passes)
    firsts = _order_by_pair(batch, passes, outcome)
    rows = []
    for q, pair in enumerate(batch.pairs):
        prepared = pair.table.prepared
        row = empty_row(prepared) | prepared.requests(pair.policy.hook).counts
        counted = slice(counted_from[q], at[q + 1])
        went = ran[counted]
        visited = went & ~empty[counted]
        start_ns, end_ns = passes.start_ns[counted][visited], passes.end_ns[counted][visited]
        row["requests_lost"] = lost[q]
        row["passes"] = len(start_ns)
        row["passes_empty"] = int((went & empty[counted]).sum())
        row["passes_skipped"] = int((~went).sum())
        if prepared.snp.shutdowns:
            row["passes_hazard"] = int(_in_hazard(prepared.snp.shutdowns, start_ns, end_ns).sum())
        if len(start_ns):
            row["scan_wall_ns"] = exact_sum(end_ns - start_ns)
            row["pass_wall_max_ns"] = int((end_ns - start_ns).max())
        counts, bits = _pair_outcome(batch, q, outcome, firsts[q], counted_from[q])
        add_attempts(row, counts, pair.priced)
        add_bits(row, prepared, bits)
        rows.append(row)
    return rows


def _lost(batch: Batch, schedule: Schedule, passes: Passes) -> list[int]:
    # Requests strictly between start and end of a pass, which ``drop`` loses; ticks are no requests.
    lost = np.zeros(len(batch), np.int64)
    requests = schedule.requests
    pairs = np.flatnonzero(schedule.drop & ~schedule.periodic)
    for q in pairs.tolist():
        times = requests.t_ns[requests.at[q] : requests.at[q + 1]]
        own = slice(passes.at[q], passes.at[q + 1])
        uncounted = np.searchsorted(times, batch.warmup_ns[q], "left")
        begin = np.maximum(np.searchsorted(times, passes.start_ns[own], "right"), uncounted)
        end = np.searchsorted(times, passes.end_ns[own], "left")
        lost[q] = np.maximum(end - begin, 0).sum()
    return lost.tolist()


def _order_by_pair(batch: Batch, passes: Passes, outcome: Outcome) -> list[Array]:
    pair = passes.pair[outcome.first_pass]
    order = np.argsort(pair, kind="stable")
    edges = np.searchsorted(pair[order], np.arange(len(batch) + 1))
    return [order[a:b] for a, b in pairwise(edges)]


def _pair_outcome(
    batch: Batch, q: int, outcome: Outcome, first: Array, counted_from: int
) -> tuple[AttemptCounts, Int64Array]:
    codes = outcome.codes[batch.cost_at[q] : batch.cost_at[q + 1]]
    by_code = codes.reshape(-1, N_CODES).sum(axis=0)
    row = outcome.first_row[first] + batch.table_row[q]
    done_ns = outcome.first_done_ns[first]
    until_ns = batch.until_ns[row]
    kept = (done_ns < until_ns) & (done_ns < batch.horizon_ns[q])
    counted = outcome.first_pass[first] >= counted_from
    region = batch.pairs[q].table.prepared.covered[batch.position[row]]
    bits = np.stack([region, batch.t_ns[row], until_ns, done_ns], axis=1)[kept]
    counts = AttemptCounts(
        new=int((counted & kept).sum()),
        wasted=int((counted & ~kept).sum()),
        cached=int(by_code[CACHED] + outcome.cached[q]),
        failed=int(by_code[:CLEAN].sum() + outcome.failed[q]),
        early=int(by_code[FAIL_EARLY:CLEAN].sum() + outcome.early[q]),
        codes=codes,
    )
    return counts, bits
