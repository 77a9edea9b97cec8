"""When the passes of one pair start if their lengths are given: requests in order, one after another."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.snp import FOREVER

__all__ = ["serial_starts"]


def serial_starts(
    policy: Policy,
    t_ns: Int64Array,
    boots_ns: Sequence[int],
    horizon_ns: int,
    length_ns: Int64Array,
    boot_length_ns: Sequence[int],
) -> tuple[list[int], list[int]]:
    """
    Play the timer of a policy (MODEL.md section 5) against passes of given lengths.

    Parameters
    ----------
    policy : Policy
    t_ns : (n,) int64
        Times of the requests, ascending; of the ticks, if the timer is ``periodic``.
    boots_ns : sequence of int
        When boot passes fall due, ascending.
    horizon_ns : int
        No pass starts from here on.
    length_ns : (n,) int64
        Of a pass, by the request that it begins with.
    boot_length_ns : sequence of int
        Of each boot pass.

    Returns
    -------
    start_ns, first : list of int
        Of each pass: its start, and the request that it begins with; -1 for a boot pass.
    """
    timer = policy.timer
    periodic, debounce = timer.kind == "periodic", timer.kind == "debounce"
    delay_ns = 0 if periodic else timer.delay_ns
    drop = policy.busy == "drop" or periodic
    times = t_ns.tolist()
    lengths = np.ascontiguousarray(length_ns).data
    n, n_boots = len(times), len(boots_ns)
    starts: list[int] = []
    firsts: list[int] = []
    i = boot = first = due = last_due = 0
    started = -1 if periodic else 0
    free_at = 0
    armed = False
    while True:
        boot_start = max(boots_ns[boot], free_at) if boot < n_boots else FOREVER
        timer_start = max(due, free_at) if armed else FOREVER
        if periodic and i < n:
            # A tick before the end of the running pass is skipped.
            i = bisect_left(times, free_at, i)
            timer_start = times[i] if i < n else FOREVER
        start = min(boot_start, timer_start)
        if not periodic and i < n and times[i] < start:
            t = times[i]
            if drop and started < t < free_at:
                i = bisect_left(times, free_at, i)
            elif not armed or debounce:
                if not armed:
                    armed, first = True, i
                    last_due = FOREVER if timer.max_wait_ns is None else t + timer.max_wait_ns
                due = min(t + delay_ns, last_due)
                i += 1
            elif drop and free_at > t:
                i += 1
            else:
                i = bisect_left(times, start, i)
            continue
        if start >= horizon_ns:
            return starts, firsts
        starts.append(start)
        started = start
        if boot_start <= timer_start:
            firsts.append(-1)
            free_at = start + boot_length_ns[boot]
            boot += 1
        else:
            if periodic:
                first = i
                i += 1
            else:
                # Those at exactly the start still belong to the pass.
                i = bisect_right(times, start, i)
            firsts.append(first)
            free_at = start + lengths[first]
            armed = False
