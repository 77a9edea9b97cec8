"""The class rows of one trace: what a pass may find in each covered region, and from when on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from gmemgpu.engine.array.xp.namespace import Namespace
from gmemgpu.engine.array.xp.on_numpy import NUMPY
from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.policy import Hook, Scope, Timer
from gmemgpu.model.trace import BoolArray, Int32Array, Int64Array
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
    xp : Namespace
        Whose arrays a batch of it is computed with.

    Attributes
    ----------
    prepared : Prepared
    xp : Namespace
    n_rows, n_positions : int
    n_instants : int
        One more than there are, so that a search may point past the end.
    bounds_ns : (n_instants,) int64
        The times of all rows, ascending, each once, 0 being the first; and `FOREVER`.
    on_at : (n_instants,) bool
        Whether SNP is on from that instant to the next.
    begins_snp : (n_instants,) bool
        Whether an epoch of SNP begins with that instant.
    position, rank : (n_rows,) int64
        Index of the region among the covered ones, and of the time among the instants.
    t_ns : (n_rows,) int64
        When the row begins.
    code : (n_rows,) int64
        The class as if no bit were set.
    gmem : (n_rows,) bool
        Whether guest_memfd pages are assigned.
    position_of : (n_regions,) int64
        Index of each covered region among those.

    Notes
    -----
    All arrays are on the host: `JoinedTables` takes those of many traces to where they are computed with.
    """

    def __init__(self, prepared: Prepared, xp: Namespace = NUMPY) -> None:
        self.prepared, self.xp = prepared, xp
        snp = prepared.snp
        m = self.n_positions = len(prepared.covered)
        rows = _class_rows(prepared)
        cuts = sorted({t for epoch in snp.epochs for t in epoch if 0 < t < FOREVER})
        if cuts and m:
            rows = _cut(rows, np.array(cuts, np.int64), m)
        n = self.n_rows = len(rows.t_ns)
        instants_ns, rank = np.unique(np.append(rows.t_ns, [0, *cuts]), return_inverse=True)
        self.n_instants = len(instants_ns) + 1
        self.bounds_ns = np.append(instants_ns, FOREVER)
        self.on_at = _is_on(snp, self.bounds_ns)
        self.on_at[-1] = self.on_at[-2]
        self.begins_snp = np.isin(self.bounds_ns, [begin for begin, _ in snp.epochs])
        self.position, self.rank, self.t_ns = rows.position, rank[:n], rows.t_ns
        self.code, self.gmem = rows.code, rows.gmem
        self.position_of: Int64Array = np.cumsum(prepared.cores > 0) - 1
        self._kept: dict[object, object] = {}
        self._recent: dict[object, tuple[int, object]] = {}

    def _once(self, key: object, build: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = build()
        found: T = self._kept[key]  # type: ignore[assignment]
        return found

    def _shared(self, key: object, build: Callable[[], T], size: Callable[[T], int]) -> T:
        # Policies share these, but not for so long that those of a large trace pile up.
        if key not in self._recent:
            made = build()
            while self._recent and sum(n for n, _ in self._recent.values()) > _KEPT_REQUESTS:
                del self._recent[next(iter(self._recent))]
            self._recent[key] = size(made), made
        found: T = self._recent[key][1]  # type: ignore[assignment]
        return found

    def n_requests(self, hook: Hook, timer: Timer) -> int:
        """Count the requests of a hook; ticks, if the timer is ``periodic``."""
        if timer.kind == "periodic":
            return (self.prepared.horizon_ns - 1) // timer.delay_ns
        return len(self.prepared.requests(hook).t_ns)

    def places(self, scope: Scope) -> tuple[Int64Array, Int64Array]:
        """
        Return what requests name by ranges: for ``region`` all regions, else where each VM or inode ever had pages.

        Returns
        -------
        position, since_ns : (n,) int64
            Index among the covered regions, -1 for one that is none; and since when it is the VM's or inode's.
        """

        def build() -> tuple[Int64Array, Int64Array]:
            if scope == "region":
                position = np.where(self.prepared.cores > 0, self.position_of, -1)
                return position, np.zeros(len(position), np.int64)
            _, position, since_ns = self._owners(scope)
            return position, since_ns

        return self._once(("places", scope), build)

    def named(self, hook: Hook, scope: Scope) -> tuple[Int32Array, Int32Array]:
        """Return the ranges of places that the requests of a hook name: where each begins, and how many they are."""

        def build() -> tuple[Int32Array, Int32Array]:
            requests = self.prepared.requests(hook)
            if scope == "region":
                first = requests.first_region
                return first, np.maximum(requests.last_region - first + 1, 0)
            ids, _, _ = self._owners(scope)
            name = (requests.vm if scope == "vm" else requests.inode).astype(np.int64)
            begin = np.searchsorted(ids, name, "left")
            count = np.where(name >= 0, np.searchsorted(ids, name, "right") - begin, 0)
            return begin.astype(np.int32), count.astype(np.int32)

        return self._shared((hook, scope), build, lambda found: len(found[0]))

    def n_named(self, hook: Hook, scope: Scope) -> int:
        """Count the regions that requests name, those without coverage too."""
        return self._once(("n_named", hook, scope), lambda: int(self.named(hook, scope)[1].sum(dtype=np.int64)))

    def clearings(self) -> tuple[Int64Array, Int64Array]:
        """Return the times and positions of all `release` and `share` pieces, in time order."""

        def build() -> tuple[Int64Array, Int64Array]:
            t_ns, region = self.prepared.clearings
            return t_ns, self.position_of[region]

        return self._once("clearings", build)

    def _owners(self, scope: Scope) -> tuple[Int64Array, Int64Array, Int64Array]:
        # Ids of VMs or inodes, ascending, with a position that each ever owned and since when.
        def build() -> tuple[Int64Array, Int64Array, Int64Array]:
            prepared = self.prepared
            found = prepared.vm_regions if scope == "vm" else prepared.inode_regions
            kept = prepared.cores[found.region] > 0
            return found.ids[kept], self.position_of[found.region[kept]], found.since_ns[kept]

        return self._once(scope, build)
