"""Scopes: which regions a pass of the timer considers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gmemgpu.engine.numpy.code import ABSENT
from gmemgpu.engine.numpy.prepared import Prepared, RequestLists
from gmemgpu.engine.numpy.search import after
from gmemgpu.model.policy import Gate, Policy
from gmemgpu.model.trace import BoolArray

__all__ = ["Dirty", "Targets", "request_targets"]

Targets = Callable[[int, Sequence[int]], list[int]]
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
        all_covered = all(covers)

        def extents(start_ns: int, batch: Sequence[int]) -> list[int]:
            if len(batch) == 1 and all_covered:
                return list(range(first[batch[0]], last[batch[0]] + 1))
            regions: set[int] = set()
            for i in batch:
                regions.update(range(first[i], last[i] + 1))
            return sorted(region for region in regions if covers[region])

        return extents

    of_vm = policy.scope == "vm"
    names = (requests.vm if of_vm else requests.inode).tolist()
    known = prepared.vm_regions if of_vm else prepared.inode_regions

    def ever_owned(start_ns: int, batch: Sequence[int]) -> list[int]:
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
    gate : Gate
        Regions that it drops are not attempted, and stay dirty.
    retry : bool
        Whether a failed attempt leaves its region dirty.
    """

    def __init__(self, prepared: Prepared, gate: Gate, *, retry: bool) -> None:
        self.t_ns, self.region = prepared.clearings
        self.retry = retry
        self.dirty: BoolArray = np.zeros(len(prepared.covers), bool)
        self.next = 0
        self.changes = prepared.changes
        self.region_of = prepared.covered
        self.absent = None if gate == "all" else self.changes.code[gate] == ABSENT
        self.dropped: BoolArray = np.zeros(len(prepared.covers), bool)
        self.next_change = 0

    def targets(self, start_ns: int) -> list[int]:
        """Regions that a pass attempts, gate applied, ascending."""
        first, self.next = self.next, after(self.t_ns, start_ns, self.next)
        self.dirty[self.region[first : self.next]] = True
        if self.absent is None:
            return self.dirty.nonzero()[0].tolist()
        first, self.next_change = self.next_change, after(self.changes.t_ns, start_ns, self.next_change)
        part = slice(first, self.next_change)
        # NumPy keeps the last of repeated assignments, and changes are in time order.
        self.dropped[self.region_of[self.changes.position[part]]] = self.absent[part]
        return (self.dirty & ~self.dropped).nonzero()[0].tolist()

    def attempted(self, regions: list[int], failed: list[int]) -> None:
        """Note that a pass attempted some regions, and which of them failed."""
        if self.retry:
            kept = set(failed)
            regions = [region for region in regions if region not in kept]
        self.dirty[regions] = False
