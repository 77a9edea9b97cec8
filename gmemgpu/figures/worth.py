"""What each policy forgoes for every worth of a set bit; the lowest line is the one to take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from gmemgpu.decision.figures import worth_text
from gmemgpu.decision.ranges import Range
from gmemgpu.decision.weighing import Weighed
from gmemgpu.figures.axis import axis_labels, plain
from gmemgpu.figures.style import INK, LETTER_PX, LineStyle, Spec, line_styles, titled

__all__ = ["worth"]

_HEIGHT = 340
_AXIS_PX, _LEGEND_PX = 76, 150
_NARROW_PX = 480
_STEPS = 80
_BEYOND = 30.0
"""So far the axis goes on beyond the first and the last switch."""

_LEAST, _MOST = 1e-5, 1.0
_NAME_ROWS, _NAME_PX = 3, 13


def worth(
    group: Weighed,
    ranges: Sequence[Range],
    at: float,
    *,
    title: str,
    styles: Mapping[str, LineStyle] | None = None,
    width: int = 620,
) -> Spec:
    """
    Draw what policies forgo.

    Parameters
    ----------
    group : Weighed
        Profits and costs; with a bound that is more than nothing.
    ranges : sequence of Range
        Which policy is best where, ascending.
    at : float
        The worth at which the answer was sought; a line marks it.
    title : str
        Of the group.
    styles : mapping of str to LineStyle, optional
        How the line of each policy looks, as `gmemgpu.figures.style.line_styles` gives it for all of a sweep.
    width : int
        Of the whole, in pixels.

    Returns
    -------
    Spec
        A view.

    Notes
    -----
    Of λ · B, what the bound B saves at a worth λ for nothing, a policy with profit b and cost c forgoes
    1 − b / B + c / (λ · B). Both axes are logarithmic, so that the best ones come apart.
    """
    assert group.bound
    low, high = _ends(ranges, at)
    worths = np.geomspace(low, high, _STEPS)
    missed = 1 - group.profit.mean(axis=1) / group.bound
    lost = missed[:, None] + group.cost.mean(axis=1)[:, None] / (worths * group.bound)
    shown = np.clip(lost, _LEAST, _MOST)
    names = list(group.policies)
    rows = [
        {"policy": name, "worth": of, "lost": share, "text": f"{100 * exact:.3g} %"}
        for name, own, figures in zip(names, shown.tolist(), lost.tolist(), strict=True)
        for of, share, exact in zip(worths.tolist(), own, figures, strict=True)
    ]
    area = width - _AXIS_PX - (0 if width < _NARROW_PX else _LEGEND_PX)
    least = max(_LEAST, 10.0 ** math.floor(math.log10(max(float(shown.min()), _LEAST))))
    unit = f"{group.kind.unit} per {group.kind.per}"
    x: Spec = {
        "type": "quantitative",
        "scale": {"type": "log", "domain": [low, high], "nice": False},
        "axis": {"title": f"worth of a set bit, {unit}", **axis_labels(_tens(low, high))},
    }
    y: Spec = {
        "type": "quantitative",
        "scale": {"type": "log", "domain": [least, _MOST], "nice": False},
        "axis": {
            "title": "forgone, of what set bits could save",
            **axis_labels([(share, f"{plain(100 * share)} %") for share, _ in _tens(least, _MOST)]),
        },
    }
    legend: Spec = {"title": None, "symbolStrokeWidth": 2, "symbolSize": 500, "symbolType": "stroke"}
    if width < _NARROW_PX:
        legend |= {"orient": "bottom", "columns": 2}
    looks = [(styles or line_styles(names))[name] for name in names]

    def style(values: Sequence[object]) -> Spec:
        scale = {"domain": names, "range": list(values)}
        return {"field": "policy", "type": "nominal", "sort": names, "scale": scale, "legend": legend}

    best = ", ".join(
        one.best if not i else f"{one.best} from {worth_text(one.low, group.kind)}" for i, one in enumerate(ranges)
    )
    return {
        "title": {
            **titled(title, "low is good; the broad line is the best policy, named above", width - _AXIS_PX),
            "offset": _NAME_PX * (_NAME_ROWS + 0.5),
        },
        "description": f"{title}: best by the worth of a set bit: {best}",
        "width": area,
        "height": _HEIGHT,
        "data": {"values": rows},
        "layer": [
            {
                "data": {
                    "values": [
                        {"worth": of, "lost": share}
                        for of, share in zip(worths.tolist(), shown.min(axis=0).tolist(), strict=True)
                    ]
                },
                "mark": {"type": "line", "strokeWidth": 9, "opacity": 0.2, "color": INK, "aria": False},
                "encoding": {"x": {"field": "worth", **x}, "y": {"field": "lost", **y}},
            },
            {
                "params": [{"name": "picked", "select": {"type": "point", "fields": ["policy"]}, "bind": "legend"}],
                "mark": {"type": "line", "strokeWidth": 1.8, "clip": True},
                "encoding": {
                    "x": {"field": "worth", **x},
                    "y": {"field": "lost", **y},
                    "color": style([colour for colour, _ in looks]),
                    "strokeDash": style([list(dash) for _, dash in looks]),
                    "opacity": {"condition": {"param": "picked", "value": 1, "empty": True}, "value": 0.15},
                },
            },
            {
                "mark": {"type": "point", "size": 60, "opacity": 0, "aria": False},
                "encoding": {
                    "x": {"field": "worth", **x},
                    "y": {"field": "lost", **y},
                    "tooltip": [
                        {"field": "policy", "type": "nominal"},
                        {"field": "worth", "title": unit, "type": "quantitative", "format": ".3~g"},
                        {"field": "text", "title": "forgone", "type": "nominal"},
                    ],
                },
            },
            *_switches(ranges, at, low, high, area, x),
        ],
    }


def _ends(ranges: Sequence[Range], at: float) -> tuple[float, float]:
    known = [one.low for one in ranges if one.low > 0] + [at]
    return min(known) / _BEYOND, max(known) * _BEYOND


def _tens(low: float, high: float) -> list[tuple[float, str]]:
    powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    return [(10.0**power, plain(10.0**power)) for power in powers]


def _switches(ranges: Sequence[Range], at: float, low: float, high: float, area: float, x: Spec) -> list[Spec]:
    # Names above where their policies are best, higher where the one before would be in the way.
    taken = [-math.inf] * _NAME_ROWS
    names = []
    for one in ranges:
        begin, end = max(one.low, low), min(one.high, high)
        middle = area * math.log(math.sqrt(begin * end) / low) / math.log(high / low)
        half = LETTER_PX * len(one.best) / 2 + 3
        middle = min(max(middle, half), area - half)
        row = next((i for i in range(_NAME_ROWS) if taken[i] <= middle - half), _NAME_ROWS - 1)
        taken[row] = middle + half
        names.append({"name": one.best, "px": middle, "py": -_NAME_PX * (row + 0.7)})
    pixel: Spec = {"type": "quantitative", "scale": None, "axis": None}
    return [
        {
            "data": {"values": [{"worth": one.low} for one in ranges if one.low > low]},
            "mark": {"type": "rule", "strokeDash": [2, 3], "color": INK, "opacity": 0.6, "aria": False},
            "encoding": {"x": {"field": "worth", **x}},
        },
        {
            "data": {"values": [{"worth": at}]},
            "mark": {
                "type": "rule",
                "color": INK,
                "strokeWidth": 1.5,
                "opacity": 0.8,
                "tooltip": "the worth asked for",
            },
            "encoding": {"x": {"field": "worth", **x}},
        },
        {
            "data": {"values": names},
            "mark": {"type": "text", "color": INK, "aria": False},
            "encoding": {
                "x": {"field": "px", **pixel},
                "y": {"field": "py", **pixel},
                "text": {"field": "name", "type": "nominal"},
            },
        },
    ]
