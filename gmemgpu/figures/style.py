"""What all figures share: colours that colour-blind eyes tell apart, letters, and how charts are put side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

__all__ = [
    "CONFIG",
    "Spec",
    "INK",
    "FRONT",
    "BETTER",
    "WORSE",
    "UNTOLD",
    "LineStyle",
    "line_styles",
    "LETTER_PX",
    "titled",
    "group_title",
    "single",
    "grid",
]

Spec: TypeAlias = dict[str, Any]
"""Of Vega-Lite: a chart as plain data."""

# Okabe and Ito's palette, without its black and yellow: one is lost on a dark ground, the other on a light one.
_BLUE, _VERMILION, _GREEN, _ORANGE, _PURPLE, _SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9"

INK = "currentColor"
"""Of the text around a chart: black in a file, in a page what suits its ground."""

FRONT = BETTER = _BLUE
WORSE = _VERMILION
UNTOLD = "#808890"

LineStyle: TypeAlias = tuple[str, tuple[int, ...]]
"""Colour and dash pattern."""

_LINES: tuple[LineStyle, ...] = tuple(
    (colour, dash)
    for dash in ((1, 0), (6, 3), (2, 2), (9, 3, 2, 3))
    for colour in (_BLUE, _VERMILION, _GREEN, _PURPLE, _ORANGE, _SKY)
)

LETTER_PX = 6.2
"""Mean width of a letter of a label."""

CONFIG: Spec = {
    "font": "DejaVu Sans, Verdana, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "domainColor": INK,
        "tickColor": INK,
        "gridColor": UNTOLD,
        "gridOpacity": 0.25,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelOverlap": True,
    },
    "title": {
        "color": INK,
        "subtitleColor": INK,
        "anchor": "start",
        "frame": "group",
        "fontSize": 13,
        "subtitleFontSize": 11,
        "offset": 12,
    },
    "legend": {"labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 11, "labelLimit": 240},
    "text": {"color": INK, "fontSize": 11},
    "rule": {"color": INK},
}


def line_styles(policies: Iterable[str]) -> dict[str, LineStyle]:
    """
    Return a colour and a dash pattern for each policy.

    Parameters
    ----------
    policies : iterable of str
        All of a sweep: in each of its figures a policy then looks the same.

    Returns
    -------
    dict of str to (str, tuple of int)
        Neighbours differ in colour, and up to 24 in either.
    """
    return {policy: _LINES[i % len(_LINES)] for i, policy in enumerate(policies)}


def titled(title: str, subtitle: str, width: int) -> Spec:
    """
    Return the heading of a chart.

    Parameters
    ----------
    title, subtitle : str
        The latter says how to read it.
    width : int
        Of the whole, in pixels.

    Returns
    -------
    Spec
        With lines that fit.
    """
    letters = max(20, int(width / LETTER_PX))
    return {"text": textwrap.wrap(title, letters) or "", "subtitle": textwrap.wrap(subtitle, letters)}


def group_title(keys: Mapping[str, Any]) -> str:
    """
    Return what a group of scenarios is called.

    Parameters
    ----------
    keys : mapping of str to value
        Grouping column to what they have there.

    Returns
    -------
    str
        The label alone, if it is all that they were grouped by.
    """
    if list(keys) == ["label"]:
        return str(keys["label"])
    return ", ".join(f"{key}={'–' if value is None else value}" for key, value in keys.items())


def single(chart: Spec, *, background: str | None = "white") -> Spec:
    """
    Return a chart with all that it needs to be drawn.

    Parameters
    ----------
    chart : Spec
        A view, or several that were put together.
    background : str or None
        None leaves what is behind it to be seen.

    Returns
    -------
    Spec
        With letters and colours.
    """
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "background": background,
        "padding": 8,
        "config": CONFIG,
        **chart,
    }


def grid(charts: Iterable[Sequence[Spec]]) -> Spec:
    """
    Return charts in rows and columns.

    Parameters
    ----------
    charts : iterable of sequence of Spec
        Rows, from left to right.

    Returns
    -------
    Spec
        One chart.
    """
    rows: list[Spec] = [row[0] if len(row) == 1 else {"hconcat": list(row), "spacing": 36} for row in charts]
    return rows[0] if len(rows) == 1 else {"vconcat": rows, "spacing": 36}
