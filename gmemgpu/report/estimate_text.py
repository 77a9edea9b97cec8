"""An estimate as a person would write it: ``97.3 % ±0.4``, ``45.6 % (34.2–57.5)``, ``80.3 s (60.1–107) 3/8``."""

from __future__ import annotations

from typing import NamedTuple

from gmemgpu.report.statistics import Estimate
from gmemgpu.units import TIME_UNITS

__all__ = ["Cell", "cell_of", "estimate_text"]


class Cell(NamedTuple):
    """
    An estimate in two parts, for columns in which figures stand below each other.

    Parameters
    ----------
    value : str
        The figure with its unit.
    spread : str
        How far to trust it; may be empty.
    """

    value: str
    spread: str


def _decimals(figure: float) -> int:
    # Three digits that matter, but never more than two after the point.
    return 0 if abs(figure) >= 100 else 1 if abs(figure) >= 10 else 2


def _number(figure: float, decimals: int) -> str:
    if figure == 0:
        return "0"
    smallest = 10.0**-decimals
    return f"<{smallest:g}" if 0 < figure < smallest / 2 else f"{figure:,.{decimals}f}"


def cell_of(found: Estimate | None, unit: str, n_seeds: int = 0) -> Cell:
    """
    Write an estimate in two parts.

    Parameters
    ----------
    found : Estimate or None
        None becomes a dash.
    unit : {"share", "ns", "s", "count"}
        Of the number.
    n_seeds : int
        If more than the estimate's, how many of them have the quantity is told.

    Returns
    -------
    Cell
        In a unit that suits. ``±`` stands for an interval that is symmetric as far as it is printed, and stays within
        what the quantity can be.
    """
    if found is None:
        return Cell("–", "")
    of = f"{found.n}/{n_seeds}" if found.n < n_seeds else ""
    largest = found.value or found.high or 0.0
    scale, sign = 1.0, ""
    if unit == "share":
        scale, sign = 0.01, " %"
    elif unit == "ns":
        scale, name = _unit_of(largest)
        sign = f" {name}" if largest else ""
    value = found.value / scale
    decimals = _decimals(largest / scale)
    # Of one trace a count is exact; of several the middle one is, and so are the least and the most.
    exact = unit == "count" and (found.n == 1 or found.kind in ("median", "range"))
    ends = [None if end is None else _end(end / scale, decimals, exact=exact) for end in (found.low, found.high)]
    if exact and value.is_integer():
        decimals = 0
    elif exact and (2 * value).is_integer() and found.n > 1:
        decimals = 1
    spread = ""
    if found.low is not None:
        spread = f"({ends[0]}–{ends[1]})" if found.high is not None else f"(≥{_least(found.low, unit)})"
    if found.low is not None and found.high is not None:
        step = 10.0**-decimals
        down, up = (round((found.value - found.low) / scale / step), round((found.high - found.value) / scale / step))
        reach = max(down, up) * step
        within = value >= reach and (unit != "share" or value + reach <= 100)
        if not down and not up:
            # A spread that rounds to nothing says no more than its absence.
            spread = ""
        elif found.kind not in ("median", "range") and abs(up - down) <= 1 and within:
            spread = f"±{reach:,.{decimals}f}"
    return Cell(f"{_number(value, decimals)}{sign}", " ".join(part for part in (spread, of) if part))


def _unit_of(time_ns: float) -> tuple[float, str]:
    # Minutes and longer only from three of them on: "95 s" says more than "1.58 min".
    return next(
        ((size, name) for size, name in TIME_UNITS if time_ns >= (3 * size if size > 1e9 else size)), TIME_UNITS[-1]
    )


def _least(figure: float, unit: str) -> str:
    # What alone bounds a time may be far from it, and has a unit of its own.
    scale, name = _unit_of(figure) if unit == "ns" else (1.0, "")
    figure /= scale
    return f"{_number(figure, _decimals(figure))} {name}".rstrip() if figure else "0"


def _end(figure: float, decimals: int, *, exact: bool) -> str:
    text = f"{figure:,.{0 if exact and figure.is_integer() else decimals}f}"
    return text if text.strip("0.") else "0"


def estimate_text(found: Estimate | None, unit: str, n_seeds: int = 0) -> str:
    """
    Write an estimate in one piece.

    Parameters
    ----------
    found, unit, n_seeds : Estimate or None, str, int
        As for `cell_of`.

    Returns
    -------
    str
        Such as ``10.3 s ±0.2``.
    """
    return " ".join(part for part in cell_of(found, unit, n_seeds) if part)
