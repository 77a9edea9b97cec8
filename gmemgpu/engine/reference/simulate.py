"""A policy on a trace: requests and passes in time order (MODEL.md section 5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gmemgpu.engine.reference.history import TraceHistory
from gmemgpu.engine.reference.hook import Request, requests_of
from gmemgpu.engine.reference.scan import Bits, run_attempts
from gmemgpu.engine.reference.scope import PassTargets
from gmemgpu.engine.reference.tally import Tally
from gmemgpu.engine.reference.timer import PeriodicTimer, WorkTimer
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy

__all__ = ["Simulation"]


class Simulation:
    """
    One policy at work on one trace.

    Parameters
    ----------
    history : TraceHistory
        The trace, replayed.
    policy : Policy
        Not the oracle.
    costs : Costs
        Times of RMPOPT, in ns.

    Attributes
    ----------
    tally : Tally
        What was counted.
    bits : Bits
        When the bits got set.
    """

    def __init__(self, history: TraceHistory, policy: Policy, costs: Costs) -> None:
        self._history = history
        self._policy = policy
        self._costs = costs
        self._targets = PassTargets(history, policy)
        self._timer = (PeriodicTimer if policy.timer.kind == "periodic" else WorkTimer)(policy.timer)
        # At t = 0, and one for each snp_init, first in first out.
        self._boots = deque([0, *history.snp.init_times_ns] if policy.boot else [])
        # The pass that runs, or the last that did: [start, end).
        self._running_ns = (0, 0)
        self.bits = Bits()
        self.tally = Tally(history.warmup_ns)
        self._run(deque(requests_of(policy.hook, history)))

    def _run(self, coming: deque[Request]) -> None:
        while True:
            _, free_ns = self._running_ns
            timer_ns = self._timer.start_ns(free_ns)
            boot_ns = max(self._boots[0], free_ns) if self._boots else None
            # At equal starts the boot pass is first.
            is_boot = boot_ns is not None and (timer_ns is None or boot_ns <= timer_ns)
            start_ns = boot_ns if is_boot else timer_ns
            # Requests before the start come first, and may move it. One at exactly the start belongs to the timer's
            # pass; it does not belong to a boot pass, which takes none: it is handled once that has started, and may
            # still move a timer that waits behind it.
            if coming and (
                start_ns is None or coming[0].t_ns < start_ns or (not is_boot and coming[0].t_ns == start_ns)
            ):
                self._handle(coming.popleft())
                continue
            # A pass with start >= horizon never starts, and every request lies before the horizon.
            if start_ns is None or start_ns >= self._history.horizon_ns:
                return
            if is_boot:
                self._boots.popleft()
                self._start(start_ns, None)
            else:
                self._start(start_ns, self._timer.take())

    def _handle(self, request: Request) -> None:
        start_ns, end_ns = self._running_ns
        # Lost is what comes inside the running pass, neither with its start nor with its end; rerun loses nothing.
        lost = self._policy.busy == "drop" and start_ns < request.t_ns < end_ns
        self.tally.request(request, lost=lost, hazard=self._history.snp.request_is_hazardous(request.t_ns))
        if not lost:
            self._timer.handle(request, end_ns)

    # A boot pass has no requests (None); those of a pass that is skipped or empty are spent.
    def _start(self, start_ns: int, requests: Sequence[Request] | None) -> None:
        # Skipped before its targets are looked at, so dirty regions stay dirty.
        if not self._history.snp.steps.at(start_ns).on:
            self.tally.skipped_pass(start_ns)
            return
        if requests is None:
            targets = self._targets.boot(start_ns)
        else:
            targets = self._targets.requested(requests, start_ns)
        if not targets:
            self.tally.empty_pass(start_ns)
            return
        # Begun before the horizon, a pass is finished and counted in full.
        attempts = list(run_attempts(self._history, self._policy, self._costs, self.bits, targets, start_ns))
        end_ns = attempts[-1].end_ns
        for attempt in attempts:
            self._targets.attempted(attempt.region, start_ns, failed=attempt.outcome == "failed")
        self.tally.scan_pass(start_ns, attempts, hazard=self._history.snp.pass_is_hazardous(start_ns, end_ns))
        self._running_ns = (start_ns, end_ns)
