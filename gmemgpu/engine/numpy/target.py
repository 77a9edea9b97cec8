"""Scopes: which regions a pass of the timer considers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gmemgpu.engine.class_code import ABSENT
from gmemgpu.engine.numpy.search import after
from gmemgpu.engine.prepared import Prepared, RequestLists
from gmemgpu.model.policy import Gate, Policy

__all__ = ["Dirty", "Targets", "request_targets"]

Targets = Callable[[int, Sequence[int]], list[int]]
"""From a pass's start and the indices of its requests to covered regions, ascending."""


def request_targets(policy: Policy, prepared: Prepared, requests: RequestLists) -> Targets:
    """
    Return the regions that a pass's requests name: scopes ``region``, ``vm`` and ``inode``.

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
    The regions with a release or share since the last pass that attempted them: scope ``dirty``.

    Parameters
    ----------
    prepared : Prepared
    gate : Gate
        Regions that it drops are not attempted, and stay dirty.
    """

    def __init__(self, prepared: Prepared, gate: Gate) -> None:
        self.t_ns, regions = prepared.clearings
        self.region: list[int] = regions.tolist()
        self.dirty: set[int] = set()
        self.next = 0
        self.gated = gate != "all"
        self.changes = prepared.changes
        self.region_of: list[int] = prepared.covered.tolist()
        self.absent: list[bool] = (self.changes.code[gate] == ABSENT).tolist() if self.gated else []
        self.dropped: set[int] = set()
        self.next_change = 0

    def targets(self, start_ns: int) -> list[int]:
        """Return the regions that a pass attempts, gate applied, ascending; they are not dirty any more."""
        first, self.next = self.next, after(self.t_ns, start_ns, self.next)
        self.dirty.update(self.region[first : self.next])
        if not self.gated:
            targets = sorted(self.dirty)
            self.dirty.clear()
            return targets
        first, self.next_change = self.next_change, after(self.changes.t_ns, start_ns, self.next_change)
        part = slice(first, self.next_change)
        for position, absent in zip(self.changes.position[part].tolist(), self.absent[part], strict=True):
            (self.dropped.add if absent else self.dropped.discard)(self.region_of[position])
        targets = sorted(self.dirty - self.dropped)
        self.dirty.difference_update(targets)
        return targets

    def forget_until(self, start_ns: int) -> None:
        """Forget the clearings that earlier passes, run elsewhere, have attempted; gate `all` only."""
        self.next = max(self.next, after(self.t_ns, start_ns, self.next))
