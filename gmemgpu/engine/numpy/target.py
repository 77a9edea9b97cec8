"""Scopes: which regions a pass of the timer considers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from gmemgpu.engine.numpy.prepared import Prepared, RequestLists
from gmemgpu.model.policy import Policy

__all__ = ["Dirty", "Targets", "request_targets"]

Targets = Callable[[int, Iterable[int]], list[int]]
"""From a pass's start and the indices of its requests to covered regions, ascending."""


def request_targets(policy: Policy, prepared: Prepared, requests: RequestLists) -> Targets:
    """
    Give the regions that a pass's requests name: scopes ``region``, ``vm`` and ``inode``.

    Parameters
    ----------
    policy : Policy
    prepared : Prepared
    requests : RequestLists
        Of the policy's hook.
    """
    if policy.scope == "region":
        first, last, covers = requests.first_region, requests.last_region, prepared.covers

        def extents(start_ns: int, batch: Iterable[int]) -> list[int]:
            regions: set[int] = set()
            for i in batch:
                regions.update(range(first[i], last[i] + 1))
            return sorted(region for region in regions if covers[region])

        return extents

    of_vm = policy.scope == "vm"
    names = (requests.vm if of_vm else requests.inode).tolist()
    known = prepared.vm_regions if of_vm else prepared.inode_regions

    def ever_owned(start_ns: int, batch: Iterable[int]) -> list[int]:
        regions: set[int] = set()
        for name in {names[i] for i in batch}:
            regions.update(region for region, since_ns in known.get(name, ()) if since_ns <= start_ns)
        return sorted(regions)

    return ever_owned


class Dirty:
    """
    The regions with a release or share since the last pass that attempted them: ``dirty`` and ``dirty_retry``.

    Parameters
    ----------
    prepared : Prepared
    retry : bool
        Whether a failed attempt leaves its region dirty.
    """

    def __init__(self, prepared: Prepared, *, retry: bool) -> None:
        self.t_ns, self.region = prepared.clearings
        self.retry = retry
        self.regions: set[int] = set()
        self.next = 0

    def targets(self, start_ns: int) -> list[int]:
        """Covered dirty regions at a pass's start, ascending."""
        first, self.next = self.next, bisect_right(self.t_ns, start_ns, self.next)
        self.regions.update(self.region[first : self.next].tolist())
        return sorted(self.regions)

    def attempted(self, dropped: Iterable[int], failed: Iterable[int]) -> None:
        """Note that a pass attempted all dirty regions but those `dropped`; of them some failed."""
        self.regions.intersection_update({*dropped, *failed} if self.retry else set(dropped))
