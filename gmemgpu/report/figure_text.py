"""Figures and differences as text in the unit of their column, and columns that stand in line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gmemgpu.metrics.quantity import Quantity
from gmemgpu.report.comparison import Comparison
from gmemgpu.report.paired import Difference
from gmemgpu.units import TIME_UNITS

__all__ = ["NO_FIGURE", "BESIDE_MARKS", "Scale", "scale_of", "scale_for", "value_text", "difference_text", "aligned"]

NO_FIGURE = "–"
BESIDE_MARKS = " "
"""Between columns whose cells end in a mark or in two blanks."""
_MINUS = "−"
_DECIMALS, _MOST_DECIMALS = 3, 6


@dataclass(frozen=True, slots=True)
class Scale:
    """
    The unit of a column.

    Parameters
    ----------
    factor : float
        What a figure is divided by.
    unit : str
        Its name; empty for counts.
    """

    factor: float
    unit: str


def scale_of(quantity: Quantity, comparisons: Iterable[Comparison]) -> Scale:
    """
    Choose one unit for all figures of a column.

    Parameters
    ----------
    quantity : Quantity
        What the column holds.
    comparisons : iterable of Comparison
        Of that quantity.

    Returns
    -------
    Scale
        Shares in %, times in the largest unit of which the largest figure has three, counts from ten million on in
        millions.
    """
    largest = max((max(abs(one.found.value), abs(one.found.baseline)) for one in comparisons if one.found), default=0.0)
    return scale_for(quantity, largest)


def scale_for(quantity: Quantity, largest: float) -> Scale:
    """
    Choose the unit for figures up to a size.

    Parameters
    ----------
    quantity : Quantity
        What they are of.
    largest : float
        In its unit.

    Returns
    -------
    Scale
        As of `scale_of`.
    """
    if quantity.unit == "share":
        return Scale(0.01, "%")
    if quantity.unit == "s":
        return Scale(1.0, "s")
    if quantity.unit == "count":
        return Scale(1e6, "million") if largest >= 1e7 else Scale(1.0, "")
    return next((Scale(size, name) for size, name in TIME_UNITS if largest >= 3 * size), Scale(1.0, "ns"))


def _decimals(figure: float, digits: int) -> int:
    # As many as show so many digits that matter, if three show them; more only for the first digit.
    if not figure:
        return 0
    first = -math.floor(math.log10(abs(figure)))
    return max(0, min(digits - 1 + first, max(_DECIMALS, min(first, _MOST_DECIMALS))))


def _figure(figure: float, decimals: int, *, signed: bool = False) -> str:
    text = f"{abs(figure):,.{decimals}f}"
    sign = "" if float(text.replace(",", "")) == 0 else _MINUS if figure < 0 else "+" if signed else ""
    return sign + text


def value_text(figure: float, scale: Scale) -> str:
    """
    Write a figure with four digits that matter.

    Parameters
    ----------
    figure : float
        As a quantity has it.
    scale : Scale
        Of its column.

    Returns
    -------
    str
        Without the unit.
    """
    figure /= scale.factor
    decimals = min(2, _decimals(figure, 4)) if abs(figure) >= 1 else _decimals(figure, 3)
    return _figure(figure, 0 if figure.is_integer() else decimals)


def difference_text(found: Difference, scale: Scale, *, compact: bool = False) -> str:
    """
    Write a difference and its interval, to two digits of how far that goes.

    Parameters
    ----------
    found : Difference
        What to write.
    scale : Scale
        Of its column.
    compact : bool
        Whether half of the interval is told even if it is not symmetric.

    Returns
    -------
    str
        Such as ``+3.70 ±1.62``, or ``−39 (−75 to −2)`` if not symmetric; without an interval where there is none
        or the seeds all agree.
    """
    difference, half_width = found.difference / scale.factor, (found.half_width or 0.0) / scale.factor
    if not half_width or found.low is None or found.high is None:
        return _figure(difference, 0 if difference.is_integer() else _decimals(difference, 3), signed=True)
    low, high = found.low / scale.factor, found.high / scale.factor
    decimals = 0 if all(one.is_integer() for one in (low, difference, high)) else _decimals(half_width, 2)
    text = _figure(difference, decimals, signed=True)
    if not compact and abs(low + high - 2 * difference) > 0.1**decimals:
        return f"{text} ({_figure(low, decimals, signed=True)} to {_figure(high, decimals, signed=True)})"
    least = 0.1**_MOST_DECIMALS
    return f"{text} ±{_figure(half_width, decimals) if half_width >= least / 2 else f'<{least:.{_MOST_DECIMALS}f}'}"


def aligned(rows: Sequence[Sequence[str]], width: int, gap: str = "  ") -> Iterator[str]:
    """
    Write rows in columns.

    Parameters
    ----------
    rows : sequence of sequence of str
        As many cells in each.
    width : int
        Columns that a line may take: a name, the first cell, that does not fit has a line of its own.
    gap : str
        Between columns.

    Yields
    ------
    str
        A line without its end: the first column flush left, the others right.
    """
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[1:]]
    room = max(8, width - sum(widths) - len(gap) * len(widths))
    first = min(room, max(len(row[0]) for row in rows))
    for name, *cells in rows:
        if len(name) > first:
            yield name
            name = ""
        line = gap.join([name.ljust(first), *(cell.rjust(size) for cell, size in zip(cells, widths, strict=True))])
        yield line.rstrip()
