"""Cost against gain: where each policy lies, how sure that is, and which of them no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gmemgpu.figures.axis import ChartAxis, axis_for
from gmemgpu.figures.labels import Box, place_labels
from gmemgpu.figures.style import FRONT, INK, UNTOLD, Spec, titled
from gmemgpu.metrics.quantity import Quantity

__all__ = ["Point", "Value", "front", "pareto"]

_MOST_NAMES = 4
_AXIS_PX = 84
"""Beside the area, for figures and title of the axis."""


@dataclass(frozen=True, slots=True)
class Value:
    """
    A figure with its interval.

    Parameters
    ----------
    mean, low, high : float
        The ends are the figure itself where there is no interval.
    text, short : str
        As a table has it, and without the interval.
    """

    mean: float
    low: float
    high: float
    text: str
    short: str


@dataclass(frozen=True, slots=True)
class Point:
    """
    A policy.

    Parameters
    ----------
    policy : str
        Its name.
    x, y : Value
        Cost and gain, as a rule.
    """

    policy: str
    x: Value
    y: Value


def front(points: Sequence[Point], x: Quantity, y: Quantity) -> list[Point]:
    """
    Find the policies that no other one beats.

    Parameters
    ----------
    points : sequence of Point
        All of them.
    x, y : Quantity
        What their values are, for the better direction.

    Returns
    -------
    list of Point
        By x: of no other one are both values at least as good and one of them better. Intervals count for nothing here.
    """
    found = [point for point in points if not _beating(point, points, x, y)]
    return sorted(found, key=lambda point: point.x.mean)


def _beating(point: Point, points: Sequence[Point], x: Quantity, y: Quantity) -> list[str]:
    def goodness(one: Point) -> tuple[float, float]:
        return (one.x.mean if x.high_is_good else -one.x.mean), (one.y.mean if y.high_is_good else -one.y.mean)

    own = goodness(point)
    others = [(one.policy, goodness(one)) for one in points]
    return [name for name, other in others if other != own and other[0] >= own[0] and other[1] >= own[1]]


def pareto(points: Sequence[Point], x: Quantity, y: Quantity, *, title: str, width: int = 620) -> Spec:
    """
    Draw policies by two quantities.

    Parameters
    ----------
    points : sequence of Point
        At least one.
    x, y : Quantity
        What their values are.
    title : str
        Of the group.
    width : int
        Of the whole, in pixels.

    Returns
    -------
    Spec
        A view. Names lie where there is room, so the width is fixed.
    """
    width -= _AXIS_PX
    height = round(min(400, max(340, width * 0.62)))
    across = axis_for(x, [point.x.mean for point in points])
    up = axis_for(y, [point.y.mean for point in points])
    best = front(points, x, y)
    ordered = [*best, *(point for point in points if point not in best)]
    rows = [_row(point, across, up, _beating(point, points, x, y)) for point in ordered]
    # Points of the front are drawn last, above those that coincide with them.
    rows.reverse()

    def at(x_value: float, y_value: float) -> tuple[float, float]:
        return across.fraction(x_value) * width, (1 - up.fraction(y_value)) * height

    lines = [(*at(point.x.low, point.y.mean), *at(point.x.high, point.y.mean)) for point in points]
    lines += [(*at(point.x.mean, point.y.high), *at(point.x.mean, point.y.low)) for point in points]
    for one, next_one in pairwise(best):
        corner = (one, next_one) if x.high_is_good else (next_one, one)
        lines.append(_segment(at(one.x.mean, corner[1].y.mean), at(next_one.x.mean, corner[1].y.mean)))
        lines.append(_segment(at(corner[0].x.mean, one.y.mean), at(corner[0].x.mean, next_one.y.mean)))
    names = [
        {
            "name": list(label.lines),
            "x": label.x,
            "y": label.y,
            "px": label.point_x,
            "py": label.point_y,
            "ex": label.edge[0],
            "ey": label.edge[1],
            "far": label.is_far,
        }
        for label in place_labels(
            [point.policy for point in ordered],
            [at(point.x.mean, point.y.mean) for point in ordered],
            width,
            height,
            lines,
        )
    ]
    axes: Spec = {"x": {"field": "x", **across.spec()}, "y": {"field": "y", **up.spec()}}
    tooltip = [
        {"field": field, "title": name, "type": "nominal"}
        for field, name in (("policy", "policy"), ("x_text", x.header), ("y_text", y.header), ("beaten", "beaten by"))
    ]
    of_front: Spec = {"condition": {"test": "datum.best", "value": FRONT}, "value": UNTOLD}
    whisker: Spec = {"type": "rule", "strokeWidth": 1.2, "opacity": 0.7, "clip": True, "aria": False}
    pixel: Spec = {"type": "quantitative", "scale": None, "axis": None}
    return {
        "title": titled(title, _reading(x, y), width),
        "description": f"{title}: {len(points)} policies by {x.header} and {y.header}; none beats "
        + ", ".join(point.policy for point in best),
        "width": width,
        "height": height,
        "data": {"values": rows},
        "layer": [
            {
                "transform": [{"filter": "datum.best"}],
                "mark": {
                    "type": "line",
                    "interpolate": "step-before" if x.high_is_good else "step-after",
                    "color": FRONT,
                    "strokeWidth": 1.5,
                    "strokeDash": [5, 3],
                    "aria": False,
                },
                "encoding": {**axes, "order": {"field": "x", "type": "quantitative"}},
            },
            {
                "mark": whisker,
                "encoding": {
                    **axes,
                    "x": {"field": "x_low", **across.spec()},
                    "x2": {"field": "x_high"},
                    "color": of_front,
                },
            },
            {
                "mark": whisker,
                "encoding": {
                    **axes,
                    "y": {"field": "y_low", **up.spec()},
                    "y2": {"field": "y_high"},
                    "color": of_front,
                },
            },
            {
                "data": {"values": [name for name in names if name["far"]]},
                "mark": {"type": "rule", "strokeWidth": 0.6, "opacity": 0.6, "aria": False},
                "encoding": {
                    "x": {"field": "px", **pixel},
                    "y": {"field": "py", **pixel},
                    "x2": {"field": "ex"},
                    "y2": {"field": "ey"},
                },
            },
            {
                "mark": {"type": "point", "size": 60, "filled": True, "opacity": 1},
                "encoding": {
                    **axes,
                    "color": of_front,
                    "shape": {"condition": {"test": "datum.best", "value": "diamond"}, "value": "circle"},
                    "tooltip": tooltip,
                },
            },
            {
                "data": {"values": names},
                "mark": {
                    "type": "text",
                    "baseline": "middle",
                    "align": "center",
                    "color": INK,
                    "lineHeight": 13,
                    "aria": False,
                },
                "encoding": {
                    "x": {"field": "x", **pixel},
                    "y": {"field": "y", **pixel},
                    "text": {"field": "name", "type": "nominal"},
                },
            },
        ],
    }


def _reading(x: Quantity, y: Quantity) -> str:
    better = f"{'up' if y.high_is_good else 'down'} and {'right' if x.high_is_good else 'left'}"
    return f"better: {better}; diamonds: beaten by none"


def _segment(a: tuple[float, float], b: tuple[float, float]) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])


def _row(point: Point, across: ChartAxis, up: ChartAxis, beating: Sequence[str]) -> Spec:
    return {
        "policy": point.policy,
        "x": across.place(point.x.mean),
        "x_low": across.place(point.x.low),
        "x_high": across.place(point.x.high),
        "y": up.place(point.y.mean),
        "y_low": up.place(point.y.low),
        "y_high": up.place(point.y.high),
        "x_text": point.x.text,
        "y_text": point.y.text,
        "best": not beating,
        "beaten": ", ".join(beating[:_MOST_NAMES]) + (" …" if len(beating) > _MOST_NAMES else "") or "none",
    }
