"""From a decision table to the points of figures."""

from __future__ import annotations

from collections.abc import Iterator

from gmemgpu.figures.pareto import Point, Value
from gmemgpu.metrics.quantity import Quantity
from gmemgpu.model import ORACLE_NAME
from gmemgpu.report.decision import Group
from gmemgpu.report.estimate_text import cell_of, estimate_text
from gmemgpu.report.statistics import Estimate

__all__ = ["points_of", "value_of"]


def value_of(found: Estimate, quantity: Quantity) -> Value:
    """
    Return an estimate as a figure shows it.

    Parameters
    ----------
    found : Estimate
        From a decision table.
    quantity : Quantity
        Of what.

    Returns
    -------
    Value
        With its interval.
    """
    low = found.value if found.low is None else found.low
    high = found.value if found.high is None else found.high
    return Value(found.value, low, high, estimate_text(found, quantity.unit), cell_of(found, quantity.unit).value)


def points_of(group: Group, x: Quantity, y: Quantity) -> Iterator[Point]:
    """
    Yield the policies of a group that have both quantities.

    Parameters
    ----------
    group : Group
        Of a decision table.
    x, y : Quantity
        Which.

    Yields
    ------
    Point
        In the order of the table, without the oracle, which nobody can have.
    """
    for line in group.lines:
        across, up = line.estimates[x.key], line.estimates[y.key]
        if line.policy != ORACLE_NAME and across is not None and up is not None:
            yield Point(line.policy, value_of(across, x), value_of(up, y))
