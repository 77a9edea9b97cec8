"""The answer for a group of scenarios: which policy beats the baseline, from which worth on, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from gmemgpu.decision.envelope import Interval, not_told_apart, told_around
from gmemgpu.decision.ranges import lead_at, net_at
from gmemgpu.decision.weighing import Weighed
from gmemgpu.report.paired import LEVEL, Difference, seeds_needed

__all__ = ["Finding", "Answer", "answer_at"]

Finding: TypeAlias = Literal["beats", "nothing beats", "can't tell"]

_AS_GOOD = 0.01
"""Leads over the baseline that differ by this share are alike for all that a model can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What is best at one worth, with trackers for nothing, beside the baseline.

    Parameters
    ----------
    worth : float
        Of a set bit.
    finding : {"beats", "nothing beats", "can't tell"}
        Whether a policy is told apart from the baseline as better; else whether one has more on average.
    policy : str
        The best of those that beat the baseline, else the best; the baseline itself if nothing beats it.
    lead : Difference or None
        Over the baseline, in the kind's `lead_unit`; None for the baseline itself.
    of_stake : float
        The lead as a share of what set bits could save if all memory in use profited, for nothing.
    n_agree : int
        Seeds in which it is ahead of the baseline; for the baseline, in which nothing is.
    worths : (float, float) or None
        Where it beats the baseline, the worths around this one at which it does.
    as_good : tuple of str
        Those whose leads are within 1 % of that one, the best first.
    further : str or None
        Where it beats the baseline, who is further ahead on average and is not told apart from the baseline.
    up_to_ns : float or None
        The highest of `Weighed.prices_ns` up to which it beats the baseline at this worth; None if it does not, if it
        has no tracker, or if costs are no CPU time.
    seeds : int or None
        Where one can't tell, how many seeds in all would; None if too many.
    at_most : float or None
        Where nothing is told to beat it, what the seeds leave room for at most: the highest upper end of the intervals
        of all leads, as a share like `of_stake`; None with one seed.

    Notes
    -----
    The best of many beats the baseline by chance more often than one that was named before. So each comparison
    is tested at 5 % divided by how many policies are held against the baseline (Bonferroni).
    """

    worth: float
    finding: Finding
    policy: str
    lead: Difference | None
    of_stake: float
    n_agree: int
    worths: Interval | None = None
    as_good: tuple[str, ...] = ()
    further: str | None = None
    up_to_ns: float | None = None
    seeds: int | None = None
    at_most: float | None = None


def answer_at(group: Weighed, worth: float, *, policy: str | None = None, n_tests: int | None = None) -> Answer:
    """
    Find what beats the baseline at one worth.

    Parameters
    ----------
    group : Weighed
        The baseline is its first policy.
    worth : float
        Of a set bit.
    policy : str, optional
        Which to hold against the baseline; the best if left out.
    n_tests : int, optional
        Comparisons among which this one was chosen; one for each policy but the baseline if left out.

    Returns
    -------
    Answer
        That the seeds carry.
    """
    baseline, *others = group.policies
    level = LEVEL / max(1, n_tests or len(others))
    net = net_at(group, worth)
    leads = {name: lead_at(net, group.policies.index(name)) for name in others if policy in (None, name)}
    ahead = sorted((name for name in leads if leads[name].difference > 0), key=lambda name: -leads[name].difference)
    stake = group.per_day * worth * group.in_use
    if not ahead:
        return Answer(
            worth=worth,
            finding="nothing beats",
            policy=baseline,
            lead=None,
            of_stake=0.0,
            n_agree=int((net[0] >= net.max(axis=0)).sum()),
            at_most=_at_most(leads.values(), level, stake),
        )
    told = [name for name in ahead if _is_told(leads[name], level)]
    best = (told or ahead)[0]
    lead = leads[best]
    found = Answer(
        worth=worth,
        finding="can't tell",
        policy=best,
        lead=lead,
        of_stake=lead.difference / stake if stake else math.inf,
        n_agree=lead.above,
    )
    if not told:
        return replace(found, seeds=seeds_needed(lead, level), at_most=_at_most(leads.values(), level, stake))
    alike = {name for name in ahead if abs(leads[name].difference / lead.difference - 1) <= _AS_GOOD}
    return replace(
        found,
        finding="beats",
        worths=_worths(group, best, worth, level),
        as_good=tuple(name for name in ahead if name in alike - {best}),
        further=None if ahead[0] in alike else ahead[0],
        up_to_ns=_up_to_ns(group, best, worth, level),
    )


def _at_most(leads: Iterable[Difference], level: float, stake: float) -> float | None:
    ends = [_upper_end(lead, level) for lead in leads]
    known = [end for end in ends if end is not None]
    return max(known) / stake if stake and known and len(known) == len(ends) else None


def _upper_end(lead: Difference, level: float) -> float | None:
    if lead.error is None:
        return None
    from scipy.special import stdtrit

    return lead.difference + float(stdtrit(lead.n - 1, 1 - level / 2)) * lead.error


def _is_told(lead: Difference, level: float) -> bool:
    return lead.p is not None and lead.p <= level


def _worths(group: Weighed, policy: str, worth: float, level: float) -> Interval:
    i = group.policies.index(policy)
    intervals = not_told_apart(group.profit[i] - group.profit[0], group.cost[i] - group.cost[0], level)
    # Who is ahead changes nowhere but in these intervals.
    return told_around(intervals, worth) or (worth, worth)


def _up_to_ns(group: Weighed, policy: str, worth: float, level: float) -> float | None:
    place = group.policies.index(policy)
    if not (group.has_trackers and group.updates[place].any()):
        return None
    first, *prices_ns = group.prices_ns
    highest = first
    for price_ns in prices_ns:
        lead = lead_at(net_at(group, worth, price_ns), place)
        if lead.difference <= 0 or not _is_told(lead, level):
            break
        highest = price_ns
    return highest
