"""Scope and gate: the regions of each pass (MODEL.md section 5)."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.class_code import CLEAN
from gmemgpu.explain.prepared import Prepared
from gmemgpu.explain.visit import Visitor, VisitOutcome, Visits
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.piece import IdRegions
from gmemgpu.timeline.request import Requests

__all__ = ["Targets"]


class Targets:
    """
    The regions that passes consider, one pass after another.

    Parameters
    ----------
    prepared : Prepared
        The trace and its timeline.
    policy : Policy
        Its scope and gate matter.
    made : Requests
        What may request a pass.
    visitor : Visitor
        Looks up states.
    """

    def __init__(self, prepared: Prepared, policy: Policy, made: Requests, visitor: Visitor) -> None:
        self._prepared = prepared
        self._policy = policy
        self._made = made
        self._visitor = visitor
        # Of each region: its last clearing so far, and the start of the last pass that attempted it.
        self._cleared_ns = np.full(len(prepared.cores), -1, np.int64)
        self._attempted_ns = np.full(len(prepared.cores), -1, np.int64)
        self._n_cleared = 0

    def of_pass(self, requests: list[int] | None, start_ns: int) -> Int64Array:
        """
        Find the regions of the next pass.

        Parameters
        ----------
        requests : list of int or None
            Those that it serves; None for a boot pass.
        start_ns : int
            When it starts; not before the last one.

        Returns
        -------
        (m,) int64
            Ascending.
        """
        if requests is None or self._policy.scope == "window":
            found = self._prepared.covered
        elif self._policy.scope in ("dirty", "dirty_retry"):
            found = self._dirty(start_ns)
        else:
            found = self._named(requests, start_ns)
        if self._policy.gate == "all":
            return found
        rows = self._visitor.rows(found, start_ns)
        held = self._prepared.codes[rows] < CLEAN if self._policy.gate == "free" else self._prepared.gmem[rows]
        return found[~held]

    def visited(self, visits: Visits, start_ns: int) -> None:
        """
        Record what the pass did.

        Parameters
        ----------
        visits : Visits
            Its visits.
        start_ns : int
            When it started.
        """
        done = visits.region
        if self._policy.scope == "dirty_retry":
            done = done[visits.outcome != VisitOutcome.FAILED]
        self._attempted_ns[done] = start_ns

    def _dirty(self, start_ns: int) -> Int64Array:
        t_ns, region = self._prepared.clearings
        n = int(np.searchsorted(t_ns, start_ns, "right"))
        # In time order; of several clearings of one region the last is left standing.
        self._cleared_ns[region[self._n_cleared : n]] = t_ns[self._n_cleared : n]
        self._n_cleared = n
        return np.flatnonzero(self._cleared_ns > self._attempted_ns)

    def _named(self, requests: list[int], start_ns: int) -> Int64Array:
        made, of = self._made, np.array(requests, np.int64)
        if self._policy.scope == "region":
            spans = zip(made.first_region[of].tolist(), made.last_region[of].tolist(), strict=True)
            named = {region for first, last in spans for region in range(first, last + 1)}
        elif self._policy.scope == "vm":
            named = self._held_by(self._prepared.vm_regions, made.vm[of].tolist(), start_ns)
        else:
            named = self._held_by(self._prepared.inode_regions, made.inode[of].tolist(), start_ns)
        found = np.array(sorted(named), np.int64)
        return found[self._prepared.cores[found] > 0]

    def _held_by(self, regions: IdRegions, ids: list[int], start_ns: int) -> set[int]:
        # Where each id ever had pages, up to the start; -1 names none, and is not among them.
        found: set[int] = set()
        for one in set(ids):
            low, high = np.searchsorted(regions.ids, [one, one + 1])
            found.update(regions.region[low:high][regions.since_ns[low:high] <= start_ns].tolist())
        return found
