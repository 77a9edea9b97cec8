"""When the pass of each request would start if a batch began with it, given the passes of the last round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.passes import Passes
from gmemgpu.engine.array.request_times import RequestTimes, among
from gmemgpu.engine.array.xp.namespace import Array, Namespace
from gmemgpu.timeline.snp import FOREVER

__all__ = ["Lasted", "Timers", "due_times", "length_by_request"]


@dataclass(frozen=True, slots=True, eq=False)
class Timers:
    """
    What of the timers of a batch decides when passes start.

    Parameters
    ----------
    drop : (n_pairs,) bool
        Whether requests that come while a pass runs are lost.
    any_drop, all_drop : bool
    debounce_ns : (n_pairs,) int64
        The delay of ``debounce``; -1 for other timers.
    boot_at : (n_pairs + 1,) int64
        Where the boot passes of each pair begin.
    boot_ns : (n,) int64
        When each falls due.
    most_boots : int
        No pair has more.
    """

    drop: Array
    any_drop: bool
    all_drop: bool
    debounce_ns: Array
    boot_at: Array
    boot_ns: Array
    most_boots: int


@dataclass(frozen=True, slots=True, eq=False)
class Lasted:
    """
    How long passes of the last round took, by the request that each began with.

    Parameters
    ----------
    first, length_ns : (n,) int64
        Of each pass but boot passes; requests ascend.
    at : (n_pairs + 1,) int64
        Where the requests of each pair begin.
    """

    first: Array
    length_ns: Array
    at: Array


def due_times(
    xp: Namespace,
    timers: Timers,
    requests: RequestTimes,
    origin: Array | None,
    passes: Passes,
    boot_end: Array,
    lasted: Lasted,
) -> tuple[Array, Array, Array]:
    """
    Compute what follows each request.

    Parameters
    ----------
    xp : Namespace
    timers : Timers
    requests : RequestTimes
        Those that may begin a batch.
    origin : (n,) int64 or None
        Where they stand among all requests; None if they are all.
    passes : Passes
        Of the last round.
    boot_end : (n_boots,) int64
        When each boot pass ends.
    lasted : Lasted
        Of those passes, by all requests.

    Returns
    -------
    start_ns, due_ns, following : (n,) int64
        Start and due time of the pass of each request, and the first request after that.
    """
    if xp.fuses:
        return _fused(xp, timers, requests, origin, passes, boot_end, lasted)
    due, following = requests.alone_ns.copy(), requests.following.copy()
    start = due.copy()
    if len(passes.start_ns) and not timers.all_drop:
        # Those that come while a pass runs wait for its end, and a debounced batch is then still open.
        begin = _after_starts(xp, requests, passes, kept=origin is None)
        own = ~timers.drop[passes.pair] & (begin < requests.at[1:][passes.pair])
        k = xp.flatnonzero(own)
        k = k[requests.t_ns[begin[k]] < passes.end_ns[k]]
        at, end_ns = xp.searchsorted(k, passes.at), passes.end_ns[k]
        before = among(xp, requests, end_ns, at, "left")
        after = among(xp, requests, end_ns, at, "right")
        # Where several passes run, the last assignment stays: that of the last of them.
        owner, index = xp.expand(begin[k], before - begin[k])
        wait = passes.pair[k[owner]], end_ns[owner], before[owner], after[owner]
        _hold(xp, timers, requests, index, *wait, (start, due, following))
    n_boots = xp.diff(timers.boot_at)
    if len(start) and len(boot_end):
        before = among(xp, requests, boot_end, timers.boot_at, "left")
        after = among(xp, requests, boot_end, timers.boot_at, "right")
        for n in range(timers.most_boots):
            # By rising due times, so that a pass held up into the next boot pass waits for that one, too.
            has = n_boots > n
            boot = xp.where(has, timers.boot_at[:-1] + n, 0)
            held = (start < xp.spread(xp.where(has, boot_end[boot], 0), requests.at, len(start))) & (
                start >= xp.spread(timers.boot_ns[boot], requests.at, len(start))
            )
            index = xp.flatnonzero(held)
            pair = xp.searchsorted(requests.at, index, "right") - 1
            b = boot[pair]
            _hold(xp, timers, requests, index, pair, boot_end[b], before[b], after[b], (start, due, following))
    if timers.any_drop:
        following = _skip_lost(xp, timers, requests, origin, lasted, start, following)
    return start, due, following


def _fused(
    xp: Namespace,
    timers: Timers,
    requests: RequestTimes,
    origin: Array | None,
    passes: Passes,
    boot_end: Array,
    lasted: Lasted,
) -> tuple[Array, Array, Array]:
    n = len(requests.t_ns)
    start, due, following = (xp.empty(n, np.int64) for _ in range(3))
    columns = (getattr(requests, name) for name in RequestTimes.__slots__ if name != "met")
    latest_end_ns = passes.end_ns if timers.all_drop else xp.max_scan_within(passes.end_ns, passes.at)
    n_lasted = len(lasted.first) if timers.any_drop else 0
    xp.fused(
        "request_due",
        n,
        *(*columns, timers.drop, timers.debounce_ns),
        *(passes.at, passes.start_ns, passes.end_ns, latest_end_ns, timers.boot_at, timers.boot_ns, boot_end),
        *(lasted.first, lasted.length_ns, following if origin is None else origin, lasted.at),
        *(len(requests.at) - 1, n_lasted, 0 if origin is None else n, start, due, following),
    )
    return start, due, following


def _after_starts(xp: Namespace, requests: RequestTimes, passes: Passes, *, kept: bool) -> Array:
    # The first request later than each pass's start: mostly the one that the next pass begins with.
    if not kept:
        return among(xp, requests, passes.start_ns, passes.at, "right")
    stop = requests.at[1:][passes.pair]
    found = stop.copy()
    found[:-1] = xp.where(passes.boot[1:] | (passes.pair[1:] != passes.pair[:-1]), stop[:-1], passes.first[1:])
    t_ns = xp.with_last(requests.t_ns, FOREVER)
    wrong = (found < stop) & (t_ns[found] <= passes.start_ns)
    wrong |= t_ns[found - 1] > passes.start_ns
    wrong |= (found == stop) | (found == requests.at[:-1][passes.pair])
    k = xp.flatnonzero(wrong)
    found[k] = among(xp, requests, passes.start_ns[k], xp.searchsorted(k, passes.at), "right")
    return found


def _hold(
    xp: Namespace,
    timers: Timers,
    requests: RequestTimes,
    index: Array,
    pair: Array,
    free_ns: Array,
    before: Array,
    after: Array,
    out: tuple[Array, Array, Array],
) -> None:
    # The passes of these requests start at `free_ns` at the earliest; requests before it are the first `before`.
    if not len(index):
        return
    start, due, following = out
    joins = xp.where(timers.debounce_ns[pair] >= 0, xp.maximum(index, before - 1), index)
    quiet = requests.quiet[joins]
    own_due, own_following = requests.due_ns[quiet], requests.past[quiet]
    sooner = requests.latest_ns[index] < own_due
    own_due = xp.where(sooner, requests.latest_ns[index], own_due)
    own_following = xp.where(sooner, requests.past_latest[index], own_following)
    due[index] = own_due
    start[index] = xp.maximum(own_due, free_ns)
    following[index] = xp.maximum(own_following, after)


def _skip_lost(
    xp: Namespace,
    timers: Timers,
    requests: RequestTimes,
    origin: Array | None,
    lasted: Lasted,
    start: Array,
    following: Array,
) -> Array:
    # The first request after a batch is the first that its own pass does not lose.
    if not len(lasted.first):
        return following
    length = length_by_request(xp, lasted)
    if origin is not None:
        length = length[origin]
    n = len(start)
    k = xp.flatnonzero(
        xp.spread(timers.drop, requests.at, n) & (following < xp.spread(requests.at[1:], requests.at, n))
    )
    k = k[start[k] + length[k] > requests.t_ns[following[k]]]
    if not len(k):
        return following
    at = xp.searchsorted(k, requests.at)
    following = following.copy()
    following[k] = xp.maximum(following[k], among(xp, requests, (start + length)[k], at, "left"))
    return following


def length_by_request(xp: Namespace, lasted: Lasted) -> Array:
    """Return how long a pass takes that begins with each request: as in the last round, or like the one before then."""
    n = int(lasted.at[-1])
    count = xp.cumsum(xp.count_at(n + 1, lasted.first))[:n]
    length = xp.with_last(lasted.length_ns, 0)
    own = count > xp.spread(xp.searchsorted(lasted.first, lasted.at[:-1]), lasted.at, n)
    return xp.where(own, length[count - 1], 0)
