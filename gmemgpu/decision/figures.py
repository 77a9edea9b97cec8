"""Figures of a decision as text: worths, shares and leads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from gmemgpu.decision.weighing import CostKind
from gmemgpu.report.paired import Difference
from gmemgpu.units import format_bytes, format_duration_ns

__all__ = ["figure_text", "worth_text", "share_text", "ends_text", "lead_text", "span_text", "duration_text", "listed"]


def figure_text(figure: float, digits: int = 2) -> str:
    """
    Write a figure that may be of any size, without an exponent.

    Parameters
    ----------
    figure : float
        Not negative.
    digits : int
        That matter.

    Returns
    -------
    str
        Such as ``0.00023``, ``4.2`` or ``1,100``; ``∞`` if there is no end.

    Examples
    --------
    >>> figure_text(0.000234), figure_text(1138.4, 3)
    ('0.00023', '1,140')
    """
    if math.isinf(figure):
        return "∞"
    rounded = Decimal(f"{figure:.{digits - 1}e}")
    return f"{rounded:,.{max(0, -int(rounded.as_tuple().exponent))}f}" if rounded else "0"


def share_text(share: float, digits: int = 2) -> str:
    """
    Write a share in per cent.

    Parameters
    ----------
    share : float
        Not negative.
    digits : int
        That matter.

    Returns
    -------
    str
        Such as ``0.21 %``.
    """
    return f"{figure_text(100 * share, digits)} %"


def worth_text(worth: float, kind: CostKind) -> str:
    """
    Write a worth of a set bit with its unit.

    Parameters
    ----------
    worth : float
        In the kind's unit.
    kind : CostKind
        What was counted.

    Returns
    -------
    str
        Such as ``0.45 core-s per GiB·h``.
    """
    return f"{figure_text(worth)} {kind.unit} per {kind.per}"


def ends_text(ends: Sequence[float]) -> str:
    """
    Write an interval of worths.

    Parameters
    ----------
    ends : sequence of float
        Two.

    Returns
    -------
    str
        Such as ``0.0087–0.016``; with nothing after the dash if there is no upper end.
    """
    low, high = ends
    return f"{figure_text(low)}–{'' if math.isinf(high) else figure_text(high)}"


def lead_text(lead: Difference) -> str:
    """
    Write what one policy is ahead of another and the interval, to two digits of half of that.

    Parameters
    ----------
    lead : Difference
        Not negative.

    Returns
    -------
    str
        Such as ``3,200 ±570``, or ``5.7 (2.7 to 10.5)`` if not symmetric; to three digits if there is none, or no
        width to it.
    """
    if not lead.half_width or lead.low is None or lead.high is None:
        return figure_text(lead.difference, 3)
    last = math.floor(math.log10(lead.half_width)) - 1

    def text(figure: float) -> str:
        return f"{round(figure, -last):,.{max(0, -last)}f}".replace("-", "−")

    if abs(lead.low + lead.high - 2 * lead.difference) > 10.0**last:
        return f"{text(lead.difference)} ({text(lead.low)} to {text(lead.high)})"
    return f"{text(lead.difference)} ±{text(lead.half_width)}"


def span_text(ends: Sequence[int], of_bytes: bool = False) -> str:
    """
    Write a count or a size, or both ends of what they span.

    Parameters
    ----------
    ends : sequence of int
        Least and most.
    of_bytes : bool
        Whether it is a size.

    Returns
    -------
    str
        Such as ``64`` or ``64 to 192``.
    """
    texts = dict.fromkeys(format_bytes(end) if of_bytes else f"{end:,}" for end in ends)
    return " to ".join(texts)


def duration_text(ends: Sequence[int]) -> str:
    """
    Write a length of time, or both ends of what it spans.

    Parameters
    ----------
    ends : sequence of int
        Shortest and longest, in ns.

    Returns
    -------
    str
        Such as ``10 min``.
    """
    return " to ".join(dict.fromkeys(format_duration_ns(end) for end in ends))


def listed(names: Sequence[str], most: int = 4) -> str:
    """
    Write policies as a sentence does.

    Parameters
    ----------
    names : sequence of str
        At least one.
    most : int
        More than these are counted.

    Returns
    -------
    str
        Such as ```a`, `b` and `c```.
    """
    shown = [f"`{name}`" for name in names[:most]]
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
