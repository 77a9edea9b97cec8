"""When passes start: timers, boot passes, requests that join, move the timer or are lost."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gmemgpu.engine.numpy.calm import calm_starts
from gmemgpu.engine.numpy.foreseen import Foreseen
from gmemgpu.model.policy import Policy
from gmemgpu.timeline.snp import FOREVER

__all__ = ["PassStart", "Quiet", "Schedule", "schedule"]


PassStart: TypeAlias = tuple[int, bool, int, int]
"""Start in ns; whether a boot pass; its requests ``first:stop``, lost ones among them. Plain: there is one a pass."""


@dataclass(slots=True)
class Quiet:
    """
    A time in which all passes are alike, so that the schedule may run them by itself.

    Parameters
    ----------
    length_ns : int
        Of each of these passes.
    until_ns : int
        They start before this; 0 if nothing is known. The schedule takes it back once it has used it.
    n_counted : int
        Receives how many such passes ran that started at or after the warm-up.
    """

    length_ns: int = 0
    until_ns: int = 0
    n_counted: int = 0


Schedule: TypeAlias = Generator[PassStart, int, None]
"""Yields the next pass; send it the time at which that pass ends."""


def schedule(
    policy: Policy,
    t_ns: list[int],
    boots_ns: list[int],
    horizon_ns: int,
    lost: list[int],
    quiet: Quiet,
    warmup_ns: int,
    *,
    carried: bool,
    foreseen: Foreseen | None,
) -> Schedule:
    """
    Return the passes of a policy in order (MODEL.md section 5, Timer).

    Parameters
    ----------
    policy : Policy
    t_ns : list of int
        Times of the requests, ascending.
    boots_ns : list of int
        When boot passes fall due, ascending.
    horizon_ns : int
        No pass starts from here on.
    lost : list of int
        Receives the indices of the requests that ``drop`` loses.
    quiet : Quiet
        May be filled before the end of a pass is sent.
    warmup_ns : int
        For `quiet`.
    carried : bool
        Whether `quiet` will be used.
    foreseen : Foreseen, optional
        Passes that need not be looked at one by one.
    """
    delay_ns = policy.timer.delay_ns
    debounce = policy.timer.kind == "debounce"
    period_ns = delay_ns if policy.timer.kind == "periodic" else 0
    latest_ns = policy.timer.max_wait_ns
    drop = policy.busy == "drop"
    n, n_boots = len(t_ns), len(boots_ns)
    i = boot = first = 0
    tick = 1
    started = free_at = 0  # the running, or else last, pass
    armed = False
    due = last_due = 0
    calm = calm_starts(policy, t_ns) if carried else None
    while True:
        if quiet.until_ns and not armed:
            limit = min(quiet.until_ns, horizon_ns)
            if boot < n_boots:
                limit = min(limit, boots_ns[boot] - quiet.length_ns)
            ran: Sequence[int] = ()
            if period_ns:
                # Ticks before the end of a running pass are no passes.
                stride = max(1, -(-quiet.length_ns // period_ns))
                tick = max(tick, -(-free_at // period_ns))
                ran = range(tick * period_ns, limit, stride * period_ns)
                tick += len(ran) * stride
            elif calm and i < n and t_ns[i] >= free_at and delay_ns >= quiet.length_ns:
                low = bisect_right(calm.first_request, i) - 1
                if calm.first_request[low] == i or not calm.exact:
                    ran = calm.start_ns[low : bisect_left(calm.start_ns, limit, low)]
                    follower = low + len(ran)
                    if ran:
                        i = calm.first_request[follower] if follower < len(calm.first_request) else n
            if ran:
                quiet.n_counted += len(ran) - bisect_left(ran, warmup_ns)
                started, free_at = ran[-1], ran[-1] + quiet.length_ns
            quiet.until_ns = 0
        if foreseen and not armed and boot == n_boots and i < n:
            taken = foreseen.take(i, started, free_at)
            if taken:
                i, started, free_at = taken
        boot_start = max(boots_ns[boot], free_at) if boot < n_boots else FOREVER
        if armed:
            timer_start = due if due > free_at else free_at
        elif period_ns:
            tick = max(tick, -(-free_at // period_ns))
            timer_start = tick * period_ns
        else:
            timer_start = FOREVER
        start = boot_start if boot_start <= timer_start else timer_start
        # Requests strictly before the next pass come first: they may arm or move the timer, or be lost.
        if i < n and t_ns[i] < start:
            t = t_ns[i]
            if drop and started < t < free_at:
                stop = bisect_left(t_ns, free_at, i)
                lost.extend(range(i, stop))
                i = stop
            elif not armed:
                armed, first = True, i
                due = t + delay_ns
                if latest_ns is not None:
                    last_due = t + latest_ns
                    due = min(due, last_due)
                i += 1
            elif debounce:
                due = t + delay_ns
                if latest_ns is not None and due > last_due:
                    due = last_due
                i += 1
            elif drop and free_at > t:
                i += 1
            else:
                i = bisect_left(t_ns, start, i)
            continue
        if start >= horizon_ns:
            return
        if boot_start <= timer_start:
            boot += 1
            end = yield start, True, i, i
        else:
            # Those at exactly the start still belong to the pass, and no longer move its timer.
            stop = bisect_right(t_ns, start, i) if i < n and t_ns[i] == start else i
            i = stop
            end = yield start, False, first if armed else i, i
            armed = False
            if period_ns:
                tick += 1
        started, free_at = start, end
