"""What all policies share: one trace's timelines in the forms that engines read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gmemgpu.engine.class_code import CLEAN, FAIL_EARLY, CodeCosts, code_costs, cost_groups
from gmemgpu.model.cost import Costs
from gmemgpu.model.event import Kind
from gmemgpu.model.policy import Executor, Hook, Policy
from gmemgpu.model.trace import BoolArray, Int32Array, Int64Array, Trace
from gmemgpu.timeline.build import build_timeline
from gmemgpu.timeline.episode import free_episodes, free_runs
from gmemgpu.timeline.integral import exact_sum, used_integral
from gmemgpu.timeline.piece import IdRegions, cut_at_regions
from gmemgpu.timeline.request import HookEvents, Requests, hook_requests
from gmemgpu.timeline.snp import FOREVER, snp_states

__all__ = ["Prepared", "CountedRequests"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CountedRequests(Requests):
    """
    The firings of one hook, with the counts that no policy alters.

    Parameters
    ----------
    counts : dict of str to int
        By metric name.
    """

    counts: dict[str, int]


class Prepared:
    """
    One trace, ready for any policy.

    Parameters
    ----------
    trace : Trace
        A valid one.
    compiled : bool
        Whether compiled code makes its timeline; the rows are the same.

    Notes
    -----
    What only some policies read is built on first use.
    """

    def __init__(self, trace: Trace, *, compiled: bool = False) -> None:
        self.timeline = build_timeline(trace, compiled=compiled)
        self.trace: Trace = self.timeline.trace
        self.horizon_ns = self.trace.horizon_ns
        self.warmup_ns = self.trace.warmup_ns
        self.cores: Int64Array = np.array(self.trace.host.covering_cores(), np.int64)
        self.covered: Int64Array = np.flatnonzero(self.cores > 0)
        self.core_counts: list[int] = np.unique(self.cores[self.covered]).tolist()
        self.snp = snp_states(self.trace)
        self.runs = free_runs(self.timeline)
        self.episodes = free_episodes(self.runs, self.snp)
        self.used = used_integral(self.timeline)
        self._events = HookEvents(self.trace)
        self._requests: dict[Hook, CountedRequests] = {}

    @cached_property
    def noticed(self) -> NDArray[np.intp]:
        """Rows of the timeline at which a region's class can change; every region's first row is one."""
        return self.timeline.noticed()

    @cached_property
    def codes(self) -> Int64Array:
        """The class as if no bit were set, for each of the rows `noticed`."""
        line, rows = self.timeline, self.noticed
        code = line.first[rows].astype(np.int64)
        code[line.evicting[rows] > 0] += FAIL_EARLY
        code[line.first[rows] < 0] = CLEAN
        return code

    @cached_property
    def gmem(self) -> BoolArray:
        """Whether a guest_memfd page is assigned, for each of the rows `noticed`."""
        found: BoolArray = self.timeline.gmem[self.noticed] > 0
        return found

    @cached_property
    def clearings(self) -> tuple[Int64Array, Int32Array]:
        """Times and regions of all `release` and `share` pieces of covered regions, in time order."""
        kind = self.trace.kind
        pieces = cut_at_regions(self.trace, np.flatnonzero((kind == Kind.RELEASE) | (kind == Kind.SHARE)))
        t_ns, region = self.trace.t_ns[pieces.event], pieces.region
        kept = self.cores[region] > 0
        return (t_ns, region) if kept.all() else (t_ns[kept], region[kept])

    @property
    def vm_regions(self) -> IdRegions:
        """Where the guest_memfds of each VM ever had pages, and since when; regions without coverage are among them."""
        return self.timeline.owners.by_vm

    @property
    def inode_regions(self) -> IdRegions:
        """Where each inode ever had pages, and since when; regions without coverage are among them."""
        return self.timeline.owners.by_inode

    @cached_property
    def _counted_episodes(self) -> BoolArray:
        episodes = self.episodes
        covered = self.cores[episodes.region] > 0
        counted: BoolArray = covered & ~episodes.fresh & (episodes.begin_ns >= self.warmup_ns)
        return counted

    @cached_property
    def n_lasting(self) -> int:
        """Counted episodes that last to the horizon."""
        return int((self._counted_episodes & (self.episodes.end_ns == FOREVER)).sum())

    @cached_property
    def constant_metrics(self) -> dict[str, int]:
        """The metrics that no policy alters."""
        episodes = self.episodes
        begin = np.maximum(episodes.begin_ns, self.warmup_ns)
        end = np.minimum(episodes.end_ns, self.horizon_ns)
        kept = begin < end
        kept &= ~np.isin(episodes.region, self.trace.host.hole_regions())
        in_use = 0
        if self.used is not None:
            for on, off in self.snp.epochs:
                region = np.arange(len(self.cores), dtype=np.int32)
                on, off = max(on, self.warmup_ns), min(off, self.horizon_ns)
                if on < off:
                    bounds = np.full(len(region), on), np.full(len(region), off)
                    in_use += self.used.exact(*self.used.between(region, *bounds))
        return {
            "optimizable_ns": exact_sum((end - begin)[kept]),
            "in_use_ns": in_use,
            "episodes": int(self._counted_episodes.sum()),
        }

    @cached_property
    def cost_groups(self) -> Int64Array:
        """What to add to a class code for the costs of each region."""
        return cost_groups(self.cores)

    @cached_property
    def all_core_counts(self) -> tuple[int, ...]:
        """Numbers of cores that cover some region each, ascending; 0 where some have none. Costs have a group each."""
        return tuple(np.unique(self.cores).tolist())

    def priced(self, executor: Executor, costs: Costs) -> CodeCosts:
        """Return what attempts cost on this host, by class code and group."""
        return code_costs(executor, costs, self.all_core_counts, self.trace.host.threads_per_core)

    def tracker_updates(self, policy: Policy) -> int:
        """Count the folios that a policy's count of pages, or its bitmap, or both would have to be told of."""
        told = [self._events.folios(kind) for kind in (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE)]
        counted = marked = 0
        if policy.hook == "region_free" or policy.gate == "free":
            counted = sum(folios for folios, _ in told)
        elif policy.gate == "gmem_free":
            counted = sum(owned for _, owned in told)
        if policy.scope in ("dirty", "dirty_retry"):
            marked = sum(folios for folios, _ in told[1:])
        return counted + marked

    def requests(self, hook: Hook) -> CountedRequests:
        """Return the requests of a hook and their counts."""
        if hook not in self._requests:
            found = hook_requests(hook, self._events, self.runs, self.cores)
            first = int(np.searchsorted(found.t_ns, self.warmup_ns))
            counts = {
                "requests": len(found.t_ns) - first,
                "request_folios": self._events.request_folios(hook, found, first),
                "requests_hazard": self._hazards(found.t_ns[first:]),
            }
            self._requests[hook] = CountedRequests(found.events, found.t_ns, found.event, found.region, counts=counts)
        return self._requests[hook]

    def _hazards(self, t_ns: Int64Array) -> int:
        # How many requests come while SNP is being shut down or KVM is gone.
        spans = (*self.snp.shutdowns, *self.snp.unloads)
        hazard = np.zeros(len(t_ns) if spans else 0, bool)
        for bounds in spans:
            hazard[slice(*np.searchsorted(t_ns, bounds))] = True
        return int(hazard.sum())
