"""Which axis of a sweep moves the lead over the baseline most, and which of them flips the choice."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.decision.overall import Axis
from gmemgpu.figures.style import BETTER, INK, UNTOLD, WORSE, Spec, titled

__all__ = ["tornado"]

_ROW_PX = 46
_NAMES_PX = 130
_NARROW_PX = 480
"""Below that there is room for the choice alone."""


def tornado(axes: Sequence[Axis], baseline: str, unit: str, *, width: int = 620) -> Spec:
    """
    Draw the axes of a sweep.

    Parameters
    ----------
    axes : sequence of Axis
        At least one, the one that moves the lead most first.
    baseline : str
        Whom the lead is over.
    unit : str
        Of a lead.
    width : int
        Of the whole, in pixels.

    Returns
    -------
    Spec
        A view: for each axis a bar over the leads at its values, the other axes pooled.
    """
    points, bars = [], []
    for axis in axes:
        stays = axis.stays
        verdict = f"{stays} stays best" if stays else "flips the choice"
        ordered = sorted(axis.values, key=lambda one: one.lead)
        for one in ordered:
            points.append(
                {
                    "axis": axis.name,
                    "value": str(one.value),
                    "policy": one.answer.policy,
                    "lead": one.lead,
                    "finding": one.answer.finding,
                }
            )
        ends = (ordered[0], ordered[-1])
        bars.append(
            {
                "axis": axis.name,
                "low": ends[0].lead,
                "high": ends[1].lead,
                "flips": not stays,
                "verdict": verdict
                if width < _NARROW_PX or ends[0].lead == ends[1].lead
                else f"{verdict} · least at {ends[0].value}, most at {ends[1].value}",
                "text": f"{verdict}; least at {ends[0].value} ({ends[0].answer.policy}), "
                f"most at {ends[1].value} ({ends[1].answer.policy})",
            }
        )
    names = [axis.name for axis in axes]
    y: Spec = {
        "field": "axis",
        "type": "nominal",
        "sort": names,
        "scale": {"domain": names},
        "axis": {"title": None, "ticks": False, "domain": False, "labelLimit": _NAMES_PX, "labelPadding": 8},
    }
    title = f"lead over {baseline}, {unit}"
    x: Spec = {
        "type": "quantitative",
        "axis": {"title": title, "grid": True, "format": ",.4~g"},
        "scale": {"zero": True},
    }
    flips: Spec = {"condition": {"test": "datum.flips", "value": WORSE}, "value": BETTER}
    return {
        "title": titled(
            "What the choice hangs on",
            "a bar spans the lead of the best policy over the values of an axis; red: its best policy changes",
            width - _NAMES_PX,
        ),
        "description": "; ".join(f"{bar['axis']}: {bar['text']}" for bar in bars),
        "width": max(120, width - _NAMES_PX - 20),
        "height": {"step": _ROW_PX},
        "layer": [
            {
                "data": {"values": bars},
                "mark": {"type": "bar", "height": 12, "opacity": 0.55, "cornerRadius": 2},
                "encoding": {
                    "y": y,
                    "x": {"field": "low", **x},
                    "x2": {"field": "high"},
                    "color": flips,
                    "tooltip": [
                        {"field": "axis", "type": "nominal"},
                        {"field": "text", "title": "choice", "type": "nominal"},
                    ],
                },
            },
            {
                "data": {"values": bars},
                "mark": {"type": "text", "align": "left", "dy": 15, "color": INK, "aria": False},
                "encoding": {"y": y, "x": {"value": 2}, "text": {"field": "verdict", "type": "nominal"}},
            },
            {
                "data": {"values": points},
                "mark": {"type": "point", "size": 60, "filled": True, "opacity": 1, "color": INK},
                "encoding": {
                    "y": y,
                    "x": {"field": "lead", **x},
                    "shape": {
                        "field": "finding",
                        "type": "nominal",
                        "scale": {
                            "domain": ["beats", "can't tell", "nothing beats"],
                            "range": ["circle", "cross", "square"],
                        },
                        "legend": None,
                    },
                    "color": {"condition": {"test": "datum.finding === 'beats'", "value": INK}, "value": UNTOLD},
                    "tooltip": [
                        {"field": "axis", "type": "nominal"},
                        {"field": "value", "type": "nominal"},
                        {"field": "policy", "title": "best", "type": "nominal"},
                        {"field": "lead", "title": title, "type": "quantitative", "format": ",.4~g"},
                        {"field": "finding", "title": f"{baseline}", "type": "nominal"},
                    ],
                },
            },
        ],
    }
