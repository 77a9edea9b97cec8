"""One policy on one trace: compiled passes, then the metrics."""

from __future__ import annotations

from operator import mul

import numpy as np

from gmemgpu.engine.array.batch import Pairs
from gmemgpu.engine.array.latency import histograms, latencies
from gmemgpu.engine.array.outcome import metric_rows
from gmemgpu.engine.array.xp.on_numpy import NUMPY
from gmemgpu.engine.class_code import code_costs
from gmemgpu.engine.compiled.carried import new_carried
from gmemgpu.engine.compiled.columns import Clearings, Columns, NamedRegions
from gmemgpu.engine.compiled.ledger import (
    CACHED_FOUND,
    EARLY,
    EMPTY,
    FAILED,
    HAZARD,
    LONGEST_NS,
    LOST,
    N_BITS,
    NEW,
    PASSES,
    SKIPPED,
    WALL_NS,
    WASTED,
    new_ledger,
)
from gmemgpu.engine.compiled.loop import new_scratch, run_passes
from gmemgpu.engine.compiled.rules import rules_of
from gmemgpu.engine.compiled.schedule import new_clock
from gmemgpu.engine.compiled.set_time import set_time
from gmemgpu.engine.compiled.target import HookRequests, new_dirty
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.trace import Int32Array, Int64Array

__all__ = ["run_policies", "run_policy"]

_NONE = np.zeros(0, np.int64)
_NOWHERE = Clearings(_NONE, _NONE.astype(np.int32))

_LEDGER_METRICS = {
    "attempts_new": NEW,
    "attempts_cached": CACHED_FOUND,
    "attempts_failed": FAILED,
    "attempts_wasted": WASTED,
    "attempts_early": EARLY,
    "requests_lost": LOST,
    "passes": PASSES,
    "passes_empty": EMPTY,
    "passes_skipped": SKIPPED,
    "passes_hazard": HAZARD,
    "scan_wall_ns": WALL_NS,
    "pass_wall_max_ns": LONGEST_NS,
}


def run_policies(pairs: Pairs) -> list[MetricRow]:
    """Evaluate pairs of one trace."""
    columns = Columns(pairs.tables)
    return [run_policy(columns, pairs, k) for k in range(len(pairs))]


def run_policy(columns: Columns, pairs: Pairs, number: int) -> MetricRow:
    """Evaluate one of the pairs; they have the tables that `columns` has."""
    one = pairs.some(np.array([number]))
    policy, tables = one.policies[one.policy_of[0]], columns.tables
    host, found = tables.hosts[0], one.hooks.requests(policy.hook).of
    priced = code_costs(policy.executor, one.costs, host.core_counts, host.threads_per_core)
    rules = rules_of(policy, tables, priced)
    states = columns.states(policy.gate)
    regions = columns.named(policy.scope)
    names = {"vm": found.vm, "inode": found.inode}.get(policy.scope)
    named = _NONE if names is None else _places(names, regions)
    dirty = new_dirty(host.n_regions)
    dirty.flags[:] = policy.scope == "window"
    ledger = new_ledger(host.n_regions, len(priced.length_ns), int(np.count_nonzero(tables.free)))
    requests = HookRequests(found.t_ns, found.first_region, found.last_region, named, regions)
    run_passes(
        new_clock(rules),
        states,
        columns.changes,
        columns.clearings if policy.scope in ("dirty", "dirty_retry") else _NOWHERE,
        columns.snp,
        requests,
        rules,
        new_carried(states, rules),
        dirty,
        ledger,
        new_scratch(states, len(found.t_ns), rules),
    )
    counts: list[int] = ledger.counts.tolist()
    region, begin_ns, end_ns, done_ns = ledger.bits[:, : counts[N_BITS]]
    # An episode that begins with an epoch is fresh, whatever else happened at that instant.
    told = (begin_ns >= rules.warmup_ns) & ~np.isin(begin_ns, columns.snp.on_ns)
    latency_ns = (done_ns - begin_ns)[told]
    percentiles, bins, n_bins = latencies(NUMPY, 1, np.zeros(len(latency_ns), np.int64), latency_ns)
    row = {name: counts[place] for name, place in _LEDGER_METRICS.items()}
    row |= {"reoptimized": len(latency_ns), "lasting": int((end_ns[told] >= rules.horizon_ns).sum())}
    row |= {name: int(value[0]) for name, value in percentiles.items()}
    seen = np.flatnonzero(ledger.codes)
    for name, table in priced.totals.items():
        # Python integers: counts times costs can pass 63 bits on their way.
        row[name] = sum(map(mul, ledger.codes[seen].tolist(), table[seen].tolist()))
    made = {name: [value] for name, value in row.items()} | set_time(tables, region, done_ns, end_ns)
    filled = np.flatnonzero(bins)
    return metric_rows(one, made, histograms(1, n_bins, filled, bins[filled]))[0]


def _places(names: Int32Array, regions: NamedRegions) -> Int64Array:
    # Of each name among the ids; -1 for one that never had a page in a covered region.
    if not len(regions.ids):
        return np.full(len(names), -1, np.int64)
    place = np.minimum(np.searchsorted(regions.ids, names), len(regions.ids) - 1)
    return np.where(regions.ids[place] == names, place, -1)
