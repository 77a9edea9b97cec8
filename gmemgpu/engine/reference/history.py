"""One walk over a trace, event by event: everything that no policy changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby

from gmemgpu.engine.reference.event import Event, events_of
from gmemgpu.engine.reference.pages import NOTHING, HostPages, RegionCount
from gmemgpu.engine.reference.region import RegionHistory
from gmemgpu.engine.reference.snp import SnpHistory
from gmemgpu.engine.reference.steps import Steps
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Trace

__all__ = ["TraceHistory"]


class TraceHistory:
    """
    A trace, replayed on page arrays.

    Parameters
    ----------
    trace : Trace
        A valid one.

    Attributes
    ----------
    events : list of Event
    snp : SnpHistory
    regions : list of RegionHistory
        One for each region of the host.
    covering_cores : list of int
        C_r for each region.
    hole_regions : set of int
        Regions that are nobody's (section 3).
    falls : list of (t_ns, region)
        Each moment at which A_r falls to 0, by time, then region.
    dirtied_ns : dict of region to list of int
        Times of the ``release`` and ``share`` extents that touch it, whether or not any page was assigned.
    vm_regions, inode_regions : dict of id to dict of region to int
        Where a VM's guest_memfds, or an inode, got pages assigned, and when first.
    """

    def __init__(self, trace: Trace) -> None:
        self.horizon_ns = trace.horizon_ns
        self.warmup_ns = trace.warmup_ns
        self.threads_per_core = trace.host.threads_per_core
        self.covering_cores = trace.host.covering_cores()
        self.hole_regions = set(trace.host.hole_regions())
        self.events = list(events_of(trace))
        self.snp = SnpHistory()
        self.falls: list[tuple[int, int]] = []
        self.dirtied_ns: defaultdict[int, list[int]] = defaultdict(list)
        self.vm_regions: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self.inode_regions: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self._evicting: set[int] = set()
        self._counts: dict[int, Steps[RegionCount]] = {}
        # The page arrays are large, and nobody asks for them once every region is counted.
        pages = HostPages()
        for t_ns, group in groupby(self.events, key=lambda event: event.t_ns):
            self._instant(t_ns, group, pages)
        untouched = RegionHistory.untouched(self.snp, self.horizon_ns)
        self.regions = [untouched] * trace.host.n_regions
        for region, counts in self._counts.items():
            self.regions[region] = RegionHistory(counts, self.snp, self.horizon_ns)

    # The state at t is the state after every event at t (section 3): regions are counted once all are applied.
    def _instant(self, t_ns: int, events: Iterable[Event], pages: HostPages) -> None:
        touched: set[int] = set()
        for event in events:
            self.snp.apply(event)
            self._apply(event, pages)
            touched.update(self._recount_after(event))
        for region in sorted(touched):
            counts = self._counts.setdefault(region, Steps(NOTHING))
            before = counts.states[-1]
            evicting = [inode for inode in self._evicting if region in self.inode_regions[inode]]
            now = pages.count(region, evicting)
            counts.record(t_ns, now)
            # Before and now are states between instants (section 5): what comes and goes within one is not seen.
            if before.assigned_pages > 0 and now.assigned_pages == 0:
                self.falls.append((t_ns, region))

    # What an event does to the pages (section 3, Page semantics); invalidate and freed change no state.
    def _apply(self, event: Event, pages: HostPages) -> None:
        kind, pfn, npages = event.kind, event.pfn, event.npages
        if kind is Kind.ASSIGN:
            pages.assign(pfn, npages, event.inode)
            if event.inode >= 0:
                for region in event.regions:
                    self.inode_regions[event.inode].setdefault(region, event.t_ns)
                    self.vm_regions[event.vm].setdefault(region, event.t_ns)
        elif kind in (Kind.RELEASE, Kind.SHARE):
            pages.clear(pfn, npages)
            for region in event.regions:
                self.dirtied_ns[region].append(event.t_ns)
        elif kind in (Kind.USE, Kind.UNUSE):
            pages.set_in_use(pfn, npages, kind is Kind.USE)
        elif kind is Kind.EVICT_BEGIN and event.inode >= 0:
            self._evicting.add(event.inode)
        elif kind is Kind.EVICT_END:
            self._evicting.discard(event.inode)

    # The regions whose counts an event may have changed.
    def _recount_after(self, event: Event) -> Iterable[int]:
        if event.kind in (Kind.EVICT_BEGIN, Kind.EVICT_END):
            return self.inode_regions.get(event.inode, {})
        if event.kind in (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE, Kind.USE, Kind.UNUSE):
            return event.regions
        return ()
