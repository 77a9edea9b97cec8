"""Axes on which policies come apart: shares by their nines, costs of several decades by powers of ten and zero."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.figures.style import Spec
from gmemgpu.metrics.quantity import Quantity

__all__ = ["ChartAxis", "axis_labels", "axis_for", "plain", "time_ticks"]

_NINES = 4
"""Shares from 99.99 % on are one point: what is left is of no matter to anybody."""

_DECADES_APART = 30
"""From such a ratio of the largest to the smallest on, a linear axis would show the largest and a heap of others."""

_MARGIN = 0.04
_TIMES_NS = (
    *((10.0**power, f"{10 ** (power % 3)} {('ns', 'µs', 'ms')[power // 3]}") for power in range(9)),
    (1e9, "1 s"),
    (1e10, "10 s"),
    (6e10, "1 min"),
    (6e11, "10 min"),
    (3.6e12, "1 h"),
    (3.6e13, "10 h"),
    (8.64e13, "1 d"),
    (8.64e14, "10 d"),
    (8.64e15, "100 d"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartAxis:
    """
    Where values lie on paper.

    Parameters
    ----------
    place : callable
        From a value to a position; values beyond what the axis can show lie at its end.
    domain : tuple of (float, float)
        Positions of both ends.
    ticks : sequence of (float, str)
        Positions and what is written there; empty leaves it to the drawing.
    title : str
        With the unit.
    """

    place: Callable[[float], float]
    domain: tuple[float, float]
    ticks: Sequence[tuple[float, str]]
    title: str

    def fraction(self, value: float) -> float:
        """
        Compute how far along the axis a value lies.

        Parameters
        ----------
        value : float
            Of the quantity.

        Returns
        -------
        float
            From 0 to 1.
        """
        low, high = self.domain
        return min(1.0, max(0.0, (self.place(value) - low) / (high - low)))

    def spec(self) -> Spec:
        """Return scale, ticks and title as an encoding has them."""
        axis: Spec = {"title": self.title, "grid": True, **(axis_labels(self.ticks) if self.ticks else {})}
        return {"type": "quantitative", "scale": {"domain": list(self.domain), "nice": False}, "axis": axis}


def axis_labels(ticks: Sequence[tuple[float, str]]) -> Spec:
    """
    Write ticks of one's own.

    Parameters
    ----------
    ticks : sequence of (float, str)
        Positions and what is written there.

    Returns
    -------
    Spec
        What an axis needs to have them.
    """
    # Positions are floats, and no keys.
    choices = " : ".join(f"abs(datum.value - {at!r}) < 1e-9 ? {json.dumps(text)}" for at, text in ticks)
    return {"values": [at for at, _ in ticks], "labelExpr": f"{choices} : ''"}


def plain(figure: float) -> str:
    """
    Write a figure of a tick.

    Parameters
    ----------
    figure : float
        With few digits.

    Returns
    -------
    str
        Without an exponent.

    Examples
    --------
    >>> plain(1e-05), plain(1000.0)
    ('0.00001', '1,000')
    """
    return np.format_float_positional(figure, trim="-") if figure < 1 else f"{figure:,.12g}"


def time_ticks(low_ns: float, high_ns: float) -> list[tuple[float, str]]:
    """
    Return times that people have a word for.

    Parameters
    ----------
    low_ns, high_ns : float
        The first and the last that may be named.

    Returns
    -------
    list of (float, str)
        Powers of ten up to 10 s, then minutes, hours and days.
    """
    return [(at, text) for at, text in _TIMES_NS if low_ns <= at <= high_ns]


def _decades(low: float, high: float, quantity: Quantity) -> list[tuple[float, str]]:
    if quantity.unit == "ns":
        return time_ticks(low, high)
    scale, unit = (100.0, " %") if quantity.unit == "share" else (1.0, "")
    powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    step = 1 + len(powers) // 7
    return [(10.0**power, plain(10.0**power * scale) + unit) for power in powers[::step]]


def axis_for(quantity: Quantity, values: Iterable[float]) -> ChartAxis:
    """
    Choose the axis of a quantity.

    Parameters
    ----------
    quantity : Quantity
        What it shows.
    values : iterable of float
        All that shall be told apart, at least one.

    Returns
    -------
    ChartAxis
        By nines for shares of which more is better, by powers of ten if values lie far apart, else linear.
    """
    values = list(values)
    if quantity.unit == "share" and quantity.high_is_good:
        return _by_nines(quantity)
    positive = [value for value in values if value > 0]
    if positive and min(values) >= 0 and max(positive) > _DECADES_APART * min(positive):
        return _by_tens(quantity, min(positive), max(positive), zero=len(positive) < len(values))
    return _linear(quantity, min(0.0, *values), max(0.0, *values))


def _by_nines(quantity: Quantity) -> ChartAxis:
    def place(share: float) -> float:
        return -math.log10(min(1.0, max(10.0**-_NINES, 1 - share)))

    ticks = [(place(share), f"{100 * share:.12g} %") for share in (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999)]
    ticks.append((float(_NINES), "≥ 99.99 %"))
    reach = _MARGIN * _NINES
    return ChartAxis(
        place=place, domain=(-reach, _NINES + reach), ticks=ticks, title=f"{quantity.header} (scale of nines)"
    )


def _by_tens(quantity: Quantity, low: float, high: float, *, zero: bool) -> ChartAxis:
    # Zero has no logarithm: it lies half a decade below the smallest of the others, with a tick of its own.
    least = math.log10(low) - (0.5 if zero else 0.0)
    reach = _MARGIN * (math.log10(high) - least)

    def place(value: float) -> float:
        return max(least, math.log10(value)) if value > 0 else least

    ticks = [(math.log10(at), text) for at, text in _decades(low, high * 1.2, quantity)]
    if zero:
        ticks.insert(0, (least, "0"))
    return ChartAxis(place=place, domain=(least - reach, math.log10(high) + reach), ticks=ticks, title=quantity.header)


def _linear(quantity: Quantity, low: float, high: float) -> ChartAxis:
    unit, factor = "", 1.0
    if quantity.unit == "share":
        unit, factor = " [%]", 0.01
    elif quantity.unit == "ns":
        factor, text = next(
            ((at, text) for at, text in reversed(_TIMES_NS) if text[:2] == "1 " and high >= 3 * at), (1.0, "1 ns")
        )
        unit = f" [{text[2:]}]"
    reach = _MARGIN * ((high - low) / factor or 1.0)
    domain = (low / factor - reach, high / factor + reach)
    return ChartAxis(place=lambda value: value / factor, domain=domain, ticks=(), title=f"{quantity.header}{unit}")
