"""When requests become due, as far as that depends on no pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.xp.namespace import Array, Namespace, begins
from gmemgpu.model.policy import Timer
from gmemgpu.timeline.snp import FOREVER

__all__ = ["RequestTimes", "request_times", "joined", "without"]


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


def _next_true(xp: Namespace, flag: Array) -> Array:
    # For each place the first true one from there on; the last is true.
    return xp.flatnonzero(flag)[xp.cumsum(flag) - flag]


def request_times(xp: Namespace, t_ns: Array, timer: Timer, horizon_ns: int) -> RequestTimes:
    """
    Compute when the requests of one hook become due under a timer.

    Parameters
    ----------
    xp : Namespace
    t_ns : (n,) int64
        Times of the requests; of no concern to ``periodic``, which makes its own.
    timer : Timer
    horizon_ns : int
        A pass due then or later never starts, so a later time need not be told from it.
    """
    delay_ns = timer.delay_ns
    if timer.kind == "periodic":
        t_ns = (xp.arange((horizon_ns - 1) // delay_ns) + 1) * delay_ns
        delay_ns = 0
    n = len(t_ns)
    own = xp.arange(n)
    quiet = own
    if timer.kind == "debounce":
        # A request at exactly the start belongs to the pass and does not move it.
        pause = xp.ones(n, bool)
        pause[:-1] = xp.diff(t_ns) >= delay_ns
        quiet = _next_true(xp, pause)
    due_ns = xp.minimum(t_ns, horizon_ns - delay_ns) + delay_ns
    # Without a longest wait these cost no memory.
    latest_ns, past_latest = (xp.broadcast_to(xp.full(1, value, np.int64), (n,)) for value in (FOREVER, n))
    if timer.max_wait_ns is not None:
        latest_ns = xp.minimum(t_ns, horizon_ns - timer.max_wait_ns) + timer.max_wait_ns
        past_latest = xp.searchsorted(t_ns, latest_ns, "right")
    past = xp.searchsorted(t_ns, due_ns, "right")
    at = xp.asarray(np.array([0, n]))
    alone_ns, following = due_ns, past
    if timer.kind == "debounce":
        alone_ns, following = xp.minimum(due_ns[quiet], latest_ns), xp.minimum(past[quiet], past_latest)
    met = xp.chain(following, at)
    return RequestTimes(at, t_ns, quiet, due_ns, past, latest_ns, past_latest, alone_ns, following, met)


def joined(xp: Namespace, parts: list[RequestTimes]) -> RequestTimes:
    """Append the requests of several pairs to one another."""
    if len(parts) == 1:
        return parts[0]
    at = begins([len(part.t_ns) for part in parts])

    def each(name: str, *, index: bool) -> Array:
        columns = [getattr(part, name) for part in parts]
        if index:
            columns = [column + base for column, base in zip(columns, at.tolist(), strict=False)]
        return xp.concatenate(columns)

    return RequestTimes(
        xp.asarray(at),
        each("t_ns", index=False),
        each("quiet", index=True),
        each("due_ns", index=False),
        each("past", index=True),
        each("latest_ns", index=False),
        each("past_latest", index=True),
        each("alone_ns", index=False),
        each("following", index=True),
        each("met", index=True),
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
    delay_ns = xp.repeat(debounce_ns, xp.diff(at))
    pause[:-1] = xp.diff(t_ns) >= delay_ns[:-1]
    pause[at[1:][xp.diff(at) > 0] - 1] = True
    quiet = _next_true(xp, pause | (delay_ns < 0))
    due_ns, past = requests.due_ns[kept], index[requests.past[kept]]
    latest_ns, past_latest = requests.latest_ns[kept], index[requests.past_latest[kept]]
    alone_ns, following = xp.minimum(due_ns[quiet], latest_ns), xp.minimum(past[quiet], past_latest)
    none = xp.zeros(0, np.int64)
    left = RequestTimes(at, t_ns, quiet, due_ns, past, latest_ns, past_latest, alone_ns, following, none)
    return left, kept
