"""Regions × time of one run: busy, free and not optimized, optimized, and when requests came and passes started."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gmemgpu.explain.duration import span_text
from gmemgpu.explain.region_map import RegionMap
from gmemgpu.explain.region_span import State
from gmemgpu.figures.axis import axis_labels
from gmemgpu.figures.style import INK, Spec, titled
from gmemgpu.units import TIME_UNITS

__all__ = ["MOST_COLUMNS", "MOST_ROWS", "time_map"]

MOST_ROWS = 256
MOST_COLUMNS = 400
"""Cells that a map is folded to: beyond that they are smaller than a screen's points."""

_SOME = 0.1
_ROWS_PX = (140, 420)
_STRIP_PX = 14
_AXIS_PX = 80
_MOST_TICKS = 8
_STEPS = [digit * 10**power for power in range(8) for digit in (1, 2, 5)]
_UNITS = ((86_400e9, "days"), *TIME_UNITS[1:])

# Told apart without colour too: from dark to light, and what is lost in between.
_KINDS = (
    ("busy", "#5f6b7a"),
    ("free, not optimized", "#d55e00"),
    ("free, not optimized, a tenth at least", "#f2b48a"),
    ("free and optimized", "#b8dcf0"),
    ("SNP off, or a hole", "#f4f6f8"),
)
_BUSY, _FREE, _SOME_FREE, _OPTIMIZED, _OFF = range(len(_KINDS))


def time_map(found: RegionMap, *, title: str, width: int = 620) -> Spec:
    """
    Draw the map of a run.

    Parameters
    ----------
    found : RegionMap
        At least one cell.
    title : str
        Which trace and policy.
    width : int
        Of the whole, in pixels.

    Returns
    -------
    Spec
        Strips of requests and passes, and below them the regions, the first at the bottom.
    """
    begin_ns, end_ns = int(found.times_ns[0]), int(found.times_ns[-1])
    size, unit = next((one for one in _UNITS if end_ns - begin_ns >= 3 * one[0]), _UNITS[-1])
    edges = (found.times_ns / size).tolist()
    area = width - _AXIS_PX
    n_regions = int(found.regions[-1] - found.regions[0])
    x: Spec = {"type": "quantitative", "scale": {"domain": [edges[0], edges[-1]], "nice": False}}
    kinds = _kinds(found)
    shown = [_KINDS[i] for i in np.unique(kinds).tolist()]
    colour: Spec = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": [name for name, _ in shown], "range": [of for _, of in shown]},
        "legend": {"title": None, "orient": "bottom", "columns": 1 if width < 480 else 3, "symbolType": "square"},
    }
    per_row = int(np.diff(found.regions).max())
    cell = f"{f'{per_row} regions × ' if per_row > 1 else ''}{span_text(int(np.diff(found.times_ns).max()))}"
    return {
        "title": titled(title, f"a cell is {cell}; strips: requests and passes, dark where there are many", area),
        "description": f"{title}: of region × time "
        + ", ".join(
            f"{100 * float(found.share[:, :, of].mean()):.3g} % {name}"
            for of, name in ((State.BUSY, "busy"), (State.FREE, "free, not optimized"), (State.OPTIMIZED, "optimized"))
        ),
        "spacing": 4,
        "vconcat": [
            {
                "width": area,
                "height": 2 * _STRIP_PX,
                "data": {"values": list(_strips(found, edges))},
                "mark": {"type": "rect", "color": INK, "aria": False},
                "encoding": {
                    "x": {"field": "begin", **x, "axis": None},
                    "x2": {"field": "end"},
                    "y": {
                        "field": "strip",
                        "type": "nominal",
                        "sort": ["requests", "passes"],
                        "scale": {"domain": ["requests", "passes"]},
                        "axis": {"title": None, "ticks": False, "domain": False, "labelPadding": 6},
                    },
                    "opacity": {
                        "field": "n",
                        "type": "quantitative",
                        "scale": {"type": "log", "range": [0.35, 1]},
                        "legend": None,
                    },
                    "tooltip": [
                        {"field": "strip", "title": "what", "type": "nominal"},
                        {"field": "n", "title": "how many", "type": "quantitative"},
                        {"field": "begin", "title": f"from [{unit}]", "type": "quantitative", "format": ".4~g"},
                        {"field": "end", "title": f"until [{unit}]", "type": "quantitative", "format": ".4~g"},
                    ],
                },
            },
            {
                "width": area,
                "height": min(max(_ROWS_PX[0], 12 * n_regions), _ROWS_PX[1]),
                "data": {"values": list(_runs(found, kinds, edges))},
                "mark": {"type": "rect", "aria": False},
                "encoding": {
                    "x": {"field": "begin", **x, "axis": {"title": unit, "grid": False}},
                    "x2": {"field": "end"},
                    "y": {
                        "field": "first",
                        "type": "quantitative",
                        "scale": {"domain": [int(found.regions[0]), int(found.regions[-1])], "nice": False},
                        "axis": {
                            "title": "region",
                            "grid": False,
                            **axis_labels(_region_ticks(int(found.regions[0]), int(found.regions[-1]))),
                        },
                    },
                    "y2": {"field": "stop"},
                    "color": colour,
                    "tooltip": [
                        {"field": "kind", "title": "what", "type": "nominal"},
                        {"field": "regions", "type": "nominal"},
                        {"field": "begin", "title": f"from [{unit}]", "type": "quantitative", "format": ".4~g"},
                        {"field": "end", "title": f"until [{unit}]", "type": "quantitative", "format": ".4~g"},
                    ],
                },
            },
        ],
    }


def _region_ticks(first: int, stop: int) -> list[tuple[float, str]]:
    # In the middle of a region: at an edge a number could be of the one above or the one below.
    step = next(step for step in _STEPS if (stop - first) <= _MOST_TICKS * step)
    return [(region + 0.5, f"{region:,}") for region in range(-(-first // step) * step, stop, step)]


def _strips(found: RegionMap, edges: list[float]) -> Iterator[Spec]:
    for name, counts in (("requests", found.requests), ("passes", found.passes)):
        for j in np.flatnonzero(counts).tolist():
            yield {"strip": name, "n": int(counts[j]), "begin": edges[j], "end": edges[j + 1]}


def _runs(found: RegionMap, kinds: NDArray[np.intp], edges: list[float]) -> Iterator[Spec]:
    # Cells of one kind in a row are one rectangle: a fraction of the marks.
    for row, (first, stop) in enumerate(zip(found.regions[:-1].tolist(), found.regions[1:].tolist(), strict=True)):
        cuts = [0, *(np.flatnonzero(np.diff(kinds[row])) + 1).tolist(), kinds.shape[1]]
        regions = str(first) if stop - first == 1 else f"{first} to {stop - 1}"
        for begin, end in pairwise(cuts):
            yield {
                "kind": _KINDS[kinds[row, begin]][0],
                "first": first,
                "stop": stop,
                "regions": regions,
                "begin": edges[begin],
                "end": edges[end],
            }


def _kinds(found: RegionMap) -> NDArray[np.intp]:
    share = found.share
    most = np.array([_BUSY, _FREE, _OPTIMIZED, _OFF])[
        share[:, :, [State.BUSY, State.FREE, State.OPTIMIZED, State.OFF]].argmax(axis=2)
    ]
    # What waits for its bit is what one looks for: it shows before it is most of a cell.
    free = share[:, :, State.FREE]
    return np.where(free >= 0.5, _FREE, np.where(free >= _SOME, _SOME_FREE, most))
