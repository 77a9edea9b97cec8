"""The requests of hooks, of all traces at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gmemgpu.engine.array.columns import REGION_BITS
from gmemgpu.engine.array.sums import segment_sums
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.array.xp.namespace import Array, begins
from gmemgpu.model.event import Kind
from gmemgpu.model.policy import Hook, Policy, Scope, Timer
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.request import Requests, hook_kinds, hook_rows

__all__ = ["Hooks", "TracedRequests"]

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


class Hooks:
    """
    The requests of some traces, as far as policies read them.

    Parameters
    ----------
    tables : Tables
    policies : sequence of Policy
        Those that may ask.

    Attributes
    ----------
    tables : Tables
    policies : sequence of Policy
    names : list of Hook
        Those of the policies, each once.
    """

    def __init__(self, tables: Tables, policies: Sequence[Policy]) -> None:
        self.tables, self.policies = tables, policies
        self.names = list(dict.fromkeys(policy.hook for policy in policies))
        self._xp = tables.xp
        self._rows_of: dict[tuple[Kind, ...], Array] = {}
        self._ranges: dict[tuple[Hook, Scope], tuple[Array, Array]] = {}

    def rows(self, kinds: tuple[Kind, ...]) -> Array:
        """Find the events of some kinds, ascending."""
        if not kinds:
            return self._xp.zeros(0, np.int64)
        if kinds not in self._rows_of:
            kind = self.tables.columns.events.kind
            fires = kind == int(kinds[0])
            for each in kinds[1:]:
                fires |= kind == int(each)
            self._rows_of[kinds] = self._xp.flatnonzero(fires)
        return self._rows_of[kinds]

    @cached_property
    def _requests(self) -> dict[Hook, TracedRequests]:
        columns, xp = self.tables.columns, self._xp
        found: dict[Hook, TracedRequests] = {}
        rows: dict[Hook, Array] = {}
        for hook in self.names:
            if hook == "region_free":
                found[hook] = self._of_free_regions()
            else:
                rows[hook] = hook_rows(hook, self.rows(hook_kinds(hook)), columns.events)
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
        tables, xp, rows = self.tables, self._xp, self.tables.columns.rows
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
            (at,) = xp.fetch(xp.edges(trace, len(tables)))
        event = xp.full(len(t_ns), -1, np.int64)
        return TracedRequests(at, Requests(tables.columns.events, t_ns, event, region.astype(np.int32), xp))

    def n_requests(self, hook: Hook, timer: Timer) -> Int64Array:
        """Count the requests of a hook for each trace; ticks, if the timer is ``periodic``."""
        if timer.kind == "periodic":
            ticks: Int64Array = (self.tables.horizon_ns - 1) // timer.delay_ns
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
            position = self.tables.of_regions("position")
            if scope == "region":
                return position, self._xp.zeros(len(position), np.int64)
            keys, since_ns = self.tables.columns.owners(scope)
            return position[keys & ((1 << REGION_BITS) - 1)], since_ns

        return self.tables.once(("places", scope), build)

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
        xp, columns = self._xp, self.tables.columns
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
        for policy in self.policies:
            key = policy.hook, policy.scope
            if policy.scope in ("region", "vm", "inode") and policy.timer.kind != "periodic" and key not in sums:
                count = self.ranges(*key)[1].astype(np.int64)
                at = xp.asarray(self.requests(policy.hook).at)
                (sums[key],) = segment_sums(xp, at, count, 1)
        return dict(zip(sums, xp.fetch(*sums.values()), strict=True)) if sums else {}

    def n_named(self, hook: Hook, scope: Scope) -> Int64Array:
        """Count the regions that requests name for each trace, those without coverage too."""
        return self._named[hook, scope]
