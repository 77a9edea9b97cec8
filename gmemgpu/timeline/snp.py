"""When SNP is on, when it is being shut down, and when callbacks may no longer come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Trace
from gmemgpu.units import INT64_MAX

__all__ = ["SnpStates", "snp_states", "snp_states_of", "FOREVER"]

FOREVER = INT64_MAX
"""End of what lasts to the horizon: the state is frozen there, so that a later look still finds it."""


@dataclass(frozen=True, slots=True)
class SnpStates:
    """
    SNP over time, as lists of half-open intervals in ns; one that lasts to the horizon ends at `FOREVER`.

    Parameters
    ----------
    epochs : list of (int, int)
        Times with SNP on; each begins at 0 or at an ``snp_init``, which also cuts.
    inits : list of int
        Times of ``snp_init``, one entry an event.
    shutdowns : list of (int, int)
        From ``snp_shutdown_begin`` to the next ``snp_shutdown_end``.
    unloads : list of (int, int)
        From ``kvm_unload`` to the next ``snp_init``.
    """

    epochs: list[tuple[int, int]]
    inits: list[int]
    shutdowns: list[tuple[int, int]]
    unloads: list[tuple[int, int]]


def snp_states(trace: Trace) -> SnpStates:
    """
    Read the SNP and KVM events of a trace.

    Parameters
    ----------
    trace : Trace
        Cut at its horizon.

    Returns
    -------
    SnpStates
        Intervals, ascending.
    """
    rows = np.flatnonzero(trace.kind >= Kind.SNP_SHUTDOWN_BEGIN)
    return snp_states_of(trace.t_ns[rows].tolist(), trace.kind[rows].tolist())


def snp_states_of(t_ns: Sequence[int], kinds: Sequence[int]) -> SnpStates:
    """
    Read the SNP and KVM events of a trace, when they are found.

    Parameters
    ----------
    t_ns, kinds : sequence of int
        Of these events, in their order.

    Returns
    -------
    SnpStates
        Intervals, ascending.
    """
    events = list(zip(t_ns, kinds, strict=True))
    states = SnpStates([], [], [], [])
    on_since: int | None = 0
    shutdown_since: int | None = None
    unloaded_since: int | None = None
    i = 0
    while i < len(events):
        t = events[i][0]
        # All events of one instant first: the state at t is the one after them.
        on, cut = on_since is not None, False
        shutting, unloaded = shutdown_since is not None, unloaded_since is not None
        while i < len(events) and events[i][0] == t:
            kind = events[i][1]
            if kind == Kind.SNP_SHUTDOWN_BEGIN:
                shutting = True
            elif kind == Kind.SNP_SHUTDOWN_END:
                shutting = on = False
            elif kind == Kind.SNP_INIT:
                on, cut, unloaded = True, True, False
                states.inits.append(t)
            else:
                unloaded = True
            i += 1
        if on_since is not None and (cut or not on):
            states.epochs.append((on_since, t))
            on_since = None
        if on and on_since is None:
            on_since = t
        shutdown_since = _step(states.shutdowns, shutdown_since, shutting, t)
        unloaded_since = _step(states.unloads, unloaded_since, unloaded, t)
    for intervals, since in (
        (states.epochs, on_since),
        (states.shutdowns, shutdown_since),
        (states.unloads, unloaded_since),
    ):
        if since is not None:
            intervals.append((since, FOREVER))
    states.epochs[:] = [epoch for epoch in states.epochs if epoch[0] < epoch[1]]
    return states


def _step(intervals: list[tuple[int, int]], since: int | None, now: bool, t: int) -> int | None:
    if since is not None and not now:
        intervals.append((since, t))
        return None
    return t if since is None and now else since
