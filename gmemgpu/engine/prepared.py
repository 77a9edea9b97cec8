"""What all policies share: one trace's timelines in the forms that the pass loops read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gmemgpu.engine.class_code import ABSENT, CLEAN, FAIL_EARLY
from gmemgpu.model.event import Kind
from gmemgpu.model.policy import Gate, Hook
from gmemgpu.model.trace import BoolArray, Int32Array, Int64Array, Trace
from gmemgpu.timeline.build import build_timeline, last_row_at
from gmemgpu.timeline.episode import free_episodes, free_runs
from gmemgpu.timeline.integral import exact_sum, used_integral
from gmemgpu.timeline.piece import IdRegions, cut_at_regions, id_regions
from gmemgpu.timeline.request import hook_requests
from gmemgpu.timeline.snp import FOREVER, snp_states

__all__ = ["Prepared", "Changes", "RequestLists"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """
    Every change of a covered region that a pass could notice, in time order.

    Parameters
    ----------
    t_ns : list of int
    begin_ns : (n,) int64
        The same times.
    position : (n,) int64
        Index of the region among the covered ones.
    code : dict of Gate to (n,) int64
        The class from then on, as if no bit were set, under each gate.
    until_ns : (n,) int64
        When the free run that begins here ends; 0 for a busy region.
    """

    t_ns: list[int]
    begin_ns: Int64Array
    position: Int64Array
    code: dict[Gate, Int64Array]
    until_ns: Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class RequestLists:
    """Requests of a hook, as lists for the pass loops, with the counts that no policy alters."""

    t_ns: list[int]
    vm: Int32Array
    inode: Int32Array
    first_region: list[int]
    last_region: list[int]
    counts: dict[str, int]


class Prepared:
    """
    One trace, ready for any policy.

    Parameters
    ----------
    trace : Trace
        A valid one.

    Notes
    -----
    What only some policies read is built on first use.
    """

    def __init__(self, trace: Trace) -> None:
        self.timeline = build_timeline(trace)
        self.trace: Trace = self.timeline.trace
        self.horizon_ns = self.trace.horizon_ns
        self.warmup_ns = self.trace.warmup_ns
        self.cores: Int64Array = np.array(self.trace.host.covering_cores(), np.int64)
        self.covered: Int64Array = np.flatnonzero(self.cores > 0)
        self.core_counts: list[int] = np.unique(self.cores[self.covered]).tolist()
        self.covers: list[bool] = (self.cores > 0).tolist()
        self.snp = snp_states(self.trace)
        self.runs = free_runs(self.timeline)
        self.episodes = free_episodes(self.runs, self.snp)
        self.used = used_integral(self.timeline)
        self._requests: dict[Hook, RequestLists] = {}

    @cached_property
    def _noticed(self) -> NDArray[np.intp]:
        # Rows at which a region's class can change; every region's first row is one.
        line = self.timeline
        kept = np.zeros(len(line.t_ns), bool)
        for column in (line.first, line.gmem > 0, line.evicting > 0):
            kept[1:] |= column[1:] != column[:-1]
        kept[line.offset[:-1]] = True
        return np.flatnonzero(kept)

    @cached_property
    def _codes(self) -> Int64Array:
        line = self.timeline
        code = line.first.astype(np.int64)
        code[line.evicting > 0] += FAIL_EARLY
        code[line.first < 0] = CLEAN
        return code

    def _per_region(self, column: NDArray[np.generic], last: T) -> list[list[T]]:
        rows = self._noticed
        bounds = np.searchsorted(rows, self.timeline.offset).tolist()
        values: list[T] = column[rows].tolist()
        return [[*values[lo:hi], last] for lo, hi in pairwise(bounds)]

    def states_at(self, region: Int32Array, t_ns: Int64Array) -> tuple[Int64Array, Int64Array]:
        """
        Look many regions up at many times.

        Parameters
        ----------
        region : (m,) int32
        t_ns : (m,) int64

        Returns
        -------
        code, until_ns : (m,) int64
            The class as if no bit were set, and when it may change next; `FOREVER` if never.
        """
        rows = self._noticed
        offset = np.searchsorted(rows, self.timeline.offset)
        times = self.timeline.t_ns[rows]
        at = last_row_at(offset, times, region, t_ns)
        until = np.append(times[1:], FOREVER)
        until[offset[1:] - 1] = FOREVER
        return self._codes[rows][at], until[at]

    @cached_property
    def state_t_ns(self) -> list[list[int]]:
        """Per region, when its class can change; `FOREVER` ends each list."""
        return self._per_region(self.timeline.t_ns, FOREVER)

    @cached_property
    def state_code(self) -> list[list[int]]:
        """Per region, its class from then on as if no bit were set."""
        return self._per_region(self._codes, ABSENT)

    @cached_property
    def state_gmem(self) -> list[list[bool]]:
        """Per region, whether a guest_memfd page is assigned from then on."""
        return self._per_region(self.timeline.gmem > 0, False)

    @cached_property
    def changes(self) -> Changes:
        """The changes of all covered regions."""
        line = self.timeline
        region = line.region[self._noticed]
        kept = self.cores[region] > 0
        rows, region = self._noticed[kept], region[kept]
        order = np.argsort(line.t_ns[rows], kind="stable")
        rows, region = rows[order], region[order]
        code = self._codes[rows]
        busy = code != CLEAN
        until_ns = np.zeros(len(line.t_ns), np.int64)
        until_ns[self.runs.row] = self.runs.end_ns
        return Changes(
            t_ns=line.t_ns[rows].tolist(),
            begin_ns=line.t_ns[rows],
            position=np.searchsorted(self.covered, region),
            code={
                "all": code,
                "gmem_free": np.where(busy & (line.gmem[rows] > 0), ABSENT, code),
                "free": np.where(busy, ABSENT, code),
            },
            until_ns=until_ns[rows],
        )

    @cached_property
    def clearings(self) -> tuple[list[int], Int32Array]:
        """Times and regions of all `release` and `share` pieces of covered regions, in time order."""
        kind = self.trace.kind
        pieces = cut_at_regions(self.trace, np.flatnonzero((kind == Kind.RELEASE) | (kind == Kind.SHARE)))
        kept = self.cores[pieces.region] > 0
        return self.trace.t_ns[pieces.event[kept]].tolist(), pieces.region[kept]

    @cached_property
    def vm_regions(self) -> dict[int, list[tuple[int, int]]]:
        """Where the guest_memfds of each VM ever had pages, and since when, ascending by region."""
        return self._covered_regions(id_regions(self.trace, self.timeline.assigns, self.trace.vm))

    @cached_property
    def inode_regions(self) -> dict[int, list[tuple[int, int]]]:
        """Where each inode ever had pages, and since when, ascending by region."""
        return self._covered_regions(self.timeline.by_inode)

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

    def _covered_regions(self, found: IdRegions) -> dict[int, list[tuple[int, int]]]:
        kept = self.cores[found.region] > 0
        rows = zip(found.ids[kept].tolist(), found.region[kept].tolist(), found.since_ns[kept].tolist(), strict=True)
        regions: dict[int, list[tuple[int, int]]] = {}
        for name, region, since_ns in rows:
            regions.setdefault(name, []).append((region, since_ns))
        return regions

    def requests(self, hook: Hook) -> RequestLists:
        """Return the requests of a hook and their counts."""
        if hook not in self._requests:
            found = hook_requests(hook, self.trace, self.runs, self.cores)
            counted = found.t_ns >= self.warmup_ns
            hazard = np.zeros(len(counted), bool)
            for begin, end in (*self.snp.shutdowns, *self.snp.unloads):
                hazard |= (found.t_ns >= begin) & (found.t_ns < end)
            self._requests[hook] = RequestLists(
                t_ns=found.t_ns.tolist(),
                vm=found.vm,
                inode=found.inode,
                first_region=found.first_region.tolist(),
                last_region=found.last_region.tolist(),
                counts={
                    "requests": int(counted.sum()),
                    "request_folios": int(found.folios[counted].sum()),
                    "requests_hazard": int((hazard & counted).sum()),
                },
            )
        return self._requests[hook]
