"""The requests of hooks: of all traces at once, and what is counted of them whatever the policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.columns import REGION_BITS
from gmemgpu.engine.array.sums import joined_halves, segment_sums
from gmemgpu.engine.array.tables import Tables, nth
from gmemgpu.engine.array.xp.namespace import Array, begins
from gmemgpu.model.event import Kind
from gmemgpu.model.policy import Hook, Policy, Scope, Timer
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.request import (
    FOLIO_1G_ONLY,
    OWNED_ONLY,
    Requests,
    folios_of,
    hook_kinds,
    hook_rows,
)

__all__ = ["HookCounts", "Hooks", "TracedRequests"]

_KEPT_RANGES = 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class TracedRequests:
    """
    The requests of one hook.

    Parameters
    ----------
    at : (n_traces + 1,) int64
        Where those of each trace begin, on the host.
    of : Requests
        Those of each trace in time order.
    """

    at: Int64Array
    of: Requests


@dataclass(frozen=True, slots=True, eq=False)
class HookCounts:
    """What is counted of the requests of a hook, a number a trace: by the names of metrics."""

    requests: list[int]
    request_folios: list[int]
    requests_hazard: list[int]


class Hooks:
    """
    The requests of some traces.

    Parameters
    ----------
    tables : Tables
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._xp = tables.xp
        self._ranges: dict[tuple[Hook, Scope], tuple[Array, Array]] = {}

    def _rows(self, kinds: tuple[Kind, ...]) -> Array:
        # The events of some kinds.
        def build() -> Array:
            kind = self._tables.columns.events.kind
            if not kinds:
                return self._xp.zeros(0, np.int64)
            fires = kind == int(kinds[0])
            for each in kinds[1:]:
                fires |= kind == int(each)
            return self._xp.flatnonzero(fires)

        return self._tables.once(("rows", kinds), build)

    def requests(self, hook: Hook) -> TracedRequests:
        """Collect the requests of a hook: ties in file order, those of ``region_free`` by region."""

        def build() -> TracedRequests:
            columns, xp = self._tables.columns, self._xp
            if hook == "region_free":
                return self._of_free_regions()
            rows = hook_rows(hook, self._rows(hook_kinds(hook)), columns.events)
            at = xp.searchsorted(rows, xp.asarray(columns.event_at))
            return TracedRequests(xp.fetch(at)[0], Requests(columns.events, columns.events.t_ns[rows], rows, xp=xp))

        return self._tables.once(("requests", hook), build)

    def _of_free_regions(self) -> TracedRequests:
        # When a covered region that had pages loses the last.
        tables, xp, rows = self._tables, self._xp, self._tables.columns.rows
        n_regions = int(tables.columns.region_at[-1])
        fell = rows.first < 0
        fell[rows.at[:-1]] = False
        k = xp.flatnonzero(fell)
        region = xp.searchsorted(rows.at, k, "right") - 1
        if any(host.n_covered < host.n_regions for host in tables.hosts):
            kept = tables.of_regions("position")[region] >= 0
            k, region = k[kept], region[kept]
        t_ns = rows.t_ns[k]
        order = xp.stable_order(t_ns)
        t_ns, region = t_ns[order], region[order]
        if len(tables) == 1:
            at = begins([len(k)])
        else:
            trace = tables.trace_of_region[region]
            order = xp.stable_order(trace)
            t_ns, region, trace = t_ns[order], region[order], trace[order]
            region = region - xp.asarray(tables.columns.region_at)[trace]
            (at,) = xp.fetch(xp.searchsorted(trace, xp.arange(len(tables) + 1)))
        assert n_regions < 1 << 31
        return TracedRequests(at, Requests(tables.columns.events, t_ns, None, region.astype(np.int32), xp))

    def n_requests(self, hook: Hook, timer: Timer) -> Int64Array:
        """Count the requests of a hook for each trace; ticks, if the timer is ``periodic``."""
        if timer.kind == "periodic":
            ticks: Int64Array = (self._tables.horizon_ns - 1) // timer.delay_ns
            return ticks
        return np.diff(self.requests(hook).at)

    def places(self, scope: Scope) -> tuple[Array, Array]:
        """
        Return what requests name by ranges: for ``region`` all regions, else where each VM or inode ever had pages.

        Returns
        -------
        position, since_ns : (n,) int64
            Index among the covered regions, -1 for one that is none; and since when it is the VM's or inode's.
        """

        def build() -> tuple[Array, Array]:
            position = self._tables.of_regions("position")
            if scope == "region":
                return position, self._xp.zeros(len(position), np.int64)
            keys, since_ns = self._tables.columns.owners(scope)
            return position[keys & ((1 << REGION_BITS) - 1)], since_ns

        return self._tables.once(("places", scope), build)

    def ranges(self, hook: Hook, scope: Scope) -> tuple[Array, Array]:
        """Return the ranges of places that the requests of a hook name: where each begins, and how many they are."""
        key = hook, scope
        if key not in self._ranges:
            made = self._make_ranges(hook, scope)
            # Policies share these, but not for so long that those of a large trace pile up.
            while self._ranges and sum(len(begin) for begin, _ in self._ranges.values()) > _KEPT_RANGES:
                del self._ranges[next(iter(self._ranges))]
            self._ranges[key] = made
        return self._ranges[key]

    def _make_ranges(self, hook: Hook, scope: Scope) -> tuple[Array, Array]:
        xp, columns = self._xp, self._tables.columns
        requests = self.requests(hook)
        at = xp.asarray(requests.at)
        begin, end = (xp.spread(xp.asarray(each), at) for each in (columns.region_at[:-1], columns.region_at[1:]))
        if scope == "region":
            first = requests.of.first_region
            return first + begin, xp.maximum(requests.of.last_region - first + 1, 0)
        name = requests.of.vm if scope == "vm" else requests.of.inode
        keys, _ = columns.owners(scope)
        name = name.astype(np.int64) << REGION_BITS
        low = xp.searchsorted(keys, name + begin, "left")
        count = xp.searchsorted(keys, name + end, "left") - low
        return low.astype(np.int32), xp.where(name >= 0, count, np.int64(0)).astype(np.int32)

    def n_named(self, hook: Hook, scope: Scope) -> Int64Array:
        """Count the regions that requests name for each trace, those without coverage too."""

        def build() -> Int64Array:
            at = self._xp.asarray(self.requests(hook).at)
            sums = self._xp.sums(self.ranges(hook, scope)[1].astype(np.int64))
            found: Int64Array = self._xp.fetch(sums[at[1:]] - sums[at[:-1]])[0]
            return found

        return self._tables.once(("n_named", hook, scope), build)

    def _folios(self, kind: Kind) -> tuple[list[int], list[int]]:
        # Of all events of a kind from the warm-up's end on, and of those with an inode, for each trace.
        def build() -> tuple[list[int], list[int]]:
            xp, events = self._xp, self._tables.columns.events
            rows = self._rows((kind,))
            folios = folios_of(events, rows, xp)
            owned = xp.where(events.inode[rows] >= 0, folios, np.int64(0))
            found = xp.fetch(*segment_sums(xp, self._counted(events.t_ns[rows], rows), folios, owned))
            return joined_halves(*(part[::2] for part in found[:2])), joined_halves(*(part[::2] for part in found[2:]))

        return self._tables.once(("folios", kind), build)

    def _counted(self, t_ns: Array, rows: Array) -> Array:
        # Of events, ascending: the first of each trace that is counted, and the first of the next trace, in turn.
        xp, tables = self._xp, self._tables
        at = xp.searchsorted(rows, xp.asarray(tables.columns.event_at))
        return self._with_warmups(t_ns, at)

    def _with_warmups(self, t_ns: Array, at: Array) -> Array:
        xp, n = self._xp, len(self._tables)
        warmup_ns = xp.asarray(self._tables.warmup_ns)
        first = xp.search(t_ns, at[:-1], at[1:], warmup_ns, xp.arange(n + 1), "left") + at[:-1]
        both = xp.empty(2 * n, np.int64)
        both[::2], both[1::2] = first, at[1:]
        return both

    def counts(self, hook: Hook) -> HookCounts:
        """Count the requests of a hook from the warm-up's end on, their folios, and those that come in a hazard."""

        def build() -> HookCounts:
            xp, found = self._xp, self.requests(hook)
            edges = self._with_warmups(found.of.t_ns, xp.asarray(found.at))
            wanted = [xp.diff(edges), *segment_sums(xp, edges, self._in_hazard(found))]
            if hook in FOLIO_1G_ONLY:
                wanted += segment_sums(xp, edges, folios_of(found.of.events, found.of.event, xp))
            n_requests, *parts = (part[::2] for part in xp.fetch(*wanted))
            folios = [0] * len(self._tables)
            if hook in OWNED_ONLY:
                of_kinds = [self._folios(kind)[1] for kind in hook_kinds(hook)]
                folios = [sum(each) for each in zip(*of_kinds, strict=True)]
            elif hook in FOLIO_1G_ONLY:
                folios = joined_halves(*parts[2:])
            return HookCounts(n_requests.tolist(), folios, joined_halves(*parts[:2]))

        return self._tables.once(("counts", hook), build)

    def _in_hazard(self, requests: TracedRequests) -> Array:
        # Which requests come while SNP is being shut down or KVM is gone.
        xp, t_ns = self._xp, requests.of.t_ns
        at = xp.asarray(requests.at)
        hazard = xp.zeros(len(t_ns), bool)
        for spans in ([snp.shutdowns for snp in self._tables.snp], [snp.unloads for snp in self._tables.snp]):
            for edges in nth(spans):
                begin_ns, end_ns = (xp.spread(xp.asarray(each), at) for each in edges)
                hazard |= (t_ns >= begin_ns) & (t_ns < end_ns)
        return hazard.astype(np.int64)

    def tracker_updates(self, policy: Policy) -> list[int]:
        """Count the folios that a policy's count of pages, or its bitmap, would have to be told of, for each trace."""
        counted = policy.hook == "region_free" or policy.gate == "free"
        marked = policy.scope in ("dirty", "dirty_retry")
        kinds = (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE)
        sums = np.zeros(len(self._tables), object)
        if counted or policy.gate == "gmem_free":
            for kind in kinds:
                sums += np.array(self._folios(kind)[0 if counted else 1], object)
        if marked:
            for kind in kinds[1:]:
                sums += np.array(self._folios(kind)[0], object)
        return sums.tolist()
