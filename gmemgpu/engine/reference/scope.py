"""Scope and gate: the regions of a pass (MODEL.md section 5)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from gmemgpu.engine.reference.history import TraceHistory
from gmemgpu.engine.reference.hook import Request
from gmemgpu.model.policy import Policy

__all__ = ["PassTargets"]


class PassTargets:
    """
    Chooses the regions of each pass, and remembers for ``dirty`` what was attempted when.

    Parameters
    ----------
    history : TraceHistory
        The trace, replayed.
    policy : Policy
        Its scope and gate matter.
    """

    def __init__(self, history: TraceHistory, policy: Policy) -> None:
        self._history = history
        self._policy = policy
        # Start of the last pass that attempted a region; -1: from t = 0 on if none did.
        self._attempted_ns = dict.fromkeys(range(len(history.regions)), -1)

    def attempted(self, region: int, start_ns: int, failed: bool) -> None:
        """
        Record an attempt, a boot pass's included.

        Parameters
        ----------
        region : int
            Index of the region.
        start_ns : int
            When its pass started.
        failed : bool
            Whether it failed; ``dirty_retry`` then keeps the region dirty.
        """
        if failed and self._policy.scope == "dirty_retry":
            return
        self._attempted_ns[region] = start_ns

    def boot(self, start_ns: int) -> list[int]:
        """
        Choose the targets of a boot pass: all covered regions that pass the gate.

        Parameters
        ----------
        start_ns : int
            When the pass starts.

        Returns
        -------
        list of int
            Regions, ascending.
        """
        return self._admitted(range(len(self._history.regions)), start_ns)

    def requested(self, requests: Sequence[Request], start_ns: int) -> list[int]:
        """
        Choose the targets of a pass of the timer.

        Parameters
        ----------
        requests : sequence of Request
            Those that the pass serves; none for a periodic one.
        start_ns : int
            When the pass starts.

        Returns
        -------
        list of int
            Regions, ascending.
        """
        return self._admitted(self._considered(requests, start_ns), start_ns)

    def _considered(self, requests: Sequence[Request], start_ns: int) -> Iterable[int]:
        history = self._history
        scope = self._policy.scope
        if scope == "window":
            return range(len(history.regions))
        if scope in ("dirty", "dirty_retry"):
            return [region for region in history.dirtied_ns if self._is_dirty(region, start_ns)]
        if scope == "region":
            return [region for request in requests for region in request.regions]
        if scope == "vm":
            touched = [history.vm_regions.get(request.vm, {}) for request in requests if request.vm >= 0]
        else:
            touched = [history.inode_regions.get(request.inode, {}) for request in requests if request.inode >= 0]
        # "Ever had assigned pages", up to the pass's start.
        return [region for regions in touched for region, first_ns in regions.items() if first_ns <= start_ns]

    # A release or share at a time <= this pass's start and later than the last attempt's.
    def _is_dirty(self, region: int, start_ns: int) -> bool:
        times_ns = self._history.dirtied_ns[region]
        latest = bisect_right(times_ns, start_ns) - 1
        return latest >= 0 and times_ns[latest] > self._attempted_ns[region]

    # Gate, by the state at the pass's start, and coverage; both hold for boot passes as well.
    def _admitted(self, regions: Iterable[int], start_ns: int) -> list[int]:
        return [region for region in sorted(set(regions)) if self._passes_gate(region, start_ns)]

    def _passes_gate(self, region: int, start_ns: int) -> bool:
        if self._history.covering_cores[region] == 0:
            return False
        count = self._history.regions[region].at(start_ns)
        if self._policy.gate == "free":
            return count.assigned_pages == 0
        if self._policy.gate == "gmem_free":
            return count.gmem_pages == 0
        return True
