"""Every engine on one trace: do all integers agree?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gmemgpu.engine.protocol import Engine
from gmemgpu.engine.registry import available_engines
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import METRIC_NAMES
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace

__all__ = ["Difference", "Verdict", "verify"]


@dataclass(frozen=True, slots=True)
class Difference:
    """
    One integer, or one histogram, on which engines disagree.

    Parameters
    ----------
    policy, metric : str
        Names of both.
    values : dict of str to int, or to list of int
        What each engine computed, by its name.
    """

    policy: str
    metric: str
    values: dict[str, int] | dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a comparison found.

    Parameters
    ----------
    n_events : int
        Events of the trace.
    engines : tuple of str
        Names of those that ran.
    n_compared : int
        Values that each of them computed: policies × metrics.
    differences : tuple of Difference
        Empty if all engines agree.
    """

    n_events: int
    engines: tuple[str, ...]
    n_compared: int
    differences: tuple[Difference, ...]


def verify(
    trace: Trace, policies: Sequence[Policy], costs: Costs, *, engines: Sequence[Engine] | None = None
) -> Verdict:
    """
    Evaluate a trace with several engines and compare all integers.

    Parameters
    ----------
    trace : Trace
        A valid one.
    policies : sequence of Policy
        May hold the oracle.
    costs : Costs
        Times of RMPOPT, in ns.
    engines : sequence of Engine, optional
        All that can run here if left out.

    Returns
    -------
    Verdict
        Every difference.
    """
    engines = available_engines() if engines is None else engines
    results = {engine.name: engine.evaluate([trace], policies, costs)[0] for engine in engines}
    differences = []
    for i, policy in enumerate(policies):
        for metric in METRIC_NAMES:
            values = {name: rows[i][metric] for name, rows in results.items()}
            first, *others = values.values()
            if any(other != first for other in others):
                differences.append(Difference(policy.name, metric, values))
    return Verdict(len(trace), tuple(results), len(policies) * len(METRIC_NAMES), tuple(differences))
