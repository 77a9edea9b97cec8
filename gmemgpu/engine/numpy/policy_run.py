"""One policy on one prepared trace: passes in order, then the metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gmemgpu.engine.class_code import code_costs
from gmemgpu.engine.numpy.foreseen import foresee
from gmemgpu.engine.numpy.retry import RetryPasses
from gmemgpu.engine.numpy.schedule import PassStart, Quiet, Schedule, schedule
from gmemgpu.engine.numpy.target import Dirty, request_targets
from gmemgpu.engine.numpy.visit import Visits
from gmemgpu.engine.numpy.window import WindowPasses
from gmemgpu.engine.outcome import add_attempts, add_bits, empty_row, oracle_row
from gmemgpu.engine.prepared import Prepared
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
    retry = RetryPasses(visits) if policy.scope == "dirty_retry" else None
    dirty = Dirty(prepared, policy.gate) if policy.scope == "dirty" else None
    whole = policy.scope == "window"
    carried = window if whole else retry
    named = request_targets(policy, prepared, requests) if policy.scope in ("region", "vm", "inode") else None

    row = empty_row(prepared)
    warmup_ns, always_on, shutdowns = prepared.warmup_ns, visits.always_on, prepared.snp.shutdowns
    boots_ns = [0, *prepared.snp.inits] if policy.boot else []
    lost: list[int] = []
    lost_seen: set[int] = set()
    quiet = Quiet()
    foreseen = foresee(policy, prepared, priced)
    in_bulk: list[tuple[int, int, int]] = []  # passes not run one by one: how many, their length in all, the longest
    passes = empty = skipped = hazard = wall = longest = 0
    plan = schedule(
        policy,
        requests.t_ns,
        boots_ns,
        prepared.horizon_ns,
        lost,
        quiet,
        warmup_ns,
        carried=bool(carried),
        foreseen=foreseen,
    )
    start, boot, first, stop = next(plan, _NONE)
    while start >= 0:
        counted = visits.counted = start >= warmup_ns
        end: int | None
        if not always_on and not visits.epoch_at(start)[1]:
            skipped += counted
            start, boot, first, stop = _next(plan, start)
            continue
        if whole or boot:
            end = window.run(start, refresh=not whole)
            if dirty:
                dirty.targets(start)
            elif retry and end is not None:
                retry.attempted_elsewhere(start, window.sums.failed_regions())
        elif retry:
            end = retry.run(start)
        elif dirty:
            if foreseen and foreseen.ran:
                dirty.forget_until(foreseen.start_ns[foreseen.ran[-1][1] - 1])
            end = visits.visit_all(start, dirty.targets(start))
        else:
            assert named is not None
            batch: Sequence[int] = range(first, stop)
            if lost:
                lost_seen.update(lost[len(lost_seen) :])
                batch = [i for i in batch if i not in lost_seen]
            end = visits.visit_all(start, named(start, batch))
        if end is None:
            empty += counted
            end = start
        else:
            if counted:
                passes += 1
                wall += end - start
                longest = max(longest, end - start)
                if shutdowns:
                    hazard += any(b <= start < e or start < b < end for b, e in shutdowns)
            if carried and not boot and not shutdowns:
                carried.foresee(end, quiet)
        start, boot, first, stop = _next(plan, end)
        if carried and quiet.n_counted:
            in_bulk.append((quiet.n_counted, quiet.n_counted * quiet.length_ns, quiet.length_ns))
            carried.sums.n_counted += quiet.n_counted
            quiet.n_counted = 0
    window.sums.finish()
    if retry:
        retry.sums.finish()
    if foreseen and foreseen.ran:
        in_bulk.append(foreseen.count(visits, warmup_ns))
    for n, total_ns, longest_ns in in_bulk:
        passes, wall, longest = passes + n, wall + total_ns, max(longest, longest_ns)
    row |= requests.counts
    row["requests_lost"] = sum(requests.t_ns[i] >= warmup_ns for i in lost)
    row["passes"], row["passes_empty"], row["passes_skipped"] = passes, empty, skipped
    row["passes_hazard"], row["scan_wall_ns"], row["pass_wall_max_ns"] = hazard, wall, longest
    add_attempts(row, visits.counts(), priced)
    add_bits(row, prepared, np.array(visits.bits, np.int64).reshape(-1, 4))
    return row


_NONE: PassStart = (-1, False, 0, 0)


def _next(plan: Schedule, end_ns: int) -> PassStart:
    try:
        return plan.send(end_ns)
    except StopIteration:
        return _NONE
