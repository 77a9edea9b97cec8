"""One policy's passes in the making: which bits are set, what each visit finds, what has been counted."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.class_code import CACHED, CLEAN, FAIL_EARLY, N_CODES, CodeCosts
from gmemgpu.engine.outcome import AttemptCounts
from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.policy import Policy
from gmemgpu.timeline.snp import FOREVER

__all__ = ["Visits"]

_OFF = (0, 0)


class Visits:
    """
    The visits of one policy on one trace, in time order.

    Parameters
    ----------
    prepared : Prepared
    policy : Policy
    code_costs : CodeCosts

    Attributes
    ----------
    bit_end_ns : list of int
        Per region, until when its bit is set (the end of the free episode); 0 if it never was.
    seen : list of int
        Per region, the row of its states that the last visit looked at. Visits come in time order, so a scan from
        there is linear over a whole run, and touches less memory than a bisection.
    bits : list of int
        Four entries a set bit: region, begin and end of its free episode, time of the bit.
    counted : bool
        Whether the running pass began after the warm-up; the rest below counts only then.
    codes : list of int
        Attempts by class code, as `CodeCosts` numbers them.
    """

    def __init__(self, prepared: Prepared, policy: Policy, code_costs: CodeCosts) -> None:
        self.prepared = prepared
        self.horizon_ns = prepared.horizon_ns
        self.epochs = prepared.snp.epochs
        self.always_on = self.epochs == [(0, FOREVER)]
        self.gate = policy.gate
        self.fails_by_class = policy.executor == "leader_first"
        self.length_ns: list[int] = code_costs.length_ns.tolist()
        self.group: list[int] = code_costs.group.tolist()
        self.bit_end_ns = [0] * len(self.group)
        self.seen = [0] * len(self.group)
        self.bits: list[int] = []
        self.counted = False
        self.codes = [0] * len(self.length_ns)
        self.new = self.cached = self.failed = self.wasted = self.early = 0

    def counts(self) -> AttemptCounts:
        """Return what has been counted so far."""
        codes = np.array(self.codes, np.int64)
        return AttemptCounts(self.new, self.cached, self.failed, self.wasted, self.early, codes)

    def epoch_at(self, t_ns: int) -> tuple[int, int]:
        """Return begin and end of the SNP-on time that holds an instant; (0, 0) if SNP is off."""
        if self.always_on:
            return self.epochs[0]
        for begin, end in self.epochs:
            if begin <= t_ns < end:
                return begin, end
        return _OFF

    def visit_all(self, start_ns: int, targets: list[int]) -> int | None:
        """
        Run a pass over a few regions, one after another.

        Parameters
        ----------
        start_ns : int
            SNP is on then.
        targets : list of int
            Covered regions, ascending.

        Returns
        -------
        int or None
            When the pass ends; None if the gate left no region.
        """
        state_t_ns, state_code = self.prepared.state_t_ns, self.prepared.state_code
        bit_end_ns, group, length_ns = self.bit_end_ns, self.group, self.length_ns
        gate, counted, codes, seen = self.gate, self.counted, self.codes, self.seen
        epoch_begin, epoch_end = self.epoch_at(start_ns)
        at = start_ns
        some = False
        for region in targets:
            times = state_t_ns[region]
            i = seen[region]
            while times[i + 1] <= start_ns:
                i += 1
            seen[region] = i
            code = state_code[region][i]
            if code < CLEAN:
                if gate == "free" or (gate == "gmem_free" and self.prepared.state_gmem[region][i]):
                    continue
            elif bit_end_ns[region] > start_ns:
                code = CACHED
            some = True
            done = at + length_ns[code + group[region]]
            if counted:
                codes[code + group[region]] += 1
            if at < epoch_end and times[i + 1] > at:
                # Nothing has changed since the start: the outcome follows from the class.
                if code == CLEAN:
                    self._set_bit(region, max(times[i], epoch_begin), min(times[i + 1], epoch_end), done)
                elif code == CACHED:
                    self.cached += counted
                else:
                    self.failed += counted
                    self.early += counted and code >= FAIL_EARLY
            else:
                self.visit(region, code, at, done)
            at = done
        return at if some else None

    def visit(self, region: int, code: int, at_ns: int, done_ns: int) -> bool:
        """
        Evaluate one attempt by the state at its visit.

        Parameters
        ----------
        region : int
        code : int
            Its class at the pass's start.
        at_ns, done_ns : int
            Visit and completion.

        Returns
        -------
        bool
            False if it failed.
        """
        times = self.prepared.state_t_ns[region]
        i = self.seen[region]
        while times[i + 1] <= at_ns:
            i += 1
        self.seen[region] = i
        now = self.prepared.state_code[region][i]
        epoch_begin, epoch_end = self.epoch_at(at_ns)
        counted = self.counted
        if now < CLEAN or not epoch_end or (self.fails_by_class and code < CLEAN):
            self.failed += counted
            self.early += counted and FAIL_EARLY <= now < CLEAN
            return False
        if self.bit_end_ns[region] > at_ns:
            self.cached += counted
            return True
        self._set_bit(region, max(times[i], epoch_begin), min(times[i + 1], epoch_end), done_ns)
        return True

    def _set_bit(self, region: int, begin_ns: int, end_ns: int, done_ns: int) -> None:
        # An attempt in the free episode [begin, end) is complete: in time, or wasted.
        if done_ns < end_ns and done_ns < self.horizon_ns:
            self.bit_end_ns[region] = end_ns
            self.bits += (region, begin_ns, end_ns, done_ns)
            self.new += self.counted
        else:
            self.wasted += self.counted

    def add_codes(self, codes: list[int]) -> None:
        """
        Count attempts whose outcome is their class, but for clean ones, which are settled one by one.

        Parameters
        ----------
        codes : list of int, n_groups * N_CODES long
            Attempts by class code.
        """
        for group in range(0, len(codes), N_CODES):
            self.cached += codes[group + CACHED]
            self.failed += sum(codes[group : group + CLEAN])
            self.early += sum(codes[group + FAIL_EARLY : group + CLEAN])
        self.codes = [a + b for a, b in zip(self.codes, codes, strict=True)]
