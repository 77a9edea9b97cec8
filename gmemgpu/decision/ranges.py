"""Where each policy of a group is best, and by how much; what is dominated, and by what."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gmemgpu.decision.envelope import Interval, best_ranges, not_told_apart
from gmemgpu.decision.weighing import Weighed
from gmemgpu.metrics.columns import Floats
from gmemgpu.report.paired import LEVEL, Difference, paired_difference

__all__ = ["Range", "Dominated", "ranges_at_price", "dominated", "net_at", "lead_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """
    Worths of a set bit for which one policy is best.

    Parameters
    ----------
    low, high : float
        Its ends; the upper one may be infinite.
    low_ends : (float, float) or None
        Around `low`, for which worths this policy and the one before are not told apart; None for the first range.
    best : str
        The policy, by its mean over seeds.
    alike : tuple of str
        Those that come out the same in every seed.
    at : float
        The worth at which the rest holds: the one asked for, or amid a range that it is not in, on a logarithmic scale.
    second : str or None
        Second best there; None if there is no other.
    lead : Difference or None
        Over the second, in the kind's `lead_unit`.
    over_baseline : Difference
        Over the baseline.
    n_agree : int
        Seeds in which the policy is best there, alone or with others.
    """

    low: float
    high: float
    low_ends: Interval | None
    best: str
    alike: tuple[str, ...]
    at: float
    second: str | None
    lead: Difference | None
    over_baseline: Difference
    n_agree: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dominated:
    """
    A policy that another one outdoes: no less profit, at no more cost, and not the same.

    Parameters
    ----------
    policy, by : str
        The two.
    n_seeds : int
        Seeds in which it is so, or both are the same.
    up_to_ns : float
        The highest of `Weighed.prices_ns` up to which it is so, on average.
    """

    policy: str
    by: str
    n_seeds: int
    up_to_ns: float


def net_at(group: Weighed, worth: float, price_ns: float = 0.0) -> Floats:
    """
    Compute what each policy is worth beyond its cost.

    Parameters
    ----------
    group : Weighed
        The group.
    worth : float
        Of a set bit.
    price_ns : float
        Of an update of a tracker.

    Returns
    -------
    (n_policies, n_seeds) float64
        In the kind's `lead_unit`.
    """
    net: Floats = group.per_day * (worth * group.profit - group.priced(price_ns))
    return net


def lead_at(net: Floats, policy: int, other: int = 0) -> Difference:
    """
    Compare two policies at one worth.

    Parameters
    ----------
    net : (n_policies, n_seeds) float64
        From `net_at`.
    policy, other : int
        Rows of it; the baseline is the first.

    Returns
    -------
    Difference
        What the first has more.
    """
    found = paired_difference(net[policy], net[other])
    assert found is not None  # every seed has all policies
    return found


def ranges_at_price(group: Weighed, price_ns: float, asked: float | None = None) -> tuple[Range, ...]:
    """
    Find where each policy of a group is best.

    Parameters
    ----------
    group : Weighed
        The group.
    price_ns : float
        Of an update of a tracker.
    asked : float, optional
        The worth of a set bit at which the range that holds it is looked at.

    Returns
    -------
    tuple of Range
        From no worth to all CPU time, or without end if costs are none.
    """
    cost = group.priced(price_ns)
    most = group.whole_worth
    found = best_ranges(group.profit.mean(axis=1).tolist(), cost.mean(axis=1).tolist(), most)
    ends = [*(low for low, _ in found[1:]), most]
    ranges = []
    for place, ((low, best), high) in enumerate(zip(found, ends, strict=True)):
        at = asked if asked is not None and low <= asked < high else _amid(low, high)
        net = net_at(group, at, price_ns)
        alike = [
            i
            for i in range(len(net))
            if i != best and (group.profit[i] == group.profit[best]).all() and (cost[i] == cost[best]).all()
        ]
        others = [i for i in range(len(net)) if i != best and i not in alike]
        means = net.mean(axis=1).tolist()
        second = max(others, key=lambda i: means[i]) if others else None
        before = found[place - 1][1]
        ranges.append(
            Range(
                low=low,
                high=high,
                low_ends=None
                if not place
                else _around(
                    low,
                    not_told_apart(group.profit[best] - group.profit[before], cost[best] - cost[before], LEVEL),
                ),
                best=group.policies[best],
                alike=tuple(group.policies[i] for i in alike),
                at=at,
                second=None if second is None else group.policies[second],
                lead=None if second is None else lead_at(net, best, second),
                over_baseline=lead_at(net, best),
                n_agree=int((net[best] >= net.max(axis=0)).sum()),
            )
        )
    return tuple(ranges)


def _amid(low: float, high: float) -> float:
    if math.isinf(high):
        return 10 * low or 1.0
    return math.sqrt((low or high / 100) * high)


def _around(worth: float, intervals: list[Interval]) -> Interval:
    # Rounding may put the switch point of seeds that all agree a hair beside its interval.
    return next((ends for ends in intervals if ends[0] <= worth <= ends[1]), (worth, worth))


def dominated(group: Weighed) -> tuple[Dominated, ...]:
    """
    Find the policies that no worth makes best, since another one has more for less.

    Parameters
    ----------
    group : Weighed
        The group.

    Returns
    -------
    tuple of Dominated
        With trackers for nothing; each with the policy that outdoes it in most seeds, of these the cheapest.
    """
    profit, costs = group.profit, [group.priced(price_ns) for price_ns in group.prices_ns]
    means = profit.mean(axis=1), [cost.mean(axis=1) for cost in costs]
    found = []
    for i, policy in enumerate(group.policies):
        more, less = means[0] >= means[0][i], [mean <= mean[i] for mean in means[1]]
        strict = (means[0] > means[0][i]) | (means[1][0] < means[1][0][i])
        by = np.flatnonzero(more & less[0] & strict)
        if not len(by):
            continue
        n_seeds = ((profit >= profit[i]) & (costs[0] <= costs[0][i])).sum(axis=1)
        best = min(by.tolist(), key=lambda j: (-n_seeds[j], means[1][0][j], j))
        holds = [price_ns for price_ns, cheap in zip(group.prices_ns, less, strict=True) if cheap[best]]
        found.append(Dominated(policy=policy, by=group.policies[best], n_seeds=int(n_seeds[best]), up_to_ns=max(holds)))
    return tuple(found)
