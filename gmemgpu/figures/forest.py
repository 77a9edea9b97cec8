"""Differences to a baseline on the same traces, with their intervals, as a forest plot."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence

from gmemgpu.figures.axis import axis_labels
from gmemgpu.figures.style import BETTER, INK, UNTOLD, WORSE, Spec, titled
from gmemgpu.metrics.quantity import Quantity
from gmemgpu.report.comparison import Comparison
from gmemgpu.report.figure_text import Scale, difference_text, scale_of

__all__ = ["forest"]

_ROW_PX = 20
_NAMES_PX = 120
_COLUMNS = (
    ("difference", "text", "right", 105),
    ("W/T/L", "wtl", "center", 142),
    ("verdict", "verdict_short", "left", 175),
)
_TEXTS_PX, _FEW_TEXTS_PX = 250, 110
_NARROW_PX = 480
"""Below that the differences alone are written beside the intervals; colour and shape say the verdict."""
_FAR_APART = 20
"""From such a ratio of the largest to the median difference on, a linear axis would show the largest and a heap."""

_COLOURS = {"better": BETTER, "worse": WORSE, "same": UNTOLD, "can't tell": UNTOLD}
_SHAPES = {"better": "triangle-up", "worse": "triangle-down", "same": "square", "can't tell": "circle"}


def forest(
    comparisons: Sequence[Comparison], quantity: Quantity, baseline: str, *, title: str, width: int = 620
) -> Spec:
    """
    Draw one quantity of policies less a baseline.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Of that quantity, of which one at least was found.
    quantity : Quantity
        What was compared.
    baseline : str
        The policy that the others are held against.
    title : str
        Of the group.
    width : int
        Of the whole, names and figures included, in pixels.

    Returns
    -------
    Spec
        Two views side by side: intervals, and the same in figures with seeds won, tied and lost.
    """
    scale = scale_of(quantity, comparisons)
    rows = [_row(one, scale) for one in comparisons if one.found is not None]
    names = [row["policy"] for row in rows]
    unit = f" [{scale.unit}]" if scale.unit else ""
    axis, place = _axis([row["difference"] for row in rows], [end for row in rows for end in (row["low"], row["high"])])
    for row in rows:
        row.update({f"{key}_at": place(row[key]) for key in ("difference", "low", "high")})
    y: Spec = {"field": "policy", "type": "nominal", "sort": names, "scale": {"domain": names}}
    policy: Spec = {"title": None, "ticks": False, "domain": False, "labelLimit": 200, "labelPadding": 8}
    verdicts = list(_COLOURS)
    colour: Spec = {
        "field": "verdict",
        "type": "nominal",
        "scale": {"domain": verdicts, "range": [_COLOURS[name] for name in verdicts]},
        "legend": None,
    }
    shape: Spec = {**colour, "scale": {"domain": verdicts, "range": [_SHAPES[name] for name in verdicts]}}
    x: Spec = {"type": "quantitative", **axis}
    x["axis"] = {**axis["axis"], "title": f"{quantity.header} less {baseline}{unit}"}
    tooltip = [
        {"field": field, "title": name, "type": "nominal"}
        for field, name in (
            ("policy", "policy"),
            ("told", f"less {baseline}{unit}"),
            ("wtl", "won / tied / lost"),
            ("verdict_text", "verdict"),
        )
    ]
    narrow = width < _NARROW_PX
    texts_px = _FEW_TEXTS_PX if narrow else _TEXTS_PX
    area = max(90, width - texts_px - _NAMES_PX)
    better = "right" if quantity.high_is_good else "left"
    return {
        "title": titled(title, f"better than {baseline}: to the {better}; bars: 95 % intervals", width - _NAMES_PX),
        "description": f"{title}: {quantity.header} less {baseline}: "
        + "; ".join(f"{row['policy']} {row['told']}, {row['verdict_text']}" for row in rows),
        "data": {"values": rows},
        "spacing": 4,
        "hconcat": [
            {
                "width": area,
                "height": {"step": _ROW_PX},
                "layer": [
                    {"mark": {"type": "rule", "color": INK, "opacity": 0.6}, "encoding": {"x": {"datum": place(0.0)}}},
                    {
                        "mark": {"type": "rule", "strokeWidth": 2, "aria": False},
                        "encoding": {
                            "y": {**y, "axis": policy},
                            "x": {"field": "low_at", **x},
                            "x2": {"field": "high_at"},
                            "color": colour,
                        },
                    },
                    {
                        "mark": {"type": "point", "size": 55, "filled": True, "opacity": 1},
                        "encoding": {
                            "y": {**y, "axis": policy},
                            "x": {"field": "difference_at", **x},
                            "color": colour,
                            "shape": shape,
                            "tooltip": tooltip,
                        },
                    },
                ],
            },
            {
                "width": texts_px,
                "height": {"step": _ROW_PX},
                "layer": [layer for column in _columns(y, unit, 1 if narrow else 3) for layer in column],
            },
        ],
    }


def _axis(differences: Sequence[float], ends: Sequence[float]) -> tuple[Spec, Callable[[float], float]]:
    # Linear, or where a few differences dwarf the others by powers of ten on both sides of zero.
    sizes = sorted(abs(one) for one in differences if one)
    if not sizes or sizes[-1] <= _FAR_APART * statistics.median(sizes):
        return {"axis": {"grid": True}}, float
    unit = 10.0 ** math.floor(math.log10(statistics.median(sizes)))

    def place(value: float) -> float:
        return math.copysign(math.log10(1 + abs(value) / unit), value)

    most = math.ceil(math.log10(max(map(abs, ends)) / unit))
    values = [0.0, *(sign * unit * 10.0**power for power in range(1, most + 1) for sign in (-1, 1))]
    low, high = min(0.0, *map(place, ends)), max(0.0, *map(place, ends))
    ticks = [(place(value), f"{value:+,.12g}".replace("-", "−") if value else "0") for value in sorted(values)]
    return {"axis": {"grid": True, **axis_labels([tick for tick in ticks if low <= tick[0] <= high])}}, place


def _columns(y: Spec, unit: str, n: int) -> Iterator[list[Spec]]:
    for head, field, align, at in _COLUMNS[:n]:
        mark: Spec = {"type": "text", "color": INK, "align": align, "x": at, "aria": False}
        yield [
            {"mark": mark, "encoding": {"y": {**y, "axis": None}, "text": {"field": field, "type": "nominal"}}},
            {
                "data": {"values": [{}]},
                "mark": {**mark, "y": -8, "fontStyle": "italic", "text": head + (unit if field == "text" else "")},
            },
        ]


def _row(one: Comparison, scale: Scale) -> Spec:
    found = one.found
    assert found is not None
    low, high = (found.difference if end is None else end for end in (found.low, found.high))
    return {
        "policy": one.policy,
        "difference": found.difference / scale.factor,
        "low": low / scale.factor,
        "high": high / scale.factor,
        "text": difference_text(found, scale, compact=True),
        "told": difference_text(found, scale),
        "wtl": f"{one.wins}/{found.ties}/{one.losses}",
        "verdict": one.verdict,
        "verdict_short": f"{one.verdict} ({one.seeds:,})" if one.seeds else one.verdict,
        "verdict_text": f"{one.verdict}; {one.seeds:,} seeds would" if one.seeds else one.verdict,
    }
