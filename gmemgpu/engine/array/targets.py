"""Which passes attempt which single regions: those that requests name, and those that were cleared."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.array.naming import NamedRegions
from gmemgpu.engine.array.passes import Passes
from gmemgpu.engine.array.request_times import RequestTimes
from gmemgpu.engine.array.xp.namespace import Array, Namespace

__all__ = ["cleared_keys", "requested_keys"]


def requested_keys(
    xp: Namespace,
    named: NamedRegions,
    request: Array,
    requests: RequestTimes,
    lost: Array | None,
    passes: Passes,
    ran: Array,
    base: int,
) -> Array:
    """
    Find the passes that attempt what requests name.

    Parameters
    ----------
    xp : Namespace
    named : NamedRegions
    request : (n,) int64
        Of each region that is named, by number among all requests.
    requests : RequestTimes
    lost : (n_requests,) bool or None
        Whether a boot pass makes its timer lose a request; None for none.
    passes : Passes
    ran : (n_passes,) bool
        Whether SNP was on.
    base : int
        More than any position.

    Returns
    -------
    (m,) int64
        ``scan_pass * base + position``, in any order; those below zero count for nothing.
    """
    timer = xp.flatnonzero(~passes.boot)
    first = passes.first[timer]
    if not len(timer) or not len(request):
        return xp.zeros(0, np.int64)
    if xp.fuses:
        key = xp.empty(len(request), np.int64)
        given = request, named.position, named.since_ns, requests.at, requests.t_ns
        of_passes = first, timer, passes.start_ns, passes.pair, ran
        numbers = len(timer), int(lost is not None), base
        xp.fused("requested_keys", len(request), *given, ran if lost is None else lost, *of_passes, key, *numbers)
        return key
    # A request belongs to the pass whose first request is the last one up to it, if it was made by its start.
    n = len(requests.t_ns)
    of = xp.cumsum(xp.count_at(n + 1, first))[:n] - 1
    scan_pass = timer[of]
    joins = (of >= 0) & (requests.t_ns <= passes.start_ns[scan_pass])
    joins &= xp.arange(n) < requests.at[1:][passes.pair[scan_pass]]
    if lost is not None:
        joins &= ~lost
    joins &= ran[scan_pass]
    kept = xp.flatnonzero(joins[request])
    scan_pass, position = scan_pass[request[kept]], named.position[kept]
    known = xp.flatnonzero(named.since_ns[kept] <= passes.start_ns[scan_pass])
    return scan_pass[known] * base + position[known]


def cleared_keys(
    xp: Namespace, t_ns: Array, position: Array, at: Array, pair: Array, passes: Passes, ran: Array, base: int
) -> Array:
    """
    Find the passes that attempt regions since they were cleared: the first that runs then or later.

    Parameters
    ----------
    xp : Namespace
    t_ns, position : (n,) int64
        Of each clearing.
    at : (n_pairs + 1,) int64
        Where those of each pair begin.
    pair : (n,) int64
    passes, ran, base
        As `requested_keys` takes them.

    Returns
    -------
    (m,) int64
        As `requested_keys` returns it.
    """
    runs = xp.flatnonzero(ran)
    run_at = xp.searchsorted(runs, passes.at)
    start_ns, begin = passes.start_ns[runs], run_at[:-1]
    if xp.fuses:
        key = xp.empty(len(t_ns), np.int64)
        xp.fused("cleared_keys", len(t_ns), t_ns, pair, position, runs, start_ns, run_at, key, base)
        return key
    joins = xp.search(start_ns, begin, run_at[1:], t_ns, at, "left", begin)
    kept = xp.flatnonzero(joins < run_at[1:][pair])
    return runs[joins[kept]] * base + position[kept]
