"""Class rows of some traces: what a pass may find in each covered region, and from when on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np

from gmemgpu.engine.array.columns import TraceColumns
from gmemgpu.engine.array.host_regions import host_regions
from gmemgpu.engine.array.xp.namespace import Array, begins
from gmemgpu.engine.class_code import CLEAN
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.snp import FOREVER, SnpStates, snp_states_of

__all__ = ["Tables", "nth"]

T = TypeVar("T")


def nth(intervals: Sequence[Sequence[tuple[int, int]]]) -> Iterator[tuple[Int64Array, Int64Array]]:
    """List the first, second, … intervals of all traces: where they begin and end; -1 where a trace has no more."""
    for n in range(max(map(len, intervals), default=0)):
        each = np.array([of[n] if n < len(of) else (-1, -1) for of in intervals], np.int64)
        yield each[:, 0], each[:, 1]


class Tables:
    """
    Rows by trace, covered region, then time, cut where SNP goes on or off: a free row is a free episode.

    Parameters
    ----------
    columns : TraceColumns

    Attributes
    ----------
    xp : Namespace
    columns : TraceColumns
    hosts : list of HostRegions
        Of each trace.
    snp : list of SnpStates
    horizon_ns, warmup_ns : (n_traces,) int64
        On the host.
    row_at, instant_at, position_at : (n_traces + 1,) int64
        Where the rows, the instants and the covered regions of each begin, on the host. The place past the last
        instant of a trace counts as one.
    region : (n_rows,) int64
        Of all traces.
    position, rank : (n_rows,) int64
        Index of the region among the covered ones of its trace, and of the time among the instants of its trace.
    t_ns : (n_rows,) int64
        When the row begins.
    until_ns : (n_rows,) int64
        When the region's next row begins; `FOREVER` for its last.
    code : (n_rows,) int64
        The class as if no bit were set.
    gmem : (n_rows,) bool
        Whether guest_memfd pages are assigned.
    bounds_ns : (n_instants,) int64
        The times of all rows of a trace, ascending, each once, 0 being the first; and `FOREVER`.
    on_at, begins_snp : (n_instants,) bool
        Whether SNP is on from that instant to the next; whether an epoch of SNP begins with it.
    on, free, busy : (n_rows,) bool
        Whether SNP is on; the row is a free episode; any page is assigned.
    group_of_row : (n_rows,) int64
        What to add to the class for the costs of the region.
    key : (n_rows,) int64
        Ascending within a trace: of position and rank.
    ends : (n_positions,) int64
        Last row of each covered region.
    """

    def __init__(self, columns: TraceColumns) -> None:
        self.columns = columns
        self.xp = columns.xp
        self.hosts = [host_regions(trace.host) for trace in columns.traces]
        self.horizon_ns = np.array([trace.horizon_ns for trace in columns.traces], np.int64)
        self.warmup_ns = np.array([trace.warmup_ns for trace in columns.traces], np.int64)
        self.position_at = begins([host.n_covered for host in self.hosts])
        self.snp = self._snp()
        self._make_rows()
        self._make_instants()
        xp, n = self.xp, len(self.t_ns)
        last = xp.ones(n, bool)
        last[:-1] = self.region[1:] != self.region[:-1]
        self.ends = xp.flatnonzero(last)
        self.until_ns = xp.full(n, FOREVER, np.int64)
        self.until_ns[:-1] = self.t_ns[1:]
        self.until_ns[self.ends] = FOREVER
        self.key = self.position * self.of_rows(np.diff(self.instant_at)) + self.rank
        self.on = self.on_at[self.instant_of_row]
        self.free = (self.code == CLEAN) & self.on
        self.busy = self.code < CLEAN
        self.group_of_row = self.of_regions("group")[self.region]
        self._kept: dict[object, object] = {}

    def __len__(self) -> int:
        return len(self.hosts)

    def once(self, key: object, build: Callable[[], T]) -> T:
        """Return what was built before under this key; else build it."""
        if key not in self._kept:
            self._kept[key] = build()
        found: T = self._kept[key]  # type: ignore[assignment]
        return found

    def of_regions(self, name: str) -> Array:
        """Return a column of `HostRegions` for all regions of all traces."""
        parts = [getattr(host, name) for host in self.hosts]
        return self.xp.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def of_rows(self, values: Int64Array) -> Array:
        """Return a value a trace as a value a row; a single one as it is."""
        each, row_at = self.xp.put(values, self.row_at)
        return self.xp.spread(each, row_at, len(self.t_ns))

    @cached_property
    def trace_of_region(self) -> Array:
        """The trace of each region."""
        counts = np.diff(self.columns.region_at)
        return self.xp.asarray(np.repeat(np.arange(len(self)), counts))

    def _snp(self) -> list[SnpStates]:
        columns = self.columns
        rows = self.xp.flatnonzero(columns.events.kind >= int(Kind.SNP_SHUTDOWN_BEGIN))
        none = snp_states_of((), ())
        if not len(rows):
            return [none] * len(columns.traces)
        event, t_ns, kind = self.xp.fetch(rows, columns.events.t_ns[rows], columns.events.kind[rows])
        at = np.searchsorted(event, columns.event_at).tolist()
        return [snp_states_of(t_ns[a:b].tolist(), kind[a:b].tolist()) if a < b else none for a, b in pairwise(at)]

    def _make_rows(self) -> None:
        xp, rows = self.xp, self.columns.rows
        region = xp.owners(rows.at, len(rows.t_ns))
        code, gmem, t_ns = rows.codes(xp), rows.gmem > 0, rows.t_ns
        position_of = self.of_regions("position")
        if any(host.n_covered < host.n_regions for host in self.hosts):
            kept = xp.flatnonzero(position_of[region] >= 0)
            region, t_ns, code, gmem = region[kept], t_ns[kept], code[kept], gmem[kept]
        self.cuts = [sorted({t for epoch in snp.epochs for t in epoch if 0 < t < FOREVER}) for snp in self.snp]
        if any(self.cuts):
            source, t_ns = self._cut(region, t_ns)
            region, code, gmem = region[source], code[source], gmem[source]
        self.region, self.t_ns, self.code, self.gmem = region, t_ns, code, gmem
        self.position = position_of[region]
        if len(self) == 1:
            self.row_at = begins([len(t_ns)])
        else:
            (self.row_at,) = xp.fetch(xp.searchsorted(region, xp.asarray(self.columns.region_at)))

    def _cut(self, region: Array, t_ns: Array) -> tuple[Array, Array]:
        # One more row a region at each cut, with the state of the row before it, unless one begins there. Gives each
        # row's source, and the times.
        xp = self.xp
        places, cuts_ns = [], []
        for host, begin, cuts in zip(self.hosts, self.columns.region_at.tolist(), self.cuts, strict=False):
            covered = np.flatnonzero(host.position >= 0)
            places.append(np.repeat(covered + begin, len(cuts)))
            cuts_ns.append(np.tile(np.array(cuts, np.int64), len(covered)))
        place, cut_ns = xp.asarray(np.concatenate(places)), xp.asarray(np.concatenate(cuts_ns))
        at = xp.edges(region, int(self.columns.region_at[-1]))
        before = xp.last_of(t_ns, at[place], at[place + 1], cut_ns)
        k = xp.flatnonzero(t_ns[before] < cut_ns)
        before, cut_ns = before[k], cut_ns[k]
        n, n_new = len(t_ns), len(k)
        old = xp.arange(n)
        to = old + xp.searchsorted(before, old, "left")
        new = before + 1 + xp.arange(n_new)
        source, times = xp.empty(n + n_new, np.int64), xp.empty(n + n_new, np.int64)
        source[to], source[new] = old, before
        times[to], times[new] = t_ns, cut_ns
        return source, times

    def _make_instants(self) -> None:
        xp, n = self.xp, len(self)
        # A trace without rows has these instants.
        others = [[0, *cuts] for cuts in self.cuts]
        other_ns = xp.asarray(np.array([t for each in others for t in each], np.int64))
        owner = None
        if n > 1:
            other_owner = np.repeat(np.arange(n), list(map(len, others)))
            owner = xp.concatenate([self.trace_of_region[self.region], xp.asarray(other_owner)])
        at, instants_ns, rank = xp.distinct(xp.concatenate([self.t_ns, other_ns]), owner, n)
        self.instant_at = at + np.arange(n + 1)
        self.rank = rank[: len(self.t_ns)]
        bounds_ns = self.bounds_ns = xp.full(int(self.instant_at[-1]), FOREVER, np.int64)
        instant_at = xp.asarray(self.instant_at)
        bounds_ns[xp.arange(len(instants_ns)) + xp.spread(xp.arange(n), xp.asarray(at), len(instants_ns))] = instants_ns
        self.on_at, self.begins_snp = xp.zeros(len(bounds_ns), bool), xp.zeros(len(bounds_ns), bool)
        for begin_ns, end_ns in nth([snp.epochs for snp in self.snp]):
            begin, end = (xp.spread(xp.asarray(each), instant_at, len(bounds_ns)) for each in (begin_ns, end_ns))
            self.on_at |= (bounds_ns >= begin) & (bounds_ns < end)
            self.begins_snp |= bounds_ns == begin
        last = instant_at[1:] - 1
        self.on_at[last] = self.on_at[last - 1]
        self.instant_of_row = self.rank + self.of_rows(self.instant_at[:-1])

    @cached_property
    def n_boots(self) -> Int64Array:
        """How often SNP comes up in each trace."""
        found: Int64Array = np.array([1 + len(snp.inits) for snp in self.snp], np.int64)
        return found

    @cached_property
    def clearings(self) -> tuple[Int64Array, Array, Array]:
        """Times and positions of all clearings, those of each trace in time order; and, first, where each begins."""
        xp = self.xp
        t_ns, region, at = self.columns.clearings()
        position = self.of_regions("position")[region]
        if any(host.n_covered < host.n_regions for host in self.hosts):
            kept = xp.flatnonzero(position >= 0)
            t_ns, position = t_ns[kept], position[kept]
            (at,) = xp.fetch(xp.searchsorted(kept, xp.asarray(at)))
        return at, t_ns, position

    @cached_property
    def clearings_by_position(self) -> tuple[Int64Array, Array, Array]:
        """The same, those of each trace by position, then time."""
        at, t_ns, position = self.clearings
        before = self.xp.spread(self.xp.asarray(self.position_at[:-1]), self.xp.asarray(at), len(position))
        order = self.xp.stable_order(position + before)
        return at, t_ns[order], position[order]
