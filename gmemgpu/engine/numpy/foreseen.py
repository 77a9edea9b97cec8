"""
Passes whose outcome is known before any pass has run: each of their targets is busy, stays so, and fails.

Most conversions of running guests are of that kind, and a host sees a hundred thousand of them. When a pass starts and
what it visits depends on earlier passes only through the time at which they end and the bits that they set. Where all
targets fail no bit matters, and where the pass is over before the next one is due no end matters.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from gmemgpu.engine.class_code import CLEAN, CodeCosts
from gmemgpu.engine.numpy.calm import calm_starts
from gmemgpu.engine.numpy.visit import Visits
from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import BoolArray, Int32Array, Int64Array
from gmemgpu.timeline.integral import exact_sum
from gmemgpu.timeline.snp import FOREVER

__all__ = ["Foreseen", "foresee"]

LEAST_RUN = 8
"""Shorter runs of such passes are not worth the detour."""


@dataclass(slots=True, eq=False)
class Foreseen:
    """
    Passes that would run if none was held up, and which of them only fail.

    Parameters
    ----------
    first_request : list of int
        Of each pass; the requests up to the next one's belong to it.
    start_ns, length_ns : list of int
    stop : list of int
        For each pass, the first one from it on that does not only fail.
    attempt_pass, attempt_code : (m,) int64
        The targets of those that only fail: which pass, and class code with group.
    follows : bool
        Whether targets depend on when the pass before started.
    ran : list of (int, int)
        Receives the runs of passes that were taken.
    """

    first_request: list[int]
    start_ns: list[int]
    length_ns: list[int]
    stop: list[int]
    attempt_pass: Int64Array
    attempt_code: Int64Array
    follows: bool
    ran: list[tuple[int, int]] = field(default_factory=list)

    def take(self, request: int, started_ns: int, free_at_ns: int) -> tuple[int, int, int] | None:
        """
        Run what can be run from a request on.

        Parameters
        ----------
        request : int
            No timer is pending, and this is the next request.
        started_ns, free_at_ns : int
            Start and end of the last pass.

        Returns
        -------
        (int, int, int) or None
            The next request, and start and end of the last pass now.
        """
        k = bisect_left(self.first_request, request)
        if k == len(self.stop) or self.first_request[k] != request:
            return None
        stop = self.stop[k]
        if stop - k < LEAST_RUN or self.start_ns[k] < free_at_ns:
            return None
        if self.follows and (k == 0 or self.start_ns[k - 1] != started_ns):
            return None
        self.ran.append((k, stop))
        last = self.start_ns[stop - 1]
        return self.first_request[stop], last, last + self.length_ns[stop - 1]

    def count(self, visits: Visits, warmup_ns: int) -> tuple[int, int, int]:
        """
        Count the passes taken that started at or after the warm-up.

        Returns
        -------
        (int, int, int)
            How many, their lengths summed, and the longest.
        """
        edges = np.zeros(len(self.stop) + 1, np.int64)
        for begin, stop in self.ran:
            edges[begin] += 1
            edges[stop] -= 1
        counted = (np.cumsum(edges[:-1]) > 0) & (np.array(self.start_ns, np.int64) >= warmup_ns)
        if not counted.any():
            return 0, 0, 0
        codes = self.attempt_code[counted[self.attempt_pass]]
        visits.add_codes(np.bincount(codes, minlength=len(visits.codes)).tolist())
        length_ns = np.array(self.length_ns, np.int64)[counted]
        return len(length_ns), exact_sum(length_ns), int(length_ns.max())


def foresee(policy: Policy, prepared: Prepared, code_costs: CodeCosts) -> Foreseen | None:
    """
    Find the passes of a policy whose outcome is known beforehand.

    Parameters
    ----------
    policy : Policy
    prepared : Prepared
    code_costs : CodeCosts

    Returns
    -------
    Foreseen or None
        None where this cannot pay or the policy depends on more.
    """
    timer = policy.timer
    requests = prepared.requests(policy.hook)
    simple = timer.kind == "fixed" and policy.busy == "rerun" and policy.gate == "all"
    calm = prepared.snp.epochs == [(0, FOREVER)] and not prepared.snp.shutdowns
    if not simple or not calm or not requests.t_ns:
        return None
    if policy.scope == "region" and timer.delay_ns == 0:
        first, starts = list(range(len(requests.t_ns))), requests.t_ns
        region: Int32Array = np.array(requests.first_region, np.int32)
        own_pass: Int64Array = np.arange(len(region))
        sound: BoolArray = region == np.array(requests.last_region)
        sound &= prepared.cores[region] > 0
    elif policy.scope == "dirty":
        chain = calm_starts(policy, requests.t_ns)
        assert chain is not None
        first, starts = chain.first_request, chain.start_ns
        cleared_ns, cleared = prepared.clearings
        # A region is attempted by the first pass that starts at or after its clearing.
        key = np.sort(np.searchsorted(starts, cleared_ns) * len(prepared.covers) + cleared)
        key = key[np.append(True, key[1:] != key[:-1])[: len(key)]]
        own_pass, region = key // len(prepared.covers), (key % len(prepared.covers)).astype(np.int32)
        inside = own_pass < len(starts)
        own_pass, region = own_pass[inside], region[inside]
        sound = np.ones(len(region), bool)
    else:
        return None
    start_ns = np.array(starts, np.int64)
    code, until_ns = prepared.states_at(region, start_ns[own_pass])
    code_of_group = code + code_costs.group[region]
    length_ns = np.zeros(len(start_ns), np.int64)
    np.add.at(length_ns, own_pass, code_costs.length_ns[code_of_group])
    end_ns = start_ns + length_ns
    next_start_ns = np.append(start_ns[1:], prepared.horizon_ns)
    fine = (end_ns <= next_start_ns) & (next_start_ns > start_ns)
    fine &= np.bincount(own_pass, minlength=len(start_ns)) > 0
    bad = own_pass[(code >= CLEAN) | (until_ns <= end_ns[own_pass]) | ~sound]
    fine[bad] = False
    # For each pass, the next that is not fine; the last is never fine, so that there is always a next request.
    fine[-1] = False
    stop = np.where(fine, len(fine), np.arange(len(fine)))
    stop = np.minimum.accumulate(stop[::-1])[::-1]
    return Foreseen(first, starts, length_ns.tolist(), stop.tolist(), own_pass, code_of_group, policy.scope == "dirty")
