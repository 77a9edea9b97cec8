"""A pass region by region: class at its start, cost, and what each visit finds (MODEL.md section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from gmemgpu.engine.class_code import CACHED, CLEAN, FAIL_EARLY, check_63_bits
from gmemgpu.explain.prepared import Prepared
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Executor
from gmemgpu.model.trace import BoolArray, Int8Array, Int64Array

__all__ = ["VisitOutcome", "Visitor", "Visits"]


class VisitOutcome(IntEnum):
    """How a visit ended."""

    NEW = 0
    """The bit was set."""
    CACHED = 1
    """It was set already."""
    FAILED = 2
    """The region was busy, or SNP off."""
    WASTED = 3
    """The free episode was over before all cores were done."""


_NEW, _CACHED, _FAILED, _WASTED = map(int, VisitOutcome)


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """
    The visits of one pass, in order.

    Parameters
    ----------
    region : (m,) int64
        Ascending.
    visit_ns, end_ns : (m,) int64
        From when the region is looked at until all cores are done with it.
    outcome : (m,) int8
        A `VisitOutcome`.
    early : (m,) bool
        Failed, with pages of an inode under eviction there.
    failed_at_start : (m,) bool
        Whether it was busy when the pass started, by which its cost goes (and with ``leader_first`` its outcome).
    episode : (m,) int64
        The free episode that it met; -1 if none.
    """

    region: Int64Array
    visit_ns: Int64Array
    end_ns: Int64Array
    outcome: Int8Array
    early: BoolArray
    failed_at_start: BoolArray
    episode: Int64Array

    def __len__(self) -> int:
        return len(self.region)


class Visitor:
    """
    What passes find on one trace, whichever regions they visit.

    Parameters
    ----------
    prepared : Prepared
        The trace and its timeline.
    executor : Executor
        Which cores work on a region.
    costs : Costs
        Times of RMPOPT, in ns.

    Attributes
    ----------
    episode_region, episode_begin_ns, episode_end_ns, episode_fresh : (n_episodes,) array
        All free episodes by region, then time; one that lasts ends at the horizon.

    Raises
    ------
    BackendError
        If a pass might last so long that its times do not fit 63 bits.
    """

    def __init__(self, prepared: Prepared, executor: Executor, costs: Costs) -> None:
        check_63_bits(prepared.trace, costs, "numpy")
        episodes = prepared.episodes
        self._length_ns, self._group = prepared.priced(executor, costs).length_ns, prepared.cost_groups
        self._asks_nobody = executor == "leader_first"
        order = np.lexsort((episodes.begin_ns, episodes.region))
        self.episode_region = episodes.region[order]
        self.episode_begin_ns = episodes.begin_ns[order]
        self.episode_end_ns = np.minimum(episodes.end_ns[order], prepared.horizon_ns)
        self.episode_fresh = episodes.fresh[order]
        # The state is frozen at the horizon, so that what lasts until then is met by any later look.
        self._until_ns = episodes.end_ns[order]
        self._code = prepared.codes
        # One sorted axis of all regions and instants: a lookup is one search.
        self._instants = np.unique(np.concatenate([prepared.row_ns, self.episode_begin_ns]))
        self._row_key = self._key(prepared.region, prepared.row_ns)
        self._episode_key = self._key(self.episode_region.astype(np.int64), self.episode_begin_ns)

    def _key(self, region: Int64Array, t_ns: Int64Array | int) -> Int64Array:
        key: Int64Array = region * len(self._instants) + self._instants.searchsorted(t_ns, "right") - 1
        return key

    def _states(self, region: Int64Array, t_ns: Int64Array | int) -> tuple[Int64Array, Int64Array]:
        # The class code as if no bit were set, and the free episode; -1 where the region is busy or SNP off.
        key = self._key(region, t_ns)
        code = self._code[self._row_key.searchsorted(key, "right") - 1]
        if not len(self._until_ns):
            return code, np.full(len(region), -1)
        found = self._episode_key.searchsorted(key, "right") - 1
        holds = (found >= 0) & (self.episode_region[found] == region) & (self._until_ns[found] > t_ns)
        return code, np.where(holds, found, -1)

    def rows(self, region: Int64Array, t_ns: Int64Array | int) -> Int64Array:
        """
        Find the state of regions at a time, or each at its own.

        Parameters
        ----------
        region : (m,) int64
            Indices of regions.
        t_ns : (m,) int64 or int
            When.

        Returns
        -------
        (m,) int64
            Indices in ``prepared.codes``.
        """
        return np.searchsorted(self._row_key, self._key(region, t_ns), "right") - 1

    def visits(self, targets: Int64Array, start_ns: int, set_pass: Int64Array, scan_pass: int) -> Visits:
        """
        Compute the visits of a pass.

        Parameters
        ----------
        targets : (m,) int64
            Regions, ascending.
        start_ns : int
            When it starts.
        set_pass : (n_episodes,) int64
            The pass that set each bit; -1 for none yet.
        scan_pass : int
            Its own index: bits that it sets, or later ones, are not set when it starts.

        Returns
        -------
        Visits
            In order.
        """
        code_at_start, at_start = self._states(targets, start_ns)
        busy = code_at_start < CLEAN
        lit = (at_start >= 0) & ~busy
        lit[lit] = _is_before(set_pass[at_start[lit]], scan_pass)
        code = np.where(lit, CACHED, code_at_start)
        end_ns = start_ns + np.cumsum(self._length_ns[code + self._group[targets]])
        visit_ns = np.empty_like(end_ns)
        visit_ns[:1], visit_ns[1:] = start_ns, end_ns[:-1]
        # Many passes have one target, which they visit at once.
        at_visit, episode = (code_at_start, at_start) if len(targets) == 1 else self._states(targets, visit_ns)
        outcome = np.full(len(targets), _FAILED, np.int8)
        met = np.flatnonzero((episode >= 0) & ~(busy & self._asks_nobody))
        wasted = self.episode_end_ns[episode[met]] <= end_ns[met]
        outcome[met] = np.where(wasted, _WASTED, _NEW)
        outcome[met[_is_before(set_pass[episode[met]], scan_pass)]] = _CACHED
        early = (outcome == _FAILED) & (at_visit >= FAIL_EARLY) & (at_visit < CLEAN)
        return Visits(targets, visit_ns, end_ns, outcome, early, busy, episode)


def _is_before(set_pass: Int64Array, scan_pass: int) -> BoolArray:
    found: BoolArray = (set_pass >= 0) & (set_pass < scan_pass)
    return found
