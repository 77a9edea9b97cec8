"""A pass over carried classes: it looks at the regions whose outcome is not that of their class, and at no others."""

from __future__ import annotations

from gmemgpu.compiled import compiled_in_place
from gmemgpu.engine.class_code import ABSENT, CACHED, CLEAN, FAIL_EARLY
from gmemgpu.engine.compiled.carried import (
    CHANGE,
    N_COUNTED,
    N_JUST_SET,
    N_TARGETS,
    N_WATCHED,
    TOTAL_NS,
    Carried,
    set_code,
)
from gmemgpu.engine.compiled.columns import Changes, Snp, States
from gmemgpu.engine.compiled.ledger import CACHED_FOUND, EARLY, FAILED, Ledger
from gmemgpu.engine.compiled.rules import DIRTY_RETRY, Rules
from gmemgpu.engine.compiled.target import Dirty, put_in_order
from gmemgpu.engine.compiled.visit import FAILS, SETS, attempt
from gmemgpu.model.trace import Int64Array

__all__ = ["attempt_carried"]


@compiled_in_place
def _special(
    carried: Carried, end_ns: int, is_on: bool, covered: Int64Array, changes: Changes, found: Int64Array
) -> int:
    # Targets whose outcome is not that of their class, ascending: those to be watched, and those that change meanwhile.
    n = 0
    if not is_on:
        # SNP goes off before the pass ends: all of them.
        for i in range(covered.size):
            if carried.code[covered[i]] != ABSENT:
                found[n] = covered[i]
                n += 1
        return n
    for i in range(carried.sums[N_WATCHED]):
        region = carried.watched[i]
        carried.marked[region] = True
        found[n] = region
        n += 1
    change = carried.sums[CHANGE]
    while change < changes.t_ns.size and changes.t_ns[change] <= end_ns:
        region = changes.region[change]
        if carried.code[region] != ABSENT and not carried.marked[region]:
            carried.marked[region] = True
            found[n] = region
            n += 1
        change += 1
    put_in_order(found[:n], carried.marked)
    for i in range(n):
        carried.marked[found[i]] = False
    return n


@compiled_in_place
def _uncount(code: int, ledger: Ledger) -> None:
    # What `finish` will count for an attempt of this class.
    if code == CACHED:
        ledger.counts[CACHED_FOUND] -= 1
    elif code < CLEAN:
        ledger.counts[FAILED] -= 1
        if code >= FAIL_EARLY:
            ledger.counts[EARLY] -= 1


@compiled_in_place
def attempt_carried(
    carried: Carried,
    start_ns: int,
    epoch: int,
    states: States,
    changes: Changes,
    snp: Snp,
    dirty: Dirty,
    rules: Rules,
    counted: bool,
    ledger: Ledger,
    found: Int64Array,
) -> int:
    """
    Run a pass over the carried targets; return when it ends, or -1 if there is no target.

    Parameters
    ----------
    carried : Carried
        As `advance` left it.
    dirty : Dirty
        With scope ``dirty_retry``: regions that a pass got right are clean, and no targets any more.
    found : (n_regions,) int64
        Scratch.
    """
    sums = carried.sums
    if sums[N_TARGETS] == 0:
        return -1
    end_ns: int = start_ns + sums[TOTAL_NS]
    sums[N_COUNTED] += counted
    n = _special(carried, end_ns, end_ns < snp.off_ns[epoch], states.covered, changes, found)
    at_ns = start_ns
    next_region = 0
    n_right = 0
    for i in range(n):
        region = found[i]
        passed_ns = 0
        for other in range(next_region, region):
            passed_ns += carried.length_ns[other]
        at_ns += passed_ns
        next_region = region
        code = carried.code[region]
        if counted:
            _uncount(code, ledger)
        done_ns = at_ns + carried.length_ns[region]
        outcome = attempt(region, code, carried.row[region], at_ns, done_ns, states, snp, rules, counted, ledger)
        if outcome == SETS:
            carried.just_set[sums[N_JUST_SET]] = region
            sums[N_JUST_SET] += 1
        if outcome != FAILS:
            # Places that have been read may be written again.
            found[n_right] = region
            n_right += 1
    if rules.scope == DIRTY_RETRY:
        for i in range(n_right):
            dirty.flags[found[i]] = False
            set_code(carried, found[i], ABSENT, rules)
    return end_ns
