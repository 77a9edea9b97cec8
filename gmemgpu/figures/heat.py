"""One quantity of all policies and groups as a table in colours, each figure in its cell."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.figures.axis import axis_for
from gmemgpu.figures.pareto import Value
from gmemgpu.figures.style import Spec, titled
from gmemgpu.metrics.quantity import Quantity

__all__ = ["heat"]

_ROW_PX = 22
_NAMES_PX = 120
_LEAST_COLUMN_PX = 56
_LEVEL_PX = 90
"""Titles of narrower columns are written at a slant."""
_PALE, _DARK = "#f2f6fa", "#08519c"
"""One hue by lightness: it is the same to every eye, and in grey."""


def heat(
    columns: Sequence[tuple[str, dict[str, Value | None]]], quantity: Quantity, *, n_more: int = 0, width: int = 620
) -> Spec:
    """
    Draw one quantity.

    Parameters
    ----------
    columns : sequence of (str, dict of str to Value or None)
        Title of a group, and what each policy has there.
    quantity : Quantity
        What it is.
    n_more : int
        Groups that are not among them.
    width : int
        Of the whole, in pixels; more where columns would be too narrow.

    Returns
    -------
    Spec
        A view: dark is good.
    """
    values = [value for _, column in columns for value in column.values() if value is not None]
    axis = axis_for(quantity, [value.mean for value in values])
    policies = list(dict.fromkeys(policy for _, column in columns for policy in column))
    cells = []
    for title, column in columns:
        for policy, value in column.items():
            goodness = None if value is None else axis.fraction(value.mean)
            if goodness is not None and not quantity.high_is_good:
                goodness = 1 - goodness
            text, short = ("–", "–") if value is None else (value.text, value.short)
            cells.append({"group": title, "policy": policy, "good": goodness, "text": text, "cell": short})
    titles = [title for title, _ in columns]
    step = max(_LEAST_COLUMN_PX, (width - _NAMES_PX) // len(columns))
    encoding: Spec = {
        "x": {
            "field": "group",
            "type": "nominal",
            "sort": titles,
            "scale": {"domain": titles},
            "axis": {
                "orient": "top",
                "title": None,
                "ticks": False,
                "domain": False,
                "labelLimit": step if step >= _LEVEL_PX else 420,
                "labelAngle": 0 if step >= _LEVEL_PX else -45,
                "labelOverlap": False,
            },
        },
        "y": {
            "field": "policy",
            "type": "nominal",
            "sort": policies,
            "scale": {"domain": policies},
            "axis": {"title": None, "ticks": False, "domain": False, "labelLimit": 200},
        },
    }
    tooltip = [
        {"field": field, "title": name, "type": "nominal"}
        for field, name in (("group", "group"), ("policy", "policy"), ("text", quantity.header))
    ]
    subtitle = "dark is good; – : there is no such figure"
    if n_more:
        subtitle += f"; {n_more:,} more {'group is' if n_more == 1 else 'groups are'} not drawn"
    return {
        "title": titled(quantity.header, subtitle, width - _NAMES_PX),
        "description": f"{quantity.header} of {len(policies)} policies in {len(columns)} groups",
        "width": step * len(columns),
        "height": {"step": _ROW_PX},
        "data": {"values": cells},
        "encoding": encoding,
        "layer": [
            {
                "mark": {"type": "rect", "stroke": "white", "strokeWidth": 1},
                "encoding": {
                    "color": {
                        "field": "good",
                        "type": "quantitative",
                        "scale": {"domain": [0, 1], "range": [_PALE, _DARK]},
                        "legend": None,
                    },
                    "tooltip": tooltip,
                },
            },
            {
                "mark": {"type": "text", "aria": False},
                "encoding": {
                    "text": {"field": "cell", "type": "nominal"},
                    "color": {"condition": {"test": "datum.good > 0.7", "value": "white"}, "value": "#1b1f24"},
                },
            },
        ],
    }
