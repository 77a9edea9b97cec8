"""How long regions wait for their bit: of all episodes of all seeds, the share that has it by then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmemgpu.figures.axis import axis_labels, time_ticks
from gmemgpu.figures.style import LineStyle, Spec, line_styles, titled
from gmemgpu.units import TIME_UNITS

__all__ = ["Waits", "bin_ends_ns", "latency"]

_LEAST_NS = 1.0
_SHORT_NS = 1e9
"""Where there is nothing to wait for, an axis has to have some length."""

_HEIGHT = 320
_AXIS_PX, _LEGEND_PX = 70, 150
_NARROW_PX = 480
"""Below that the legend lies under the chart."""
_TIMES = TIME_UNITS[1:]
"""No wait is told in days."""


@dataclass(frozen=True, slots=True, eq=False)
class Waits:
    """
    Latencies of a policy, seeds together.

    Parameters
    ----------
    histogram : (n_bins,) int64
        How many latencies fall into each bin of ``latency_histogram``.
    episodes : int
        Free episodes, those included that never got their bit.
    """

    histogram: NDArray[np.int64]
    episodes: int


def bin_ends_ns(n_bins: int) -> NDArray[np.float64]:
    """
    Compute where bins of ``latency_histogram`` end.

    Parameters
    ----------
    n_bins : int
        How many.

    Returns
    -------
    (n_bins,) float64
        The least latency above each.

    Examples
    --------
    >>> bin_ends_ns(20)[[0, 7, 8, 15, 16]].tolist()
    [1.0, 8.0, 9.0, 16.0, 18.0]
    """
    following = np.arange(1, n_bins + 1)
    octave, eighth = np.divmod(following, 8)
    return np.where(following < 16, following, (8.0 + eighth) * 2.0 ** (octave - 1.0))


def latency(
    waits: Mapping[str, Waits], *, title: str, styles: Mapping[str, LineStyle] | None = None, width: int = 620
) -> Spec:
    """
    Draw the cumulative distribution of latencies.

    Parameters
    ----------
    waits : mapping of str to Waits
        By policy; those without episodes have no line.
    title : str
        Of the group.
    styles : mapping of str to LineStyle, optional
        How the line of each policy looks, as `gmemgpu.figures.style.line_styles` gives it for all of a sweep.
    width : int
        Of the whole, in pixels.

    Returns
    -------
    Spec
        A view: a line ends below 100 % by the share of episodes that end, or that the trace ends, without the bit.
    """
    lines = {policy: rows for policy, found in waits.items() if (rows := _steps(found))}
    steps_ns = [at for rows in lines.values() for at, share in rows if share] or [_SHORT_NS]
    domain = [max(_LEAST_NS, min(steps_ns) / 2), max(steps_ns) * 2]
    values = [
        {"policy": policy, "ns": min(max(at, domain[0]), domain[1]), "share": share, "time": _time_text(at)}
        for policy, rows in lines.items()
        for at, share in [(domain[0], 0.0), *rows, (domain[1], rows[-1][1])]
    ]
    names = list(lines)
    looks = [(styles or line_styles(waits))[name] for name in names]
    legend: Spec = {"title": None, "symbolStrokeWidth": 2, "symbolSize": 500, "symbolType": "stroke"}
    area = width - _AXIS_PX
    if width >= _NARROW_PX:
        area -= _LEGEND_PX
    else:
        legend |= {"orient": "bottom", "columns": 2}
    picked: Spec = {"condition": {"param": "picked", "value": 1, "empty": True}, "value": 0.15}
    return {
        "title": titled(title, "share of free episodes of all seeds whose bit is set by then", area),
        "description": f"{title}: cumulative latency. "
        + "; ".join(f"{policy}: {100 * rows[-1][1]:.3g} % in the end" for policy, rows in lines.items()),
        "width": area,
        "height": _HEIGHT,
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": "ns",
                "type": "quantitative",
                "scale": {"type": "log", "domain": domain, "nice": False},
                "axis": {"title": "time from free to the bit", **axis_labels(time_ticks(*domain))},
            },
            "y": {
                "field": "share",
                "type": "quantitative",
                "scale": {"domain": [0, 1]},
                "axis": {"title": "episodes with the bit", "format": ".0%"},
            },
            "color": {
                "field": "policy",
                "type": "nominal",
                "sort": names,
                "scale": {"domain": names, "range": [colour for colour, _ in looks]},
                "legend": legend,
            },
            "strokeDash": {
                "field": "policy",
                "type": "nominal",
                "sort": names,
                "scale": {"domain": names, "range": [list(dash) for _, dash in looks]},
                "legend": legend,
            },
        },
        "layer": [
            {
                "params": [{"name": "picked", "select": {"type": "point", "fields": ["policy"]}, "bind": "legend"}],
                "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
                "encoding": {"opacity": picked, "order": {"field": "ns", "type": "quantitative"}},
            },
            # A line has one tooltip from end to end; these have one a step.
            {
                "mark": {"type": "point", "size": 80, "opacity": 0, "aria": False},
                "encoding": {
                    "strokeDash": {"value": [1, 0]},
                    "tooltip": [
                        {"field": "policy", "type": "nominal"},
                        {"field": "time", "title": "within", "type": "nominal"},
                        {"field": "share", "title": "episodes", "type": "quantitative", "format": ".2%"},
                    ],
                },
            },
        ],
    }


def _steps(found: Waits) -> list[tuple[float, float]]:
    # End of each bin that is not empty, and the share of episodes up to there.
    if not found.episodes:
        return []
    filled = np.flatnonzero(found.histogram)
    if not len(filled):
        return [(_SHORT_NS, 0.0)]
    ends = bin_ends_ns(len(found.histogram))[filled]
    shares = np.cumsum(found.histogram)[filled] / found.episodes
    return list(zip(ends.tolist(), shares.tolist(), strict=True))


def _time_text(ns: float) -> str:
    size, name = next((one for one in _TIMES if ns >= one[0]), _TIMES[-1])
    return f"{ns / size:.3g} {name}"
