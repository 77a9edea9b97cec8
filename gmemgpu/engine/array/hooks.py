"""The requests of hooks: of all traces at once, and what is counted of them whatever the policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from gmemgpu.engine.array.columns import REGION_BITS
from gmemgpu.engine.array.sums import segment_sums, whole_sums
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

T = TypeVar("T")

_KEPT_RANGES = (1 << 18, 1 << 26)
"""Near a core, and on a device."""


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
    The requests of some traces, as far as policies read them.

    Parameters
    ----------
    tables : Tables
    policies : sequence of Policy
        Those that may ask.
    """

    def __init__(self, tables: Tables, policies: Sequence[Policy]) -> None:
        self._tables, self._policies = tables, policies
        self._xp = tables.xp
        self._hooks = list(dict.fromkeys(policy.hook for policy in policies))
        self._rows_of: dict[tuple[Kind, ...], Array] = {}
        self._ranges: dict[tuple[Hook, Scope], tuple[Array, Array]] = {}

    def _rows(self, kinds: tuple[Kind, ...]) -> Array:
        # The events of some kinds.
        if not kinds:
            return self._xp.zeros(0, np.int64)
        if kinds not in self._rows_of:
            kind = self._tables.columns.events.kind
            fires = kind == int(kinds[0])
            for each in kinds[1:]:
                fires |= kind == int(each)
            self._rows_of[kinds] = self._xp.flatnonzero(fires)
        return self._rows_of[kinds]

    @cached_property
    def _requests(self) -> dict[Hook, TracedRequests]:
        columns, xp = self._tables.columns, self._xp
        found: dict[Hook, TracedRequests] = {}
        rows: dict[Hook, Array] = {}
        for hook in self._hooks:
            if hook == "region_free":
                found[hook] = self._of_free_regions()
            else:
                rows[hook] = hook_rows(hook, self._rows(hook_kinds(hook)), columns.events)
        if rows:
            event_at = xp.asarray(columns.event_at)
            ats = xp.fetch(*(xp.searchsorted(of_hook, event_at) for of_hook in rows.values()))
            for (hook, of_hook), at in zip(rows.items(), ats, strict=True):
                found[hook] = TracedRequests(at, Requests(columns.events, columns.events.t_ns[of_hook], of_hook, xp=xp))
        return found

    def requests(self, hook: Hook) -> TracedRequests:
        """Return the requests of a hook: ties in file order, those of ``region_free`` by region."""
        return self._requests[hook]

    def _of_free_regions(self) -> TracedRequests:
        # When a covered region that had pages loses the last.
        tables, xp, rows = self._tables, self._xp, self._tables.columns.rows
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
            most = _KEPT_RANGES[self._xp.waits]
            while self._ranges and sum(len(begin) for begin, _ in self._ranges.values()) > most:
                del self._ranges[next(iter(self._ranges))]
            self._ranges[key] = made
        return self._ranges[key]

    def _make_ranges(self, hook: Hook, scope: Scope) -> tuple[Array, Array]:
        xp, columns = self._xp, self._tables.columns
        requests = self.requests(hook)
        at, *edges = xp.put(requests.at, columns.region_at[:-1], columns.region_at[1:])
        n = len(requests.of.t_ns)
        begin = xp.spread(edges[0], at, n)
        if scope == "region":
            first = requests.of.first_region
            return first + begin, xp.maximum(requests.of.last_region - first + 1, 0)
        end = xp.spread(edges[1], at, n)
        name = requests.of.vm if scope == "vm" else requests.of.inode
        keys, _ = columns.owners(scope)
        name = name.astype(np.int64) << REGION_BITS
        low = xp.searchsorted(keys, name + begin, "left")
        count = xp.searchsorted(keys, name + end, "left") - low
        return low.astype(np.int32), xp.where(name >= 0, count, np.int64(0)).astype(np.int32)

    @cached_property
    def _named(self) -> dict[tuple[Hook, Scope], Int64Array]:
        xp, sums = self._xp, {}
        for policy in self._policies:
            key = policy.hook, policy.scope
            if policy.scope in ("region", "vm", "inode") and policy.timer.kind != "periodic" and key not in sums:
                count = self.ranges(*key)[1].astype(np.int64)
                at = xp.asarray(self.requests(policy.hook).at)
                (sums[key],) = segment_sums(xp, at, count, 1)
        return dict(zip(sums, xp.fetch(*sums.values()), strict=True)) if sums else {}

    def n_named(self, hook: Hook, scope: Scope) -> Int64Array:
        """Count the regions that requests name for each trace, those without coverage too."""
        return self._named[hook, scope]

    def _groups(self, of: Iterable[T]) -> list[list[T]]:
        # What is looked at together: all on a device, which has room, and one after another near a core.
        return [list(of)] if self._xp.waits else [[each] for each in of]

    def _first_counted(self, t_ns: Array, at: Int64Array) -> tuple[Array, Array]:
        # Edges of segments, some of each trace in turn: where each begins that is counted, and, in between, ends.
        xp, n = self._xp, len(at) - 1
        warmup_ns, device_at = xp.put(np.tile(self._tables.warmup_ns, n // len(self._tables)), at)
        first = xp.search(t_ns, device_at[:-1], device_at[1:], warmup_ns, xp.arange(n + 1), "left") + device_at[:-1]
        both = xp.empty(2 * n, np.int64)
        both[::2], both[1::2] = first, device_at[1:]
        return both, device_at

    @cached_property
    def _folios(self) -> dict[Kind, tuple[list[int], list[int]]]:
        # Of all events of a kind from the warm-up's end on, and of those with an inode, for each trace.
        xp, columns, n = self._xp, self._tables.columns, len(self._tables)
        kinds = {kind for hook in self._hooks if hook in OWNED_ONLY for kind in hook_kinds(hook)}
        if any(policy.hook == "region_free" or policy.gate != "all" for policy in self._policies):
            kinds.add(Kind.ASSIGN)
        kinds |= {Kind.RELEASE, Kind.SHARE}
        most = max(trace.host.pages for trace in columns.traces)
        found = {}
        for group in self._groups(sorted(kinds)):
            each = [self._rows((kind,)) for kind in group]
            event_at = xp.asarray(columns.event_at)
            ats = xp.fetch(*(xp.searchsorted(rows, event_at) for rows in each))
            rows = each[0] if len(each) == 1 else xp.concatenate(each)
            at = begins(np.concatenate([np.diff(of_kind) for of_kind in ats]))
            edges, _ = self._first_counted(columns.events.t_ns[rows], at)
            folios = folios_of(columns.events, rows, xp)
            owned = xp.where(columns.events.inode[rows] >= 0, folios, np.int64(0))
            parts = [segment_sums(xp, edges, values, most) for values in (folios, owned)]
            sums = [part[::2] for part in xp.fetch(*parts[0], *parts[1])]
            whole = [whole_sums(sums[: len(parts[0])]), whole_sums(sums[len(parts[0]) :])]
            for k, kind in enumerate(group):
                found[kind] = whole[0][k * n : (k + 1) * n], whole[1][k * n : (k + 1) * n]
        return found

    @cached_property
    def _counts(self) -> dict[Hook, HookCounts]:
        n, found = len(self._tables), {}
        most = max(trace.host.pages for trace in self._tables.columns.traces)
        spans = [[*snp.shutdowns, *snp.unloads] for snp in self._tables.snp]
        for group in self._groups(self._hooks):
            requests = [self.requests(hook) for hook in group]
            at = begins(np.concatenate([np.diff(each.at) for each in requests]))
            t_ns = [each.of.t_ns for each in requests]
            whole_t_ns = t_ns[0] if len(t_ns) == 1 else self._xp.concatenate(t_ns)
            edges, device_at = self._first_counted(whole_t_ns, at)
            wanted = [self._xp.diff(edges)]
            if any(spans):
                hazard = self._in_hazard(whole_t_ns, device_at, len(group))
                wanted += segment_sums(self._xp, edges, hazard.astype(np.int64), 1)
            large = [k for k, hook in enumerate(group) if hook in FOLIO_1G_ONLY]
            n_folios = len(wanted)
            for k in large:
                folios = folios_of(requests[k].of.events, requests[k].of.event, self._xp)
                own = edges[2 * n * k : 2 * n * (k + 1)] - int(at[n * k])
                wanted += segment_sums(self._xp, own, folios, most)
            sums = [part[::2] for part in self._xp.fetch(*wanted)]
            each_folios = sums[n_folios:]
            per_hook = len(each_folios) // max(len(large), 1)
            for k, hook in enumerate(group):
                own = slice(n * k, n * (k + 1))
                folios = [0] * n
                if hook in OWNED_ONLY:
                    of_kinds = (self._folios[kind][1] for kind in hook_kinds(hook))
                    folios = [sum(parts) for parts in zip(*of_kinds, strict=True)]
                elif k in large:
                    folios, each_folios = whole_sums(each_folios[:per_hook]), each_folios[per_hook:]
                hazards = sums[1][own].tolist() if any(spans) else [0] * n
                found[hook] = HookCounts(sums[0][own].tolist(), folios, hazards)
        return found

    def _in_hazard(self, t_ns: Array, at: Array, n_hooks: int) -> Array:
        # Which requests come while SNP is being shut down or KVM is gone.
        xp = self._xp
        hazard = xp.zeros(len(t_ns), bool)
        for spans in ([snp.shutdowns for snp in self._tables.snp], [snp.unloads for snp in self._tables.snp]):
            for edges in nth(spans):
                begin_ns, end_ns = (xp.spread(xp.asarray(np.tile(each, n_hooks)), at, len(t_ns)) for each in edges)
                hazard |= (t_ns >= begin_ns) & (t_ns < end_ns)
        return hazard

    def counts(self, hook: Hook) -> HookCounts:
        """Count the requests of a hook from the warm-up's end on, their folios, and those that come in a hazard."""
        return self._counts[hook]

    def tracker_updates(self, policy: Policy) -> list[int]:
        """Count the folios that a policy's count of pages, or its bitmap, would have to be told of, for each trace."""
        counted = policy.hook == "region_free" or policy.gate == "free"
        told: list[list[int]] = []
        if counted or policy.gate == "gmem_free":
            told += [self._folios[kind][not counted] for kind in (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE)]
        if policy.scope in ("dirty", "dirty_retry"):
            told += [self._folios[kind][0] for kind in (Kind.RELEASE, Kind.SHARE)]
        return [sum(parts) for parts in zip(*told, strict=True)] if told else [0] * len(self._tables)
