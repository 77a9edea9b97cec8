"""
The applied policy and its first delay as a straightforward SimPy model: what one would write without gmemgpu.

One process replays the trace, another runs passes over the whole window, region by region. Only policies with hook
``vm_destroy``, scope ``window``, gate ``all`` and executor ``leader_followers`` (v3, v10), on hosts whose SNP stays on.
Needs SimPy, which gmemgpu itself does not: ``pip install simpy``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from gmemgpu.model.cost import Costs
from gmemgpu.model.event import Kind
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.units import BLOCKS_PER_REGION, PAGES_PER_BLOCK, PAGES_PER_REGION

__all__ = ["METRICS", "simulate"]

METRICS = (
    "passes",
    "attempts",
    "attempts_new",
    "attempts_cached",
    "attempts_failed",
    "attempts_wasted",
    "scan_wall_ns",
    "pass_wall_max_ns",
)
"""What the model counts, by the same names and with the same values as the engines."""

Steps = Generator[simpy.Event, Any, None]


class _Model:
    def __init__(self, trace: Trace, policy: Policy, costs: Costs) -> None:
        self.trace, self.timer, self.costs = trace, policy.timer, costs
        self.env = simpy.Environment()
        n = trace.host.n_regions
        self.pages = np.zeros((n, PAGES_PER_REGION), bool)  # assigned ones
        self.blocks = np.zeros((n, BLOCKS_PER_REGION), bool)  # those that hold one
        self.is_set = [False] * n
        self.n_assigns = [0] * n
        self.armed = False
        self.due_ns = 0
        self.request = self.env.event()
        self.found = dict.fromkeys(METRICS, 0)

    def host(self) -> Steps:
        trace = self.trace
        kinds = (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE, Kind.VM_DESTROY)
        rows = np.flatnonzero(np.isin(trace.kind, [int(kind) for kind in kinds]))
        columns = (column[rows].tolist() for column in (trace.t_ns, trace.kind, trace.pfn, trace.npages))
        for t_ns, kind, pfn, npages in zip(*columns, strict=True):
            if t_ns > self.env.now:
                yield self.env.timeout(t_ns - self.env.now)
            if kind == Kind.VM_DESTROY:
                self.on_destroy()
                continue
            while npages:
                region, page = divmod(pfn, PAGES_PER_REGION)
                n = min(npages, PAGES_PER_REGION - page)
                self.change(region, page, page + n, kind == Kind.ASSIGN)
                pfn, npages = pfn + n, npages - n

    def change(self, region: int, lo: int, hi: int, assigned: bool) -> None:
        # A page may be assigned twice, and shared before it is released.
        self.pages[region, lo:hi] = assigned
        first, end = lo // PAGES_PER_BLOCK, -(-hi // PAGES_PER_BLOCK)
        pages = self.pages[region, first * PAGES_PER_BLOCK : end * PAGES_PER_BLOCK]
        self.blocks[region, first:end] = pages.reshape(-1, PAGES_PER_BLOCK).any(axis=1)
        if assigned:
            self.is_set[region] = False
            self.n_assigns[region] += 1

    def on_destroy(self) -> None:
        if not self.armed:
            self.armed = True
            self.due_ns = self.env.now + self.timer.delay_ns
            self.request.succeed()
        elif self.timer.kind == "debounce":
            self.due_ns = self.env.now + self.timer.delay_ns

    def scanner(self) -> Steps:
        yield from self.run_pass()
        while True:
            if not self.armed:
                yield self.request
            while self.env.now < self.due_ns:
                yield self.env.timeout(self.due_ns - self.env.now)
            self.armed = False
            self.request = self.env.event()
            yield from self.run_pass()

    def length_ns(self, region: int) -> int:
        costs = self.costs
        if self.blocks[region].any():
            first = int(self.blocks[region].argmax())
            return costs.base + (first + 1) * costs.block + costs.round_fail
        if self.is_set[region]:
            return costs.cached + costs.round_cached
        return costs.base + BLOCKS_PER_REGION * costs.block + costs.round_clean

    def run_pass(self) -> Steps:
        start_ns = self.env.now
        lengths_ns = [self.length_ns(region) for region in range(len(self.is_set))]
        found = dict.fromkeys(METRICS, 0)
        for region, length_ns in enumerate(lengths_ns):
            is_busy, was_set, seen = self.blocks[region].any(), self.is_set[region], self.n_assigns[region]
            yield self.env.timeout(length_ns)
            if is_busy:
                found["attempts_failed"] += 1
            elif was_set:
                found["attempts_cached"] += 1
            elif self.n_assigns[region] == seen:
                self.is_set[region] = True
                found["attempts_new"] += 1
            else:
                found["attempts_wasted"] += 1
        if start_ns >= self.trace.warmup_ns:
            for name in METRICS:
                self.found[name] += found[name]
            self.found["passes"] += 1
            self.found["attempts"] += len(lengths_ns)
            self.found["scan_wall_ns"] += self.env.now - start_ns
            self.found["pass_wall_max_ns"] = max(self.found["pass_wall_max_ns"], self.env.now - start_ns)


def simulate(trace: Trace, policy: Policy, costs: Costs) -> dict[str, int]:
    """Simulate a policy on a trace; the last pass is cut off at the horizon, where the engines finish it."""
    model = _Model(trace, policy, costs)
    model.env.process(model.host())
    model.env.process(model.scanner())
    model.env.run(until=trace.horizon_ns)
    return model.found
