"""When passes start if none holds up the next: then the requests alone decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.model.policy import Policy

__all__ = ["CalmStarts", "calm_starts"]


@dataclass(frozen=True, slots=True)
class CalmStarts:
    """
    The passes of a timer, each over before the next is due.

    Parameters
    ----------
    first_request : list of int
        Of each pass; the requests up to the next one's belong to it.
    start_ns : list of int
    exact : bool
        Whether a pass begins with just that request; else any request up to the next pass's first leads to the same.
    """

    first_request: list[int]
    start_ns: list[int]
    exact: bool


def calm_starts(policy: Policy, t_ns: list[int]) -> CalmStarts | None:
    """
    Chain the passes of ``fixed`` and ``debounce`` timers.

    Parameters
    ----------
    policy : Policy
    t_ns : list of int
        Of the requests.

    Returns
    -------
    CalmStarts or None
        None where the end of a pass matters by itself, or there is no request.
    """
    timer = policy.timer
    if timer.kind == "periodic" or timer.max_wait_ns is not None or policy.busy == "drop" or not t_ns:
        return None
    times = np.array(t_ns, np.int64)
    if timer.kind == "fixed":
        # Requests at exactly the start still belong to the pass.
        following = np.searchsorted(times, times + timer.delay_ns, "right").tolist()
        first, i = [], 0
        while i < len(t_ns):
            first.append(i)
            i = following[i]
        return CalmStarts(first, (times[first] + timer.delay_ns).tolist(), True)
    gap_ns = np.diff(times)
    if (gap_ns == timer.delay_ns).any():
        return None  # a request at exactly the start joins the pass without moving it: rare, and not chained here
    last = np.append(np.flatnonzero(gap_ns > timer.delay_ns), len(times) - 1)
    return CalmStarts([0, *(last[:-1] + 1).tolist()], (times[last] + timer.delay_ns).tolist(), False)
