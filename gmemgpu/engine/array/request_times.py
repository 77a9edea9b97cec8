"""When requests become due, as far as that depends on no pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.hooks import TracedRequests
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.array.xp.namespace import Array, Namespace, Side, begins
from gmemgpu.model.policy import Timer
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.snp import FOREVER

__all__ = ["RequestTimes", "TimedHook", "among", "request_times", "some_requests", "without"]


@dataclass(frozen=True, slots=True, eq=False)
class RequestTimes:
    """
    The requests of one pair or of several, one after another; ticks count as requests.

    Parameters
    ----------
    at : (n_pairs + 1,) int64
        Where the requests of each pair begin.
    t_ns : (n,) int64
        Ascending within a pair.
    quiet : (n,) int64
        The request that a batch waits for: the first from here on that none follows within the delay of ``debounce``;
        with other timers, itself.
    due_ns : (n,) int64
        When a batch that waits for this request is due; the horizon at the latest.
    past : (n,) int64
        The first request later than that.
    latest_ns, past_latest : (n,) int64
        When a batch that begins with this request is due at the latest, and the first request later than that.
    alone_ns, following : (n,) int64
        When a batch that begins with this request is due if no pass holds it up, and the first request after that.
    met : (m,) int64
        The requests that batches begin with if no pass holds up any; empty if that is not known.
    """

    at: Array
    t_ns: Array
    quiet: Array
    due_ns: Array
    past: Array
    latest_ns: Array
    past_latest: Array
    alone_ns: Array
    following: Array
    met: Array


@dataclass(frozen=True, slots=True, eq=False)
class TimedHook:
    """
    The requests of one hook under a timer.

    Parameters
    ----------
    requests : TracedRequests or None
        None for ``periodic``, which makes its own: ticks.
    timer : Timer
    """

    requests: TracedRequests | None
    timer: Timer


def among(xp: Namespace, requests: RequestTimes, t_ns: Array, at: Array, side: Side) -> Array:
    """Find where times belong among the requests of their pairs; those of pair q are ``at[q]:at[q + 1]``."""
    begin = requests.at[:-1]
    return xp.search(requests.t_ns, begin, requests.at[1:], t_ns, at, side, begin)


def _next_true(xp: Namespace, flag: Array) -> Array:
    # For each place the first true one from there on; the last is true.
    return xp.flatnonzero(flag)[xp.cumsum(flag) - flag]


def _times(tables: Tables, begin: int, end: int, hooks: Sequence[TimedHook]) -> tuple[Int64Array, Array]:
    # Where the requests of each hook and trace begin, on the host, and their times.
    xp, counts, parts = tables.xp, [], []
    for hook in hooks:
        if hook.requests is None:
            ticks = (tables.horizon_ns[begin:end] - 1) // hook.timer.delay_ns
            parts.append(xp.expand(xp.ones(end - begin, np.int64), xp.asarray(ticks))[1] * hook.timer.delay_ns)
            counts.append(ticks)
        else:
            at = hook.requests.at[begin : end + 1]
            parts.append(hook.requests.of.t_ns[int(at[0]) : int(at[-1])])
            counts.append(np.diff(at))
    return begins(np.concatenate(counts)), parts[0] if len(parts) == 1 else xp.concatenate(parts)


def request_times(tables: Tables, begin: int, end: int, hooks: Sequence[TimedHook]) -> RequestTimes:
    """
    Compute when requests become due, those of all hooks at once.

    Parameters
    ----------
    tables : Tables
    begin, end : int
        Which of their traces.
    hooks : sequence of TimedHook
        At least one.

    Returns
    -------
    RequestTimes
        Those of each hook in turn, trace by trace.
    """
    xp, n_traces = tables.xp, end - begin
    host_at, t_ns = _times(tables, begin, end, hooks)
    n = len(t_ns)
    at = xp.asarray(host_at)
    single = len(host_at) == 2

    def each(values: Sequence[int]) -> Array:
        return xp.spread(xp.asarray(np.repeat(np.array(values), n_traces)), at, n)

    def among(times_ns: Array) -> Array:
        # The first request after each.
        return xp.search(t_ns, at[:-1], at[1:], times_ns, at, "right", at[:-1])

    debounces = [hook.timer.kind == "debounce" for hook in hooks]
    delays_ns = [0 if hook.timer.kind == "periodic" else hook.timer.delay_ns for hook in hooks]
    delay_ns = each(delays_ns)
    horizon_ns = xp.spread(xp.asarray(np.tile(tables.horizon_ns[begin:end], len(hooks))), at, n)
    quiet = xp.arange(n)
    if any(debounces):
        # A request at exactly the start belongs to the pass and does not move it.
        pause = xp.ones(n, bool)
        pause[:-1] = xp.diff(t_ns) >= (delay_ns if single else delay_ns[:-1])
        last = host_at[1:][np.diff(host_at) > 0] - 1
        pause[xp.asarray(last)] = True
        quiet = _next_true(xp, pause | ~each(debounces))
    due_ns = xp.minimum(t_ns, horizon_ns - delay_ns) + delay_ns
    # Without a longest wait these cost no memory.
    latest_ns = xp.broadcast_to(xp.full(1, FOREVER, np.int64), (n,))
    past_latest = xp.broadcast_to(xp.spread(at[1:], at, n), (n,))
    waits_ns = [hook.timer.max_wait_ns for hook in hooks]
    if any(wait_ns is not None for wait_ns in waits_ns):
        wait_ns = each([0 if wait_ns is None else wait_ns for wait_ns in waits_ns])
        waits = each([wait_ns is not None for wait_ns in waits_ns])
        latest_ns = xp.where(waits, xp.minimum(t_ns, horizon_ns - wait_ns) + wait_ns, FOREVER)
        past_latest = among(latest_ns)
    past = among(due_ns)
    alone_ns, following = due_ns, past
    if any(debounces):
        alone_ns, following = xp.minimum(due_ns[quiet], latest_ns), xp.minimum(past[quiet], past_latest)
    # A hint, of no use where chains are not walked.
    met = xp.zeros(0, np.int64) if xp.fuses else xp.chain(following, at)
    return RequestTimes(at, t_ns, quiet, due_ns, past, latest_ns, past_latest, alone_ns, following, met)


def some_requests(xp: Namespace, requests: RequestTimes, chosen: Int64Array) -> RequestTimes:
    """
    Select the requests of some pairs, in any order and as often as they are named.

    Parameters
    ----------
    xp : Namespace
    requests : RequestTimes
    chosen : (m,) int64
        Pairs, on the host.
    """
    if np.array_equal(chosen, np.arange(len(requests.at) - 1)):
        return requests
    pairs = xp.asarray(chosen)
    count = xp.diff(requests.at)[pairs]
    at = xp.sums(count)
    if xp.fuses:
        n = int(at[-1])
        columns = [getattr(requests, name) for name in RequestTimes.__slots__[1:-1]]
        found = [xp.empty(n, np.int64) for _ in columns]
        xp.fused("some_requests", n, requests.at[:-1][pairs], at, *columns, *found, len(chosen))
        return RequestTimes(*[at, *found, requests.met])
    owner, index = xp.expand(requests.at[:-1][pairs], count)
    moved = at[:-1] - requests.at[:-1][pairs]
    shift = moved[owner]

    def some(name: str, *, index_column: bool = False) -> Array:
        column = getattr(requests, name)[index]
        return column + shift if index_column else column

    met_at = xp.searchsorted(requests.met, requests.at)
    met_owner, met = xp.expand(met_at[:-1][pairs], xp.diff(met_at)[pairs])
    return RequestTimes(
        at,
        some("t_ns"),
        some("quiet", index_column=True),
        some("due_ns"),
        some("past", index_column=True),
        some("latest_ns"),
        some("past_latest", index_column=True),
        some("alone_ns"),
        some("following", index_column=True),
        requests.met[met] + moved[met_owner],
    )


def without(xp: Namespace, requests: RequestTimes, lost: Array, debounce_ns: Array) -> tuple[RequestTimes, Array]:
    """
    Remove requests that boot passes make a timer lose.

    Parameters
    ----------
    xp : Namespace
    requests : RequestTimes
    lost : (n,) bool
        Which to remove.
    debounce_ns : (n_pairs,) int64
        The delay of ``debounce``; -1 for other timers.

    Returns
    -------
    requests : RequestTimes
        The others.
    origin : (m,) int64
        Their indices before.
    """
    kept = xp.flatnonzero(~lost)
    index = xp.sums(~lost)  # of the first request kept at or after each old one
    at = index[requests.at]
    t_ns = requests.t_ns[kept]
    pause = xp.ones(len(kept), bool)
    delay_ns = xp.spread(debounce_ns, at, len(kept))
    pause[:-1] = xp.diff(t_ns) >= (delay_ns if len(at) == 2 else delay_ns[:-1])
    pause[at[1:][xp.diff(at) > 0] - 1] = True
    quiet = _next_true(xp, pause | (delay_ns < 0))
    due_ns, past = requests.due_ns[kept], index[requests.past[kept]]
    latest_ns, past_latest = requests.latest_ns[kept], index[requests.past_latest[kept]]
    alone_ns, following = xp.minimum(due_ns[quiet], latest_ns), xp.minimum(past[quiet], past_latest)
    none = xp.zeros(0, np.int64)
    left = RequestTimes(at, t_ns, quiet, due_ns, past, latest_ns, past_latest, alone_ns, following, none)
    return left, kept
