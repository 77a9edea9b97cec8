"""All passes of one policy on one trace, in time order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gmemgpu.compiled import compiled_in_place
from gmemgpu.engine.class_code import ABSENT
from gmemgpu.engine.compiled.carried import Carried, advance, finish, forget, refresh, set_code
from gmemgpu.engine.compiled.carried_pass import attempt_carried
from gmemgpu.engine.compiled.columns import Changes, Clearings, Snp, States
from gmemgpu.engine.compiled.ledger import EMPTY, HAZARD, LONGEST_NS, PASSES, SKIPPED, WALL_NS, Ledger
from gmemgpu.engine.compiled.rules import DIRTY, DIRTY_RETRY, WINDOW, Rules
from gmemgpu.engine.compiled.schedule import BATCH_BEGIN, BATCH_END, IS_BOOT, next_start, pass_ended
from gmemgpu.engine.compiled.target import (
    LISTED,
    Dirty,
    HookRequests,
    add_clearings,
    keep_dirty,
    named_targets,
    put_in_order,
)
from gmemgpu.engine.compiled.visit import DROPPED, FAILS, epoch_at, visit_all
from gmemgpu.model.trace import BoolArray, Int8Array, Int64Array
from gmemgpu.timeline.snp import FOREVER

__all__ = ["Scratch", "new_scratch", "run_passes"]


@compiled_in_place
def _count_pass(start_ns: int, end_ns: int, snp: Snp, ledger: Ledger) -> None:
    counts = ledger.counts
    counts[PASSES] += 1
    counts[WALL_NS] += end_ns - start_ns
    counts[LONGEST_NS] = max(counts[LONGEST_NS], end_ns - start_ns)
    for i in range(snp.shutdown_ns.size):
        if snp.shutdown_ns[i] <= start_ns < snp.down_ns[i] or start_ns < snp.shutdown_ns[i] < end_ns:
            counts[HAZARD] += 1
            break


@compiled_in_place
def _clean_targets(targets: Int64Array, outcome: Int8Array, scope: int, dirty: Dirty) -> None:
    # What was attempted is clean from now on; with retry, unless it failed.
    for i in range(targets.size):
        if outcome[i] != DROPPED and not (outcome[i] == FAILS and scope == DIRTY_RETRY):
            dirty.flags[targets[i]] = False


@compiled_in_place
def _retry_anew(carried: Carried, covered: Int64Array, dirty: Dirty, rules: Rules) -> None:
    # After a boot pass, which looked at regions and set bits that the carried classes do not know of.
    for i in range(covered.size):
        if not dirty.flags[covered[i]]:
            set_code(carried, covered[i], ABSENT, rules)
    forget(carried)


@compiled_in_place
def _add_dirty(
    carried: Carried,
    start_ns: int,
    states: States,
    clearings: Clearings,
    dirty: Dirty,
    rules: Rules,
    ledger: Ledger,
) -> None:
    dirty.counts[LISTED] = 0
    add_clearings(dirty, clearings, start_ns)
    for i in range(dirty.counts[LISTED]):
        refresh(carried, dirty.listed[i], start_ns, states, rules, ledger)


class Scratch(NamedTuple):
    """
    Memory for passes that visit their targets one by one.

    Parameters
    ----------
    seen : (n_regions,) int64
        Row of each region's state that the last visit found.
    targets : (n_regions,) int64
        Of the running pass.
    outcome : (n_regions,) int8
        What became of them.
    marked : (n_regions,) bool
        False everywhere between passes.
    lost : (n_requests,) bool
        Requests that were dropped; empty if the policy drops none.
    """

    seen: Int64Array
    targets: Int64Array
    outcome: Int8Array
    marked: BoolArray
    lost: BoolArray


def new_scratch(states: States, n_requests: int, rules: Rules) -> Scratch:
    """Take memory for the passes of a policy: `run_passes` takes none itself."""
    n_regions = len(states.first_row)
    return Scratch(
        seen=states.first_row.copy(),
        targets=np.zeros(n_regions, np.int64),
        outcome=np.zeros(n_regions, np.int8),
        marked=np.zeros(n_regions, np.bool_),
        lost=np.zeros(n_requests if rules.drops else 0, np.bool_),
    )


@compiled_in_place
def run_passes(
    clock: Int64Array,
    states: States,
    changes: Changes,
    clearings: Clearings,
    snp: Snp,
    requests: HookRequests,
    rules: Rules,
    carried: Carried,
    dirty: Dirty,
    ledger: Ledger,
    scratch: Scratch,
) -> None:
    """
    Run every pass of a policy; what it starts with is as `new_clock`, `new_carried` and so on make it.

    Parameters
    ----------
    clearings : Clearings
        Read with scopes ``dirty`` and ``dirty_retry`` only.
    carried : Carried
        Scopes ``window`` and ``dirty_retry`` use it.
    dirty : Dirty
        No region at first; all of them with scope ``window``.
    ledger : Ledger
        Receives all that the metrics are made of.
    """
    scope = rules.scope
    while True:
        start_ns = next_start(clock, requests.t_ns, rules, scratch.lost, ledger)
        if start_ns == FOREVER:
            break
        counted = start_ns >= rules.warmup_ns
        epoch = epoch_at(snp, start_ns)
        if epoch < 0:
            if counted:
                ledger.counts[SKIPPED] += 1
            pass_ended(clock, start_ns)
            continue
        if scope == WINDOW or (scope == DIRTY_RETRY and not clock[IS_BOOT]):
            advance(carried, start_ns, epoch, states, changes, dirty.flags, rules, ledger)
            if scope == DIRTY_RETRY:
                _add_dirty(carried, start_ns, states, clearings, dirty, rules, ledger)
            end_ns = attempt_carried(
                carried, start_ns, epoch, states, changes, snp, dirty, rules, counted, ledger, scratch.targets
            )
        else:
            if scope in (DIRTY, DIRTY_RETRY):
                if scope == DIRTY_RETRY:
                    dirty.counts[LISTED] = 0
                add_clearings(dirty, clearings, start_ns)
            if clock[IS_BOOT]:
                now = states.covered
            elif scope == DIRTY:
                now = dirty.listed[: dirty.counts[LISTED]]
                put_in_order(now, dirty.flags)
            else:
                n = named_targets(
                    start_ns,
                    clock[BATCH_BEGIN],
                    clock[BATCH_END],
                    scope,
                    requests,
                    scratch.lost,
                    states.is_covered,
                    scratch.marked,
                    scratch.targets,
                )
                now = scratch.targets[:n]
            end_ns = visit_all(start_ns, now, scratch.seen, states, snp, rules, counted, ledger, scratch.outcome)
            if scope in (DIRTY, DIRTY_RETRY):
                _clean_targets(now, scratch.outcome, scope, dirty)
            if scope == DIRTY:
                keep_dirty(dirty)
            elif scope == DIRTY_RETRY:
                _retry_anew(carried, states.covered, dirty, rules)
        if end_ns < 0:
            if counted:
                ledger.counts[EMPTY] += 1
            end_ns = start_ns
        elif counted:
            _count_pass(start_ns, end_ns, snp, ledger)
        pass_ended(clock, end_ns)
    finish(carried, rules, states.covered, ledger)
