"""The record's counts are the judge's metrics, on any trace and under any policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.registry import engine
from gmemgpu.explain.prepared import Prepared
from gmemgpu.explain.record import Fate, PassState, RunRecord
from gmemgpu.explain.replay import record_run
from gmemgpu.explain.visit import VisitOutcome
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import costs, policies, traces
from gmemgpu.workload.preset import preset, small_variant

HALF = settings(max_examples=settings.default.max_examples // 2)


def counts_of(record: RunRecord) -> dict[str, Any]:
    """Count as MODEL.md section 7 does: requests and episodes by their beginning, passes by their start."""
    warmup_ns, horizon_ns = record.prepared.warmup_ns, record.prepared.horizon_ns
    passes, requests, episodes = record.passes, record.requests, record.episodes
    lost = requests.fate == Fate.LOST
    ran = (passes.state == PassState.RAN) & (passes.start_ns >= warmup_ns)
    counts: dict[str, Any] = {
        "requests": int((requests.made.t_ns >= warmup_ns).sum()),
        "requests_lost": int((lost & (requests.made.t_ns >= warmup_ns)).sum()),
        "passes": int(ran.sum()),
        "passes_empty": int(((passes.state == PassState.EMPTY) & (passes.start_ns >= warmup_ns)).sum()),
        "passes_skipped": int(((passes.state == PassState.SKIPPED) & (passes.start_ns >= warmup_ns)).sum()),
        "scan_wall_ns": sum((passes.end_ns - passes.start_ns)[ran].tolist()),
        "pass_wall_max_ns": max((passes.end_ns - passes.start_ns)[ran].tolist(), default=0),
        "attempts": sum(len(record.targets[k]) for k in np.flatnonzero(ran)),
    }
    for outcome in ("new", "cached", "failed", "wasted", "early"):
        counts[f"attempts_{outcome}"] = int(getattr(passes, outcome)[ran].sum())
    lit, mine = episodes.set_ns >= 0, episodes.counted
    lasts = episodes.end_ns == horizon_ns
    counts["episodes"] = int(mine.sum())
    counts["reoptimized"] = int((mine & lit).sum())
    counts["never"] = int((mine & ~lit & lasts).sum())
    counts["overtaken"] = int((mine & ~lit & ~lasts).sum())
    latencies = np.sort((episodes.set_ns - episodes.begin_ns)[mine & lit]).tolist()
    for percent in (50, 90, 99):
        rank = -(-percent * len(latencies) // 100) - 1
        counts[f"latency_p{percent}_ns"] = latencies[rank] if latencies else -1
    counts["latency_max_ns"] = latencies[-1] if latencies else -1
    shone = episodes.end_ns - np.maximum(episodes.set_ns, warmup_ns)
    counts["optimized_ns"] = sum(np.maximum(shone[lit], 0).tolist())
    return counts


def assert_counts(record: RunRecord, row: MetricRow) -> None:
    counts = counts_of(record)
    assert counts == {name: row[name] for name in counts}


@given(trace=traces(), policy=policies(), cost=costs())
def test_any_policy_on_any_trace(trace: Trace, policy: Policy, cost: Costs) -> None:
    (row,) = engine("reference").evaluate([trace], [policy], cost)[0]
    assert_counts(record_run(trace, policy, cost), row)


# Guests that end at once, churn, 1 GiB folios that split, pages that leak.
@pytest.mark.parametrize("name", ["last-big-VM", "mixed-pods", "hugetlb-1g", "leak-fault"])
def test_named_policies_on_presets(name: str) -> None:
    trace = generate(small_variant(preset(name)), 3).trace
    prepared = Prepared(trace)
    rows = engine("reference").evaluate([trace], named_policies(), Costs())[0]
    for policy, row in zip(named_policies(), rows, strict=True):
        assert_counts(record_run(prepared, policy, Costs()), row)


@HALF
@given(trace=traces(), policy=policies(), cost=costs())
def test_visits_looked_up_later_are_those_that_were_made(trace: Trace, policy: Policy, cost: Costs) -> None:
    record = record_run(trace, policy, cost)
    found = np.full(len(record.episodes), -1)
    for k, targets in enumerate(record.targets):
        if not len(targets):
            continue
        visits = record.visits(k)
        assert visits.region.tolist() == targets.tolist()
        assert visits.visit_ns[0] == record.passes.start_ns[k]
        assert visits.end_ns[-1] == record.passes.end_ns[k]
        for outcome in VisitOutcome:
            counted = getattr(record.passes, outcome.name.lower())[k]
            assert (visits.outcome == outcome).sum() == counted
        new = visits.outcome == VisitOutcome.NEW
        found[visits.episode[new]] = visits.end_ns[new]
    assert found.tolist() == record.episodes.set_ns.tolist()


@HALF
@given(trace=traces(), policy=policies(), cost=costs())
def test_each_request_is_lost_or_spent_once_or_waits_at_the_horizon(trace: Trace, policy: Policy, cost: Costs) -> None:
    record = record_run(trace, policy, cost)
    requests, passes = record.requests, record.passes
    spent = np.bincount(requests.scan_pass[requests.scan_pass >= 0], minlength=len(passes))
    assert spent.tolist() == passes.n_requests.tolist()
    assert (requests.scan_pass[requests.fate == Fate.LOST] == -1).all()
    armed = requests.fate == Fate.ARMED
    # One request begins each batch, that at the horizon too.
    waits = (requests.scan_pass == -1) & (requests.fate != Fate.LOST)
    assert armed.sum() == (passes.n_requests > 0).sum() + waits.any()
    for k in range(len(passes)):
        mine = record.requests_of(k)
        if len(mine):
            assert passes.due_ns[k] == requests.due_ns[mine[-1]] <= passes.start_ns[k]
