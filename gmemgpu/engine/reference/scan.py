"""A pass: its attempts one after another, and the bits that they set (MODEL.md section 6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from gmemgpu.engine.reference.executor import AttemptCost, TargetClass, attempt_cost
from gmemgpu.engine.reference.history import TraceHistory
from gmemgpu.engine.reference.region import Episode
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy

__all__ = ["Attempt", "Bits", "run_attempts"]

Outcome = Literal["new", "cached", "failed", "wasted"]


class Bits:
    """
    When each region's RMPOPT bit got set, per free episode.

    A bit is set within a free episode and lost at its end, so that an episode has one time at most. Passes do not
    overlap: what is noted here was set before the next pass starts.
    """

    def __init__(self) -> None:
        self._set_ns: dict[tuple[int, int], int] = {}

    def set_in(self, region: int, episode: Episode) -> int | None:
        """
        Return when the bit got set in a free episode.

        Parameters
        ----------
        region : int
            Index of the region.
        episode : Episode
            One of its free episodes.

        Returns
        -------
        int or None
            Time in ns; None if never.
        """
        return self._set_ns.get((region, episode.start_ns))

    def set_at(self, region: int, episode: Episode, t_ns: int) -> None:
        """
        Set the bit.

        Parameters
        ----------
        region : int
            Index of the region.
        episode : Episode
            One of its free episodes.
        t_ns : int
            When.
        """
        self._set_ns[region, episode.start_ns] = t_ns


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One visit of a pass.

    Parameters
    ----------
    region : int
        Index of the region.
    end_ns : int
        When all cores are done, c_i, whatever the outcome.
    outcome : Outcome
        How it ended.
    early : bool
        Whether it failed while pages of an inode under eviction were still assigned there.
    cost : AttemptCost
        What it cost.
    """

    region: int
    end_ns: int
    outcome: Outcome
    early: bool
    cost: AttemptCost


# The class of a target, from the state at the pass's start.
def _class_of(history: TraceHistory, region: int, start_ns: int, bits: Bits) -> TargetClass:
    if history.regions[region].at(start_ns).assigned_pages > 0:
        return "fail"
    episode = history.regions[region].episode_at(start_ns)
    if episode is not None and bits.set_in(region, episode) is not None:
        return "cached"
    return "clean"


def run_attempts(
    history: TraceHistory, policy: Policy, costs: Costs, bits: Bits, targets: Sequence[int], start_ns: int
) -> Iterable[Attempt]:
    """
    Visit the targets of a pass, one after another.

    Parameters
    ----------
    history : TraceHistory
        Regions and their free episodes.
    policy : Policy
        Its executor matters.
    costs : Costs
        Times of RMPOPT, in ns.
    bits : Bits
        Bits set so far; those that the pass sets are added.
    targets : sequence of int
        Regions, ascending.
    start_ns : int
        When the pass starts.

    Yields
    ------
    Attempt
        One for each target, in order.
    """
    classes = {region: _class_of(history, region, start_ns, bits) for region in targets}
    visit_ns = start_ns
    for region in targets:
        target = classes[region]
        cost = attempt_cost(
            policy.executor,
            target,
            history.regions[region].at(start_ns).first_block,
            history.covering_cores[region],
            history.threads_per_core,
            costs,
        )
        end_ns = visit_ns + cost.leader_ns + cost.round_ns
        # No episode at the visit means busy or SNP off.
        episode = history.regions[region].episode_at(visit_ns)
        outcome: Outcome
        if episode is None or (policy.executor == "leader_first" and target == "fail"):
            outcome = "failed"
        elif bits.set_in(region, episode) is not None:
            outcome = "cached"
        elif episode.end_ns <= end_ns:
            # Assigned again, SNP gone, or the horizon reached by the time that all cores are done.
            outcome = "wasted"
        else:
            outcome = "new"
            bits.set_at(region, episode, end_ns)
        early = outcome == "failed" and history.regions[region].at(visit_ns).evicting_pages > 0
        yield Attempt(region, end_ns, outcome, early, cost)
        visit_ns = end_ns
