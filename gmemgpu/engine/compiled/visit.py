"""One attempt by the state at its visit, and passes that visit their targets one by one."""

from __future__ import annotations

from gmemgpu.compiled import compiled_in_place
from gmemgpu.engine.class_code import ABSENT, CACHED, CLEAN, FAIL_EARLY
from gmemgpu.engine.compiled.columns import Snp, States
from gmemgpu.engine.compiled.ledger import CACHED_FOUND, EARLY, FAILED, N_BITS, NEW, WASTED, Ledger
from gmemgpu.engine.compiled.rules import Rules
from gmemgpu.model.trace import Int8Array, Int64Array

__all__ = ["FAILS", "STANDS", "SETS", "WASTES", "DROPPED", "epoch_at", "attempt", "visit_all"]

# What becomes of an attempt; the last is none, since the gate dropped the region.
FAILS = 0
STANDS = 1
SETS = 2
WASTES = 3
DROPPED = 4


@compiled_in_place
def epoch_at(snp: Snp, t_ns: int) -> int:
    """Find the time with SNP on that holds an instant; -1 if SNP is off then."""
    # There are a handful.
    for epoch in range(snp.on_ns.size):
        if snp.on_ns[epoch] <= t_ns < snp.off_ns[epoch]:
            return epoch
    return -1


@compiled_in_place
def attempt(
    region: int,
    code: int,
    row: int,
    at_ns: int,
    done_ns: int,
    states: States,
    snp: Snp,
    rules: Rules,
    counted: bool,
    ledger: Ledger,
) -> int:
    """
    Evaluate one attempt (MODEL.md section 6) by the state at its visit.

    Parameters
    ----------
    code, row : int
        Class of the region at the start of the pass, and row of its state then.
    at_ns, done_ns : int
        Visit and completion.
    counted : bool
        Whether the pass began after the warm-up.
    ledger : Ledger
        Receives the bit and the outcome, not the class.

    Returns
    -------
    int
        `FAILS`, `STANDS`, `SETS` or `WASTES`.
    """
    while states.t_ns[row + 1] <= at_ns:
        row += 1
    now = states.code[row]
    epoch = epoch_at(snp, at_ns)
    if now < CLEAN or epoch < 0 or (rules.fails_by_class and code < CLEAN):
        if counted:
            ledger.counts[FAILED] += 1
            if FAIL_EARLY <= now < CLEAN:
                ledger.counts[EARLY] += 1
        return FAILS
    if ledger.bit_end_ns[region] > at_ns:
        if counted:
            ledger.counts[CACHED_FOUND] += 1
        return STANDS
    end_ns = min(states.t_ns[row + 1], snp.off_ns[epoch])
    if done_ns < end_ns and done_ns < rules.horizon_ns:
        ledger.bit_end_ns[region] = end_ns
        bit = ledger.counts[N_BITS]
        ledger.bits[0, bit] = region
        ledger.bits[1, bit] = max(states.t_ns[row], snp.on_ns[epoch])
        ledger.bits[2, bit] = end_ns
        ledger.bits[3, bit] = done_ns
        ledger.counts[N_BITS] = bit + 1
        if counted:
            ledger.counts[NEW] += 1
        return SETS
    if counted:
        ledger.counts[WASTED] += 1
    return WASTES


@compiled_in_place
def visit_all(
    start_ns: int,
    targets: Int64Array,
    seen: Int64Array,
    states: States,
    snp: Snp,
    rules: Rules,
    counted: bool,
    ledger: Ledger,
    outcome: Int8Array,
) -> int:
    """
    Run a pass over some regions, one after another; return when it ends, or -1 if the gate left none.

    Parameters
    ----------
    targets : (n,) int64
        Covered regions, ascending.
    seen : (n_regions,) int64
        Row of each region's state that the last look found. Passes come in time order, so that a search from there is
        linear over a whole run.
    outcome : (n_regions,) int8
        Receives what became of each target, `DROPPED` if the gate left it out.
    """
    at_ns = start_ns
    is_empty = True
    for i in range(targets.size):
        region = targets[i]
        row = seen[region]
        while states.t_ns[row + 1] <= start_ns:
            row += 1
        seen[region] = row
        code = states.gated[row]
        if code == ABSENT:
            outcome[i] = DROPPED
            continue
        if code == CLEAN and ledger.bit_end_ns[region] > start_ns:
            code = CACHED
        is_empty = False
        priced = rules.group[region] + code
        done_ns = at_ns + rules.length_ns[priced]
        if counted:
            ledger.codes[priced] += 1
        outcome[i] = attempt(region, code, row, at_ns, done_ns, states, snp, rules, counted, ledger)
        at_ns = done_ns
    return -1 if is_empty else at_ns
