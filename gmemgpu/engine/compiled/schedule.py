"""When passes start: requests, the timer, boots, and the pass that still runs (MODEL.md section 5)."""

from __future__ import annotations

import numpy as np

from gmemgpu.compiled import compiled_in_place
from gmemgpu.engine.compiled.ledger import LOST, Ledger
from gmemgpu.engine.compiled.rules import DEBOUNCE, PERIODIC, Rules
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.timeline.snp import FOREVER

__all__ = ["IS_BOOT", "BATCH_BEGIN", "BATCH_END", "new_clock", "next_start", "pass_ended"]

# Places in a clock, an array of int64 that says where the schedule stands.
IS_BOOT = 0  # whether the pass that starts is a boot pass
BATCH_BEGIN = 1  # its requests, half open
BATCH_END = 2
REQUEST = 3  # the first one not yet handled
BOOT = 4  # the next boot pass
ARMED = 5  # whether the timer is pending
DUE_NS = 6  # for when; of a periodic one the next tick
FIRST = 7  # the request that armed it
LAST_DUE_NS = 8  # until when a debounced one can be put off
STARTED_NS = 9  # the last pass
FREE_NS = 10  # its end


def new_clock(rules: Rules) -> Int64Array:
    """Return a clock, (11,) int64, at the start of a trace."""
    clock = np.zeros(FREE_NS + 1, np.int64)
    if rules.timer == PERIODIC:
        clock[DUE_NS] = rules.delay_ns
    return clock


@compiled_in_place
def _after(t_ns: int, delay_ns: int) -> int:
    # A sum past 63 bits is past any horizon.
    return t_ns + delay_ns if delay_ns < FOREVER - t_ns else FOREVER


@compiled_in_place
def _timer_start(clock: Int64Array, rules: Rules) -> int:
    due_ns: int = clock[DUE_NS]
    free_ns: int = clock[FREE_NS]
    if clock[ARMED]:
        return max(due_ns, free_ns)
    if rules.timer == PERIODIC:
        if due_ns < free_ns:
            # Ticks before the end of the last pass are skipped.
            due_ns = clock[DUE_NS] = _after(free_ns, -free_ns % rules.delay_ns)
        return due_ns
    return FOREVER


@compiled_in_place
def _handle_requests(
    clock: Int64Array, request_ns: Int64Array, start_ns: int, rules: Rules, lost: BoolArray, ledger: Ledger
) -> None:
    # The next request, which is earlier than the pass that would start next, and those after it that change as little.
    n = request_ns.size
    i = clock[REQUEST]
    t_ns = request_ns[i]
    if rules.drops and clock[STARTED_NS] < t_ns < clock[FREE_NS]:
        while i < n and request_ns[i] < clock[FREE_NS]:
            lost[i] = True
            if request_ns[i] >= rules.warmup_ns:
                ledger.counts[LOST] += 1
            i += 1
    elif not clock[ARMED]:
        clock[ARMED] = 1
        clock[FIRST] = i
        clock[DUE_NS] = _after(t_ns, rules.delay_ns)
        if rules.max_wait_ns >= 0:
            clock[LAST_DUE_NS] = _after(t_ns, rules.max_wait_ns)
            clock[DUE_NS] = min(clock[DUE_NS], clock[LAST_DUE_NS])
        i += 1
    elif rules.timer == DEBOUNCE:
        clock[DUE_NS] = _after(t_ns, rules.delay_ns)
        if rules.max_wait_ns >= 0:
            clock[DUE_NS] = min(clock[DUE_NS], clock[LAST_DUE_NS])
        i += 1
    elif rules.drops and clock[FREE_NS] > t_ns:
        # At the very start of a boot pass: not lost, but the next one may be.
        i += 1
    else:
        while i < n and request_ns[i] < start_ns:
            i += 1
    clock[REQUEST] = i


@compiled_in_place
def next_start(clock: Int64Array, request_ns: Int64Array, rules: Rules, lost: BoolArray, ledger: Ledger) -> int:
    """
    Find when the next pass starts, and which requests it has.

    Parameters
    ----------
    clock : (11,) int64
        Receives whether it is a boot pass, and its requests.
    lost : (n,) bool
        Receives which requests came while a pass ran and were dropped; any size if the policy drops none.

    Returns
    -------
    int
        Its start; `FOREVER` if no pass starts any more.
    """
    while True:
        boot_ns = FOREVER
        if clock[BOOT] < rules.boot_ns.size:
            boot_ns = max(rules.boot_ns[clock[BOOT]], clock[FREE_NS])
        timer_ns = _timer_start(clock, rules)
        start_ns = min(boot_ns, timer_ns)
        if clock[REQUEST] >= request_ns.size or request_ns[clock[REQUEST]] >= start_ns:
            break
        _handle_requests(clock, request_ns, start_ns, rules, lost, ledger)
    if start_ns >= rules.horizon_ns:
        return FOREVER
    clock[STARTED_NS] = start_ns
    if boot_ns <= timer_ns:
        clock[IS_BOOT] = 1
        clock[BOOT] += 1
        return start_ns
    clock[IS_BOOT] = 0
    clock[BATCH_BEGIN] = clock[FIRST] if clock[ARMED] else clock[REQUEST]
    # A request at exactly the start belongs to the pass.
    while clock[REQUEST] < request_ns.size and request_ns[clock[REQUEST]] == start_ns:
        clock[REQUEST] += 1
    clock[BATCH_END] = clock[REQUEST]
    clock[ARMED] = 0
    if rules.timer == PERIODIC:
        clock[DUE_NS] = _after(start_ns, rules.delay_ns)
    return start_ns


@compiled_in_place
def pass_ended(clock: Int64Array, end_ns: int) -> None:
    """Set the end of the pass that started last; its start, if it did not run."""
    clock[FREE_NS] = end_ns
