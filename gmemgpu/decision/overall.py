"""Over all groups: which policy has least to lose, and which axis of a sweep decides what is best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmemgpu.decision.answer import Answer, answer_at
from gmemgpu.decision.ranges import net_at
from gmemgpu.decision.weighing import Weighed

__all__ = ["Regret", "Minimax", "AxisValue", "Axis", "minimax_regret", "axis_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """
    How far a policy is behind the best one where it is worst.

    Parameters
    ----------
    policy : str
        Its name.
    regret : float
        A share of the host's CPU, or in the kind's `regret_unit`.
    group : int
        Where.
    """

    policy: str
    regret: float
    group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimax:
    """
    The policy with least to lose.

    Parameters
    ----------
    price_ns : float
        Of an update of a tracker.
    best, baseline : Regret
        Of the policy whose largest regret is smallest, and of the baseline.
    """

    price_ns: float
    best: Regret
    baseline: Regret


def minimax_regret(groups: Sequence[Weighed], worth_of: Callable[[Weighed], float]) -> tuple[Minimax, ...]:
    """
    Find the policy whose largest regret over groups is smallest.

    Parameters
    ----------
    groups : sequence of Weighed
        Of the same policies; those without memory in use do not count.
    worth_of : callable
        From a group to the worth of a set bit there.

    Returns
    -------
    tuple of Minimax
        One for each price that any group looks at; empty if no group has memory in use.
    """
    places = [i for i, group in enumerate(groups) if group.in_use > 0]
    if not places:
        return ()
    found = []
    for price_ns in max((groups[i].prices_ns for i in places), key=len):
        behind = []
        for group in (groups[i] for i in places):
            net = net_at(group, worth_of(group), price_ns).mean(axis=1)
            behind.append((net.max() - net) / group.per_day * group.per_host)
        regrets = np.array(behind)

        def regret(policy: int, regrets: Any = regrets) -> Regret:
            worst = int(regrets[:, policy].argmax())
            name = groups[0].policies[policy]
            return Regret(policy=name, regret=float(regrets[worst, policy]), group=places[worst])

        best = int(regrets.max(axis=0).argmin())
        found.append(Minimax(price_ns=price_ns, best=regret(best), baseline=regret(0)))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisValue:
    """
    What is best at one value of an axis, the others pooled.

    Parameters
    ----------
    value : Any
        Of the axis.
    answer : Answer
        There.
    """

    value: Any
    answer: Answer

    @property
    def lead(self) -> float:
        """What the policy is ahead of the baseline."""
        return 0.0 if self.answer.lead is None else self.answer.lead.difference

    @property
    def good(self) -> tuple[str, ...]:
        """The policy, and those that are as good."""
        return self.answer.policy, *self.answer.as_good


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """
    An axis of a sweep.

    Parameters
    ----------
    name : str
        Its column.
    values : tuple of AxisValue
        At least two.
    """

    name: str
    values: tuple[AxisValue, ...]

    @property
    def stays(self) -> str | None:
        """The policy that is best, or as good, at all values; None if the axis flips the choice."""
        first, *rest = (one.good for one in self.values)
        return next((name for name in first if all(name in good for good in rest)), None)

    @property
    def span(self) -> float:
        """How much the lead over the baseline moves along the axis."""
        leads = [one.lead for one in self.values]
        return max(leads) - min(leads)


def axis_of(name: str, groups: Sequence[Weighed], worth_of: Callable[[Weighed], float]) -> Axis | None:
    """
    Find what is best along an axis.

    Parameters
    ----------
    name : str
        The axis.
    groups : sequence of Weighed
        One for each of its values.
    worth_of : callable
        From a group to the worth of a set bit there.

    Returns
    -------
    Axis or None
        None if it has one value only.
    """
    if len(groups) < 2:
        return None
    values = (AxisValue(value=group.keys[name], answer=answer_at(group, worth_of(group))) for group in groups)
    return Axis(name=name, values=tuple(values))
