"""One policy on one prepared trace: passes in order, then the metrics."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.engine.numpy.code import code_costs
from gmemgpu.engine.numpy.outcome import add_attempts, add_bits, empty_row, oracle_row
from gmemgpu.engine.numpy.prepared import Prepared
from gmemgpu.engine.numpy.schedule import schedule
from gmemgpu.engine.numpy.target import Dirty, request_targets
from gmemgpu.engine.numpy.visit import Visits
from gmemgpu.engine.numpy.window import WindowPasses
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy

__all__ = ["run_policy"]


def run_policy(prepared: Prepared, policy: Policy, costs: Costs) -> MetricRow:
    """
    Evaluate one policy.

    Parameters
    ----------
    prepared : Prepared
    policy : Policy
    costs : Costs

    Returns
    -------
    MetricRow
    """
    if policy.is_oracle:
        return oracle_row(prepared)
    requests = prepared.requests(policy.hook)
    priced = code_costs(policy.executor, costs, prepared.cores, prepared.trace.host.threads_per_core)
    visits = Visits(prepared, policy, priced)
    window = WindowPasses(visits)
    whole = policy.scope == "window"
    dirty = (
        Dirty(prepared, policy.gate, retry=policy.scope == "dirty_retry") if policy.scope.startswith("dirty") else None
    )
    named = None if whole or dirty else request_targets(policy, prepared, requests)

    row = empty_row(prepared)
    warmup_ns, always_on, shutdowns = prepared.warmup_ns, visits.always_on, prepared.snp.shutdowns
    boots_ns = [0, *prepared.snp.inits] if policy.boot else []
    lost: list[int] = []
    lost_seen: set[int] = set()
    passes = empty = skipped = hazard = wall = longest = 0
    plan = schedule(policy, requests.t_ns, boots_ns, prepared.horizon_ns, lost)
    end: int | None = None
    try:
        start, boot, first, stop = next(plan)
        while True:
            counted = visits.counted = start >= warmup_ns
            end = None
            if not always_on and not visits.epoch_at(start)[1]:
                skipped += counted
                start, boot, first, stop = plan.send(start)
                continue
            if whole or boot:
                end = window.run(start, refresh=not whole)
                if dirty:
                    targets = dirty.targets(start)
                    if end is not None:
                        dirty.attempted(targets, window.failed_regions())
            else:
                failed: list[int] = []
                if dirty:
                    targets = dirty.targets(start)
                else:
                    batch: Sequence[int] = range(first, stop)
                    if lost:
                        lost_seen.update(lost[len(lost_seen) :])
                        batch = [i for i in batch if i not in lost_seen]
                    assert named is not None
                    targets = named(start, batch)
                end = visits.visit_all(start, targets, failed)
                if dirty and end is not None:
                    dirty.attempted(targets, failed)
            if end is None:
                empty += counted
                end = start
            elif counted:
                passes += 1
                wall += end - start
                longest = max(longest, end - start)
                if shutdowns:
                    hazard += any(b <= start < e or start < b < end for b, e in shutdowns)
            start, boot, first, stop = plan.send(end)
    except StopIteration:
        pass
    window.finish()
    row |= requests.counts
    row["requests_lost"] = sum(requests.t_ns[i] >= warmup_ns for i in lost)
    row["passes"], row["passes_empty"], row["passes_skipped"] = passes, empty, skipped
    row["passes_hazard"], row["scan_wall_ns"], row["pass_wall_max_ns"] = hazard, wall, longest
    add_attempts(row, visits, priced)
    add_bits(row, prepared, visits.bits)
    return row
