"""When requests become due, as far as that depends on no pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.xp import chain
from gmemgpu.model.policy import Timer
from gmemgpu.model.trace import BoolArray, Int64Array
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

    at: Int64Array
    t_ns: Int64Array
    quiet: Int64Array
    due_ns: Int64Array
    past: Int64Array
    latest_ns: Int64Array
    past_latest: Int64Array
    alone_ns: Int64Array
    following: Int64Array
    met: Int64Array


def _next_true(flag: BoolArray) -> Int64Array:
    # For each place the first true one from there on; the last is true.
    return np.flatnonzero(flag)[np.cumsum(flag) - flag]


def request_times(t_ns: Int64Array, timer: Timer, horizon_ns: int) -> RequestTimes:
    """
    Compute when the requests of one hook become due under a timer.

    Parameters
    ----------
    t_ns : (n,) int64
        Times of the requests; of no concern to ``periodic``, which makes its own.
    timer : Timer
    horizon_ns : int
        A pass due then or later never starts, so a later time need not be told from it.
    """
    delay_ns = timer.delay_ns
    if timer.kind == "periodic":
        t_ns = np.arange(delay_ns, horizon_ns, delay_ns, dtype=np.int64)
        delay_ns = 0
    n = len(t_ns)
    own = np.arange(n)
    quiet = own
    if timer.kind == "debounce":
        # A request at exactly the start belongs to the pass and does not move it.
        pause = np.ones(n, bool)
        pause[:-1] = np.diff(t_ns) >= delay_ns
        quiet = _next_true(pause)
    due_ns = np.minimum(t_ns, horizon_ns - delay_ns) + delay_ns
    # Without a longest wait these cost no memory.
    latest_ns, past_latest = np.broadcast_to(np.int64(FOREVER), n), np.broadcast_to(np.int64(n), n)
    if timer.max_wait_ns is not None:
        latest_ns = np.minimum(t_ns, horizon_ns - timer.max_wait_ns) + timer.max_wait_ns
        past_latest = np.searchsorted(t_ns, latest_ns, "right")
    past = np.searchsorted(t_ns, due_ns, "right")
    at = np.array([0, n])
    alone_ns, following = due_ns, past
    if timer.kind == "debounce":
        alone_ns, following = np.minimum(due_ns[quiet], latest_ns), np.minimum(past[quiet], past_latest)
    met = chain(following, at)
    return RequestTimes(at, t_ns, quiet, due_ns, past, latest_ns, past_latest, alone_ns, following, met)


def joined(parts: list[RequestTimes]) -> RequestTimes:
    """Append the requests of several pairs to one another."""
    if len(parts) == 1:
        return parts[0]
    at = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part.t_ns) for part in parts], out=at[1:])

    def each(name: str, *, index: bool) -> Int64Array:
        return np.concatenate(
            [getattr(part, name) + (base if index else 0) for part, base in zip(parts, at[:-1], strict=True)]
        )

    return RequestTimes(
        at,
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


def without(requests: RequestTimes, lost: BoolArray, debounce_ns: Int64Array) -> tuple[RequestTimes, Int64Array]:
    """
    Remove requests that boot passes make a timer lose.

    Parameters
    ----------
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
    kept = np.flatnonzero(~lost)
    index = np.append(0, np.cumsum(~lost))  # of the first request kept at or after each old one
    at = index[requests.at]
    t_ns = requests.t_ns[kept]
    pause = np.ones(len(kept), bool)
    delay_ns = np.repeat(debounce_ns, np.diff(at))
    pause[:-1] = np.diff(t_ns) >= delay_ns[:-1]
    pause[at[1:][np.diff(at) > 0] - 1] = True
    quiet = _next_true(pause | (delay_ns < 0))
    due_ns, past = requests.due_ns[kept], index[requests.past[kept]]
    latest_ns, past_latest = requests.latest_ns[kept], index[requests.past_latest[kept]]
    alone_ns, following = np.minimum(due_ns[quiet], latest_ns), np.minimum(past[quiet], past_latest)
    none = np.zeros(0, np.int64)
    left = RequestTimes(at, t_ns, quiet, due_ns, past, latest_ns, past_latest, alone_ns, following, none)
    return left, kept
