"""What the passes of a batch did, pair by pair, and the rows that follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.passes import Passes, first_at
from gmemgpu.engine.array.schedule import Schedule
from gmemgpu.engine.array.xp.namespace import Array
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
    first = first_at(batch.xp, passes, batch.warmup_ns)
    columns = passes.at, first, passes.start_ns, passes.end_ns, ran, empty, _lost(batch, schedule, passes)
    at, first, starts_ns, ends_ns, ran, empty, lost = batch.xp.fetch(*columns)
    counted_from = first.tolist()
    rows = []
    for q, (pair, found) in enumerate(zip(batch.pairs, _pair_outcomes(batch, passes, outcome, first), strict=True)):
        prepared = pair.table.prepared
        row = empty_row(prepared) | prepared.requests(pair.policy.hook).counts
        counted = slice(counted_from[q], at[q + 1])
        went = ran[counted]
        visited = went & ~empty[counted]
        start_ns, end_ns = starts_ns[counted][visited], ends_ns[counted][visited]
        row["requests_lost"] = int(lost[q])
        row["tracker_updates"] = prepared.tracker_updates(pair.policy)
        row["passes"] = len(start_ns)
        row["passes_empty"] = int((went & empty[counted]).sum())
        row["passes_skipped"] = int((~went).sum())
        if prepared.snp.shutdowns:
            row["passes_hazard"] = int(_in_hazard(prepared.snp.shutdowns, start_ns, end_ns).sum())
        if len(start_ns):
            row["scan_wall_ns"] = exact_sum(end_ns - start_ns)
            row["pass_wall_max_ns"] = int((end_ns - start_ns).max())
        add_attempts(row, found.counts, pair.priced)
        add_bits(row, prepared, found.bits)
        rows.append(row)
    return rows


def _lost(batch: Batch, schedule: Schedule, passes: Passes) -> Array:
    # Requests strictly between start and end of a pass, which ``drop`` loses; ticks are no requests.
    xp, requests = batch.xp, schedule.requests
    n_pairs = len(batch)
    k = xp.flatnonzero(schedule.loses[passes.pair])
    if not len(k):
        return xp.zeros(n_pairs, np.int64)
    at, pair = xp.searchsorted(k, passes.at), passes.pair[k]
    among = requests.t_ns, requests.at[:-1], requests.at[1:]
    uncounted = xp.search(*among, batch.warmup_ns, xp.arange(n_pairs + 1), "left")
    begin = xp.maximum(xp.search(*among, passes.start_ns[k], at, "right"), uncounted[pair])
    end = xp.search(*among, passes.end_ns[k], at, "left")
    return xp.sum_at(n_pairs, pair, xp.maximum(end - begin, 0))


@dataclass(frozen=True, slots=True, eq=False)
class _PairOutcome:
    counts: AttemptCounts
    bits: Int64Array


def _pair_outcomes(batch: Batch, passes: Passes, outcome: Outcome, counted_from: Int64Array) -> Iterator[_PairOutcome]:
    xp, n_pairs = batch.xp, len(batch)
    pair = passes.pair[outcome.first_pass]
    order = xp.stable_order(pair)
    pair, first_pass, done_ns = pair[order], outcome.first_pass[order], outcome.first_done_ns[order]
    row = outcome.first_row[order] + batch.table_row[pair]
    attempts = first_pass, batch.position[row], batch.t_ns[row], batch.until_ns[row], done_ns
    at = xp.searchsorted(pair, xp.arange(n_pairs + 1))
    tallies = outcome.codes, batch.cost_at, outcome.failed, outcome.early, outcome.cached
    *firsts, at, codes, cost_at, failed, early, cached = xp.fetch(*attempts, at, *tallies)
    for q, (a, b) in enumerate(pairwise(at.tolist())):
        scan_pass, position, begin_ns, until_ns, done_ns = (column[a:b] for column in firsts)
        prepared = batch.pairs[q].table.prepared
        own_codes = codes[cost_at[q] : cost_at[q + 1]]
        by_code = own_codes.reshape(-1, N_CODES).sum(axis=0)
        kept = (done_ns < until_ns) & (done_ns < prepared.horizon_ns)
        counted = scan_pass >= counted_from[q]
        counts = AttemptCounts(
            new=int((counted & kept).sum()),
            wasted=int((counted & ~kept).sum()),
            cached=int(by_code[CACHED] + cached[q]),
            failed=int(by_code[:CLEAN].sum() + failed[q]),
            early=int(by_code[FAIL_EARLY:CLEAN].sum() + early[q]),
            codes=own_codes,
        )
        bits = np.stack([prepared.covered[position], begin_ns, until_ns, done_ns], axis=1)[kept]
        yield _PairOutcome(counts, bits)
