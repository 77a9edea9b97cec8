"""One policy on one prepared trace: compiled passes, then the metrics."""

from __future__ import annotations

import numpy as np

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
from gmemgpu.engine.compiled.set_time import add_set_time
from gmemgpu.engine.compiled.target import HookRequests, new_dirty
from gmemgpu.engine.outcome import AttemptCounts, add_attempts, add_episodes, empty_row, oracle_row
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Int32Array, Int64Array

__all__ = ["run_policy"]

_NONE = np.zeros(0, np.int64)
_NOWHERE = Clearings(_NONE, _NONE.astype(np.int32))

_PASS_METRICS = {
    "requests_lost": LOST,
    "passes": PASSES,
    "passes_empty": EMPTY,
    "passes_skipped": SKIPPED,
    "passes_hazard": HAZARD,
    "scan_wall_ns": WALL_NS,
    "pass_wall_max_ns": LONGEST_NS,
}


def run_policy(columns: Columns, policy: Policy, costs: Costs) -> MetricRow:
    """
    Evaluate one policy.

    Parameters
    ----------
    columns : Columns
        Of the trace.
    policy : Policy
        May be the oracle.
    costs : Costs
        Times of RMPOPT, in ns.

    Returns
    -------
    MetricRow
        Every metric, in column order.
    """
    prepared = columns.prepared
    if policy.is_oracle:
        return oracle_row(prepared)
    found = prepared.requests(policy.hook)
    priced = prepared.priced(policy.executor, costs)
    rules = rules_of(policy, prepared, priced)
    states = columns.states(policy.gate)
    regions = columns.named(policy.scope)
    names = {"vm": found.vm, "inode": found.inode}.get(policy.scope)
    named = _NONE if names is None else _places(names, regions)
    dirty = new_dirty(len(prepared.cores))
    dirty.flags[:] = policy.scope == "window"
    ledger = new_ledger(len(prepared.cores), len(priced.length_ns), len(prepared.episodes.region))
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
    row = empty_row(prepared)
    row |= found.counts
    row["tracker_updates"] = prepared.tracker_updates(policy)
    row |= {name: counts[place] for name, place in _PASS_METRICS.items()}
    attempts = AttemptCounts(
        counts[NEW], counts[CACHED_FOUND], counts[FAILED], counts[WASTED], counts[EARLY], ledger.codes
    )
    add_attempts(row, attempts, priced)
    region, begin, end, done = ledger.bits[:, : counts[N_BITS]]
    add_set_time(row, prepared, region, done, end)
    add_episodes(row, prepared, begin, end, done)
    return row


def _places(names: Int32Array, regions: NamedRegions) -> Int64Array:
    # Of each name among the ids; -1 for one that never had a page in a covered region.
    if not len(regions.ids):
        return np.full(len(names), -1, np.int64)
    place = np.minimum(np.searchsorted(regions.ids, names), len(regions.ids) - 1)
    return np.where(regions.ids[place] == names, place, -1)
