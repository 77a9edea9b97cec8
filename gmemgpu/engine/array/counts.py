"""What is counted of requests and of events, whatever passes do, for all traces at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from gmemgpu.engine.array.hooks import Hooks
from gmemgpu.engine.array.sums import segment_sums, whole_sums
from gmemgpu.engine.array.tables import nth
from gmemgpu.engine.array.xp.namespace import Array, begins
from gmemgpu.model.event import Kind
from gmemgpu.model.policy import Hook, Policy
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.request import FOLIO_1G_ONLY, OWNED_ONLY, folios_of, hook_kinds

__all__ = ["Counts", "HookCounts"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class HookCounts:
    """What is counted of the requests of a hook, a number a trace: by the names of metrics."""

    requests: list[int]
    request_folios: list[int]
    requests_hazard: list[int]


def _counted(policy: Policy) -> tuple[Kind, ...]:
    # The kinds of events that a policy's count of pages follows.
    counts = policy.hook == "region_free" or policy.gate != "all"
    return (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE) if counts else ()


def _marked(policy: Policy) -> tuple[Kind, ...]:
    # The kinds of events that a policy's bitmap of dirty regions follows.
    return (Kind.RELEASE, Kind.SHARE) if policy.scope in ("dirty", "dirty_retry") else ()


class Counts:
    """
    Numbers of requests and folios of some traces.

    Parameters
    ----------
    hooks : Hooks
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._tables, self._xp = hooks.tables, hooks.tables.xp

    def _of_policies(self, of: Callable[[Policy], Int64Array]) -> Int64Array:
        return np.array([of(policy) for policy in self._hooks.policies], np.int64).reshape(-1, len(self._tables))

    @cached_property
    def starters(self) -> Int64Array:
        """Requests, or ticks, and boots, (n_policies, n_traces): at most so many passes start."""
        hooks, boots = self._hooks, self._tables.n_boots
        return self._of_policies(lambda policy: hooks.n_requests(policy.hook, policy.timer) + policy.boot * boots)

    @cached_property
    def items(self) -> Int64Array:
        """Class rows, requests and what else the arrays of each pair grow with, (n_policies, n_traces)."""
        return self._of_policies(self._items_of)

    def _items_of(self, policy: Policy) -> Int64Array:
        tables, hooks = self._tables, self._hooks
        n: Int64Array = np.diff(tables.row_at) + hooks.n_requests(policy.hook, policy.timer)
        if policy.scope in ("dirty", "dirty_retry"):
            n = n + np.diff(tables.clearings[0])
        elif policy.scope != "window" and policy.timer.kind != "periodic":
            n = n + hooks.n_named(policy.hook, policy.scope)
        if policy.boot and policy.scope != "window":
            n = n + tables.n_boots * np.diff(tables.position_at)
        return n

    def _groups(self, of: Iterable[T]) -> list[list[T]]:
        # What is looked at together: all on a device, which has room, and one after another near a core.
        return [list(of)] if self._xp.waits else [[each] for each in of]

    def _first_counted(self, t_ns: Array, at: Int64Array) -> tuple[Array, Array]:
        # Edges of segments, some of each trace in turn: where each begins that is counted, and, in between, ends.
        xp, n = self._xp, len(at) - 1
        warmup_ns, device_at = xp.put(np.tile(self._tables.warmup_ns, n // len(self._tables)), at)
        begin = device_at[:-1]
        first = xp.search(t_ns, begin, device_at[1:], warmup_ns, xp.arange(n + 1), "left", begin)
        both = xp.empty(2 * n, np.int64)
        both[::2], both[1::2] = first, device_at[1:]
        return both, device_at

    @cached_property
    def _folios(self) -> dict[Kind, tuple[list[int], list[int]]]:
        # Of all events of a kind from the warm-up's end on, and of those with an inode, for each trace.
        xp, columns, n = self._xp, self._tables.columns, len(self._tables)
        kinds = {kind for hook in self._hooks.names if hook in OWNED_ONLY for kind in hook_kinds(hook)}
        for policy in self._hooks.policies:
            kinds |= {*_counted(policy), *_marked(policy)}
        most = max(trace.host.pages for trace in columns.traces)
        found = {}
        for group in self._groups(sorted(kinds)):
            each = [self._hooks.rows((kind,)) for kind in group]
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
        for group in self._groups(self._hooks.names):
            requests = [self._hooks.requests(hook) for hook in group]
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

    def of(self, hook: Hook) -> HookCounts:
        """Count the requests of a hook from the warm-up's end on, their folios, and those that come in a hazard."""
        return self._counts[hook]

    def tracker_updates(self, policy: Policy) -> list[int]:
        """Count the folios that a policy's count of pages, or its bitmap, would have to be told of, for each trace."""
        owned_only = policy.gate == "gmem_free" and policy.hook != "region_free"
        counted = [self._folios[kind][owned_only] for kind in _counted(policy)]
        told = counted + [self._folios[kind][0] for kind in _marked(policy)]
        return [sum(parts) for parts in zip(*told, strict=True)] if told else [0] * len(self._tables)
