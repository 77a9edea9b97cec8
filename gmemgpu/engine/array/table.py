"""The class rows of one trace: what a pass may find in each covered region, and from when on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from gmemgpu.engine.array.request_times import RequestTimes, request_times
from gmemgpu.engine.class_code import CLEAN, cost_groups
from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.policy import Hook, Timer
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.timeline.snp import FOREVER, SnpStates

__all__ = ["TraceTable"]

T = TypeVar("T")

_KEPT_REQUESTS = 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    position: Int64Array
    t_ns: Int64Array
    code: Int64Array
    gmem: BoolArray


def _class_rows(prepared: Prepared) -> _Rows:
    line = prepared.timeline
    rows = prepared.noticed
    region = line.region[rows]
    kept = prepared.cores[region] > 0
    rows, region = rows[kept], region[kept]
    position = np.searchsorted(prepared.covered, region)
    return _Rows(position, line.t_ns[rows], prepared.codes[kept], prepared.gmem[kept])


def _cut(rows: _Rows, cuts_ns: Int64Array, n_positions: int) -> _Rows:
    # One more row a region at each cut, with the state of the row before it. Of two at the same time the first is
    # kept, which is the region's own.
    n = len(rows.t_ns)
    position = np.append(rows.position, np.tile(np.arange(n_positions), len(cuts_ns)))
    t_ns = np.append(rows.t_ns, np.repeat(cuts_ns, n_positions))
    source = np.append(np.arange(n), np.full(len(t_ns) - n, -1))
    order = np.lexsort((source < 0, t_ns, position))
    position, t_ns, source = position[order], t_ns[order], source[order]
    source = np.maximum.accumulate(source) if n else source
    kept = np.ones(len(t_ns), bool)
    kept[1:] = (position[1:] != position[:-1]) | (t_ns[1:] != t_ns[:-1])
    source = source[kept]
    return _Rows(position[kept], t_ns[kept], rows.code[source], rows.gmem[source])


def _is_on(snp: SnpStates, t_ns: Int64Array) -> BoolArray:
    on = np.zeros(len(t_ns), bool)
    for begin, end in snp.epochs:
        on |= (t_ns >= begin) & (t_ns < end)
    return on


class TraceTable:
    """
    Rows by covered region, then time, cut where SNP goes on or off: a free row is a free episode.

    Parameters
    ----------
    prepared : Prepared
        The trace.

    Attributes
    ----------
    prepared : Prepared
    instants_ns : (n_instants,) int64
        The times of all rows, ascending, each once; 0 is the first.
    on_at : (n_instants + 1,) bool
        Whether SNP is on from that instant to the next; one more, so that a search may point past the end.
    position, rank : (n,) int64
        Index of the region among the covered ones, and of the time among the instants.
    until_ns : (n,) int64
        When the region's next row begins; `FOREVER` for its last.
    code, group_of_row : (n,) int64
        The class as if no bit were set, and what to add to it for the costs of the region.
    gmem, on, free, busy : (n,) bool
        Whether guest_memfd pages are assigned; SNP is on; the row is a free episode; any page is assigned.
    key : (n,) int64
        Ascending: of position and rank.
    ends : (n_covered,) int64
        Last row of each region.
    position_of : (n_regions,) int64
        Index of each covered region among those.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        snp = prepared.snp
        m = self.n_positions = len(prepared.covered)
        rows = _class_rows(prepared)
        cuts = sorted({t for epoch in snp.epochs for t in epoch if 0 < t < FOREVER})
        if cuts and m:
            rows = _cut(rows, np.array(cuts, np.int64), m)
        self.position, self.code, self.gmem = rows.position, rows.code, rows.gmem
        self.instants_ns, self.rank = np.unique(np.append(rows.t_ns, [0, *cuts]), return_inverse=True)
        self.rank = self.rank[: len(rows.t_ns)]
        self.n_instants = len(self.instants_ns) + 1
        on = _is_on(snp, self.instants_ns)
        self.on_at: BoolArray = np.append(on, on[-1])
        self.t_ns: Int64Array = rows.t_ns
        self.on: BoolArray = on[self.rank]
        self.key: Int64Array = self.position * self.n_instants + self.rank
        self.ends: Int64Array = np.searchsorted(self.position, np.arange(m), "right") - 1
        self.until_ns: Int64Array = np.append(rows.t_ns[1:], FOREVER)[: len(rows.t_ns)]
        self.until_ns[self.ends] = FOREVER
        self.free: BoolArray = (self.code == CLEAN) & self.on
        self.busy: BoolArray = self.code < CLEAN
        self.group: Int64Array = cost_groups(prepared.cores)[prepared.covered]
        self.group_of_row: Int64Array = self.group[self.position]
        self.position_of: Int64Array = np.cumsum(prepared.cores > 0) - 1
        self._kept: dict[object, object] = {}
        self._times: dict[tuple[Hook, Timer], RequestTimes] = {}

    def _once(self, key: object, build: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = build()
        found: T = self._kept[key]  # type: ignore[assignment]
        return found

    def n_requests(self, hook: Hook, timer: Timer) -> int:
        """Count the requests of a hook; ticks, if the timer is ``periodic``."""
        if timer.kind == "periodic":
            return (self.prepared.horizon_ns - 1) // timer.delay_ns
        return len(self.prepared.requests(hook).t_ns)

    def request_times(self, hook: Hook, timer: Timer) -> RequestTimes:
        """Return when the requests of a hook become due under a timer."""
        key = hook, timer
        if key not in self._times:
            found = request_times(self.prepared.requests(hook).t_ns, timer, self.prepared.horizon_ns)
            # Policies share these, but not for so long that those of a large trace pile up.
            while self._times and sum(len(times.t_ns) for times in self._times.values()) > _KEPT_REQUESTS:
                del self._times[next(iter(self._times))]
            self._times[key] = found
        return self._times[key]

    def clearings(self) -> tuple[Int64Array, Int64Array]:
        """Return the times and positions of all `release` and `share` pieces, in time order."""
        t_ns, region = self.prepared.clearings
        return t_ns, self._once("clearings", lambda: np.searchsorted(self.prepared.covered, region))

    def clearings_by_position(self) -> tuple[Int64Array, Int64Array]:
        """Return the same by position, then time."""
        t_ns, position = self.clearings()
        order = self._once("by position", lambda: np.argsort(position, kind="stable"))
        return t_ns[order], position[order]

    def owners(self, scope: str) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return the ids of VMs or inodes, ascending, with each a position that it ever owned and since when."""

        def build() -> tuple[Int64Array, Int64Array, Int64Array]:
            prepared = self.prepared
            found = prepared.vm_regions if scope == "vm" else prepared.inode_regions
            kept = prepared.cores[found.region] > 0
            position = np.searchsorted(prepared.covered, found.region[kept])
            return found.ids[kept], position, found.since_ns[kept]

        return self._once(scope, build)
