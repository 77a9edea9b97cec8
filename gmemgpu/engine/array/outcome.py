"""What the passes of a batch did, for all pairs at once, and the rows that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gmemgpu.engine.array.batch import Batch, Pairs
from gmemgpu.engine.array.constants import empty_rows, set_time, set_times
from gmemgpu.engine.array.latency import histograms, latencies
from gmemgpu.engine.array.passes import Passes, first_at
from gmemgpu.engine.array.schedule import Schedule
from gmemgpu.engine.array.sums import HALF_BITS, halves
from gmemgpu.engine.array.tables import nth
from gmemgpu.engine.array.xp.namespace import Array
from gmemgpu.engine.class_code import CACHED, CLEAN, FAIL_EARLY, N_CODES
from gmemgpu.model.metric import METRIC_NAMES, MetricRow
from gmemgpu.model.trace import Int64Array

__all__ = ["Outcome", "metric_rows", "rows_of", "rows_without_passes"]

EXACT = 1 << 62
"""Products and sums that a float puts below this are exact in int64."""

_Columns: TypeAlias = dict[str, list[int]]


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
    xp = batch.xp
    first = first_at(xp, passes, batch.warmup_ns)
    exact: dict[str, Array] = {"requests_lost": _lost(batch, schedule, passes)}
    exact |= _of_passes(batch, passes, first, ran, empty)
    exact |= {"failed": outcome.failed, "early": outcome.early, "cached": outcome.cached}
    bits = _Bits(batch, passes, outcome, first)
    exact |= bits.counts()
    percentiles, bins, n_bins = bits.latencies()
    exact |= percentiles
    set_time = bits.set_time()
    seen, filled = xp.flatnonzero(outcome.codes), xp.flatnonzero(bins)
    sparse = seen, outcome.codes[seen], filled, bins[filled]
    *found, host_seen, host_count, host_filled, host_bins = xp.fetch(*exact.values(), *set_time, *sparse)
    columns: _Columns = {name: values.tolist() for name, values in zip(exact, found, strict=False)}
    cores = [host.core_counts for host in batch.tables.hosts]
    weights = [cores[k] for k in batch.trace_of.tolist()]
    columns |= set_times(found[len(exact) :], weights, batch.most_groups)
    columns |= _attempts(batch, columns, host_seen, host_count)
    highs, lows = columns.pop("wall_high"), columns.pop("wall_low")
    columns["scan_wall_ns"] = [(high << HALF_BITS) + low for high, low in zip(highs, lows, strict=True)]
    return metric_rows(batch.pairs, columns, histograms(len(batch), n_bins, host_filled, host_bins))


def rows_without_passes(pairs: Pairs) -> list[MetricRow]:
    """Build the rows of pairs whose policies never start a pass."""
    none = [0] * len(pairs)
    return metric_rows(pairs, {"reoptimized": none, "lasting": none}, [[] for _ in none])


def _of_each(batch: Batch, passes: Passes, values: Array) -> Array:
    # The sum of a value a pass, for each pair.
    if batch.xp.fuses:
        # Without a running sum, whose every element would go through memory.
        sum_up = batch.xp.count_at if values.dtype == np.bool_ else batch.xp.sum_at
        return sum_up(len(batch), passes.pair, values)
    sums = batch.xp.sums(values)[passes.at]
    return sums[1:] - sums[:-1]


def _of_passes(batch: Batch, passes: Passes, first: Array, ran: Array, empty: Array) -> dict[str, Array]:
    xp = batch.xp
    counted = xp.arange(len(passes.start_ns)) >= first[passes.pair]
    went = counted & ran
    visited = went & ~empty
    length_ns = xp.where(visited, passes.end_ns - passes.start_ns, 0)
    wall_high, wall_low = halves(length_ns)
    found = {
        "passes": visited,
        "passes_empty": went & empty,
        "passes_skipped": counted & ~ran,
        "passes_hazard": visited & _in_hazard(batch, passes),
        "wall_high": wall_high,
        "wall_low": wall_low,
    }
    sums = {name: _of_each(batch, passes, values) for name, values in found.items()}
    return sums | {"pass_wall_max_ns": xp.max_at(len(batch), passes.pair, length_ns)}


def _in_hazard(batch: Batch, passes: Passes) -> Array:
    # Whether a pass runs in part while SNP is shut down.
    xp = batch.xp
    hazard = xp.zeros(len(passes.start_ns), bool)
    for edges in nth([snp.shutdowns for snp in batch.tables.snp]):
        begins_ns, ends_ns = (xp.asarray(edge[batch.trace_of])[passes.pair] for edge in edges)
        start_ns, end_ns = passes.start_ns, passes.end_ns
        hazard |= (start_ns < ends_ns) & ((start_ns >= begins_ns) | (end_ns > begins_ns))
    return hazard


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


class _Bits:
    # Attempts that found a region free and its bit not set, of all pairs: each sets the bit unless the region is
    # assigned again, or the trace over, before it is complete.
    def __init__(self, batch: Batch, passes: Passes, outcome: Outcome, first: Array) -> None:
        self.batch = batch
        tables = batch.tables
        self.pair = passes.pair[outcome.first_pass]
        self.row = outcome.first_row + batch.table_row[self.pair]
        self.done_ns = outcome.first_done_ns
        self.begin_ns, self.until_ns = batch.t_ns[self.row], batch.until_ns[self.row]
        self.horizon_ns, self.warmup_ns = batch.horizon_ns[self.pair], batch.warmup_ns[self.pair]
        self.kept = (self.done_ns < self.until_ns) & (self.done_ns < self.horizon_ns)
        self.counted = outcome.first_pass >= first[self.pair]
        # An episode that begins with an epoch is fresh, whatever else happened at that instant.
        fresh = tables.begins_snp[tables.instant_of_row[self.row]]
        self.told = self.kept & ~fresh & (self.begin_ns >= self.warmup_ns)

    def _tally(self, which: Array) -> Array:
        return self.batch.xp.count_at(len(self.batch), self.pair, which)

    def counts(self) -> dict[str, Array]:
        return {
            "attempts_new": self._tally(self.counted & self.kept),
            "attempts_wasted": self._tally(self.counted & ~self.kept),
            "reoptimized": self._tally(self.told),
            "lasting": self._tally(self.told & (self.until_ns >= self.horizon_ns)),
        }

    def latencies(self) -> tuple[dict[str, Array], Array, int]:
        k = self.batch.xp.flatnonzero(self.told)
        return latencies(self.batch.xp, len(self.batch), self.pair[k], (self.done_ns - self.begin_ns)[k])

    def set_time(self) -> list[Array]:
        # By pair and group of regions.
        batch, xp = self.batch, self.batch.xp
        k = xp.flatnonzero(self.kept)
        row = self.row[k]
        begin_ns = xp.maximum(self.done_ns, self.warmup_ns)[k]
        end_ns = xp.minimum(self.until_ns, self.horizon_ns)[k]
        index = self.pair[k] * batch.most_groups + batch.group_of_row[row] // N_CODES
        return set_time(batch.tables, len(batch) * batch.most_groups, index, row, begin_ns, end_ns)


def _attempts(batch: Batch, columns: _Columns, seen: Int64Array, count: Int64Array) -> _Columns:
    # Attempts by outcome, and what they cost.
    n_pairs = len(batch)
    pair = np.searchsorted(batch.host_cost_at, seen, "right") - 1
    cost = seen - batch.host_cost_at[pair]
    code = cost % N_CODES

    def tally(which: np.ndarray, also: str) -> list[int]:
        sums = np.zeros(n_pairs, np.int64)
        np.add.at(sums, pair[which], count[which])
        found: list[int] = (sums + np.array(columns[also])).tolist()
        return found

    found = {
        "attempts_cached": tally(code == CACHED, "cached"),
        "attempts_failed": tally(code < CLEAN, "failed"),
        "attempts_early": tally((code >= FAIL_EARLY) & (code < CLEAN), "early"),
    }
    place = batch.priced_at[batch.priced_of[pair]] + cost
    for name in batch.priced[0].totals:
        each = np.concatenate([priced.totals[name] for priced in batch.priced])[place]
        # Counts times costs can pass 63 bits on their way: then in Python's integers.
        fits = float(count.max(initial=0)) * float(each.max(initial=0)) * max(len(each), 1) < EXACT
        dtype = np.int64 if fits else object
        sums = np.zeros(n_pairs, dtype)
        np.add.at(sums, pair, count.astype(dtype) * each.astype(dtype))
        found[name] = sums.tolist()
    return found


def metric_rows(pairs: Pairs, columns: dict[str, list[int]], histograms: list[list[int]]) -> list[MetricRow]:
    """
    Build rows from what passes did.

    Parameters
    ----------
    pairs : Pairs
    columns : dict of str to list (n_pairs) of int
        Some metrics; and as ``lasting`` how many of the re-optimized episodes last to the horizon.
    histograms : list (n_pairs) of list of int
        Of latencies.
    """
    lasting = columns.pop("lasting")
    empty, all_lasting = empty_rows(pairs.tables)
    traces, policies = pairs.trace_of.tolist(), pairs.policy_of.tolist()
    of = list(zip(traces, policies, strict=True))
    counts = {k: pairs.counts.of(pairs.policies[k].hook) for k in set(policies)}
    updates = {k: pairs.counts.tracker_updates(pairs.policies[k]) for k in set(policies)}
    for name in ("requests", "request_folios", "requests_hazard"):
        of_hooks = {k: getattr(counted, name) for k, counted in counts.items()}
        columns[name] = [of_hooks[policy][trace] for trace, policy in of]
    columns["tracker_updates"] = [updates[policy][trace] for trace, policy in of]
    columns["never"] = [all_lasting[trace] - n for trace, n in zip(traces, lasting, strict=True)]
    episodes = [empty[trace]["episodes"] for trace in traces]
    ended = zip(episodes, columns["reoptimized"], columns["never"], strict=True)
    columns["overtaken"] = [n - reoptimized - never for n, reoptimized, never in ended]
    whole = {**columns, "latency_histogram": histograms, "episodes": episodes}
    values = (whole.get(name) or [empty[trace][name] for trace in traces] for name in METRIC_NAMES)
    return [dict(zip(METRIC_NAMES, row, strict=True)) for row in zip(*values, strict=True)]
