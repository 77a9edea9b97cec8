"""One policy on one trace, step by step, with everything kept that explains the result (MODEL.md section 5)."""

from __future__ import annotations

from collections import deque

import numpy as np

from gmemgpu.explain.prepared import Prepared
from gmemgpu.explain.record import Cause, EpisodeLog, Fate, PassLog, PassState, RequestLog, RunRecord
from gmemgpu.explain.target import Targets
from gmemgpu.explain.visit import Visitor, VisitOutcome
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Int64Array, Trace

__all__ = ["record_run"]

_NO_REGIONS: Int64Array = np.zeros(0, np.int64)


class _Replay:
    # The same order of events as in the reference engine, which judges what comes out; passes as arrays of visits.
    def __init__(self, prepared: Prepared, policy: Policy, costs: Costs) -> None:
        self.prepared, self.policy = prepared, policy
        self.made = prepared.requests(policy)
        self.visitor = Visitor(prepared, policy.executor, costs)
        self._chooser = Targets(prepared, policy, self.made, self.visitor)
        n, n_episodes = len(self.made.t_ns), len(self.visitor.episode_region)
        self._t_ns: list[int] = self.made.t_ns.tolist()
        self.fates: list[int] = []
        self.due_after_ns: list[int] = []
        self.scan_pass = np.full(n, -1, np.int64)
        self.passes: list[tuple[int, ...]] = []
        self.targets: list[Int64Array] = []
        self.set_ns, self.set_pass = np.full(n_episodes, -1, np.int64), np.full(n_episodes, -1, np.int64)
        self._pending: list[int] = []
        self._period_ns = policy.timer.delay_ns if policy.timer.kind == "periodic" else None
        self._due_ns = policy.timer.delay_ns
        self._running_ns = (0, 0)
        if policy.is_oracle:
            lit = prepared.cores[self.visitor.episode_region] > 0
            self.set_ns[lit] = self.visitor.episode_begin_ns[lit]
        else:
            self._run(deque([0, *prepared.snp.inits] if policy.boot else []))

    def _run(self, boots: deque[int]) -> None:
        coming, n = 0, len(self._t_ns)
        while True:
            _, free_ns = self._running_ns
            timer_ns = self._timer_start_ns()
            boot_ns = max(boots[0], free_ns) if boots else None
            is_boot = boot_ns is not None and (timer_ns is None or boot_ns <= timer_ns)
            start_ns = boot_ns if is_boot else timer_ns
            # A request at exactly the start belongs to the timer's pass, but not to a boot pass.
            if coming < n and (
                start_ns is None or self._t_ns[coming] < start_ns or (not is_boot and self._t_ns[coming] == start_ns)
            ):
                self._handle(coming)
                coming += 1
                continue
            if start_ns is None or start_ns >= self.prepared.horizon_ns:
                return
            if is_boot:
                self._start(boots.popleft(), start_ns, Cause.BOOT)
            elif self._period_ns is not None:
                due_ns, self._due_ns = self._due_ns, self._due_ns + self._period_ns
                self._start(due_ns, start_ns, Cause.CLOCK)
            else:
                self._start(self._due_ns, start_ns, Cause.REQUESTS)

    def _timer_start_ns(self) -> int | None:
        _, free_ns = self._running_ns
        if self._period_ns is not None:
            if self._due_ns < free_ns:
                # Ticks that fall into a running pass are left out.
                self._due_ns = -(-free_ns // self._period_ns) * self._period_ns
            return self._due_ns
        return max(self._due_ns, free_ns) if self._pending else None

    def _handle(self, request: int) -> None:
        t_ns, (start_ns, end_ns) = self._t_ns[request], self._running_ns
        if self.policy.busy == "drop" and start_ns < t_ns < end_ns:
            self.fates.append(Fate.LOST)
            self.due_after_ns.append(-1)
            return
        timer, waits_until_ns, due_ns = self.policy.timer, self._timer_start_ns(), self._due_ns
        self._pending.append(request)
        moves = timer.kind == "debounce" and waits_until_ns is not None and t_ns < waits_until_ns
        if waits_until_ns is None or moves:
            self._due_ns = t_ns + timer.delay_ns
            if timer.max_wait_ns is not None:
                self._due_ns = min(self._due_ns, self._t_ns[self._pending[0]] + timer.max_wait_ns)
        if waits_until_ns is None:
            self.fates.append(Fate.ARMED)
        else:
            self.fates.append(Fate.MOVED if self._due_ns != due_ns else Fate.JOINED)
        self.due_after_ns.append(self._due_ns)

    def _start(self, due_ns: int, start_ns: int, cause: Cause) -> None:
        scan_pass = len(self.passes)
        spent: list[int] = []
        if cause is Cause.REQUESTS:
            spent, self._pending = self._pending, spent
            self.scan_pass[spent] = scan_pass
        on = any(begin <= start_ns < end for begin, end in self.prepared.snp.epochs)
        targets = self._chooser.of_pass(None if cause is Cause.BOOT else spent, start_ns) if on else _NO_REGIONS
        self.targets.append(targets)
        if not len(targets):
            state = PassState.EMPTY if on else PassState.SKIPPED
            self.passes.append((due_ns, start_ns, start_ns, cause, state, len(spent), 0, 0, 0, 0, 0))
            return
        visits = self.visitor.visits(targets, start_ns, self.set_pass, scan_pass)
        new = visits.outcome == VisitOutcome.NEW
        lit = visits.episode[new]
        self.set_ns[lit], self.set_pass[lit] = visits.end_ns[new], scan_pass
        self._chooser.visited(visits, start_ns)
        counts = np.bincount(visits.outcome, minlength=len(VisitOutcome)).tolist()
        end_ns = int(visits.end_ns[-1])
        n_early = int(visits.early.sum())
        self.passes.append((due_ns, start_ns, end_ns, cause, PassState.RAN, len(spent), *counts, n_early))
        self._running_ns = (start_ns, end_ns)


def record_run(trace: Trace | Prepared, policy: Policy, costs: Costs) -> RunRecord:
    """
    Run a policy on a trace and record what happens.

    Parameters
    ----------
    trace : Trace or Prepared
        A valid trace, prepared already where several policies are recorded.
    policy : Policy
        May be the oracle, which has no passes.
    costs : Costs
        Times of RMPOPT, in ns.

    Returns
    -------
    RunRecord
        Its counts are those of every engine.

    Raises
    ------
    BackendError
        If a pass might last so long that its times do not fit 63 bits.
    """
    prepared = trace if isinstance(trace, Prepared) else Prepared(trace)
    run = _Replay(prepared, policy, costs)
    visitor = run.visitor
    due, start, end, cause, state, *counts = np.array(run.passes, np.int64).reshape(-1, 11).T
    covered = prepared.cores[visitor.episode_region] > 0
    return RunRecord(
        prepared,
        policy,
        RequestLog(run.made, np.array(run.fates, np.int8), np.array(run.due_after_ns, np.int64), run.scan_pass),
        PassLog(due, start, end, cause.astype(np.int8), state.astype(np.int8), *counts),
        EpisodeLog(
            visitor.episode_region,
            visitor.episode_begin_ns,
            visitor.episode_end_ns,
            visitor.episode_fresh,
            covered & ~visitor.episode_fresh & (visitor.episode_begin_ns >= prepared.warmup_ns),
            run.set_ns,
            run.set_pass,
        ),
        tuple(run.targets),
        visitor,
    )
