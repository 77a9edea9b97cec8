"""The map of a run in characters."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as count_up
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmemgpu.explain.duration import span_text
from gmemgpu.explain.region_map import RegionMap
from gmemgpu.explain.region_span import State
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import NS_PER_S, format_duration_ns

__all__ = ["ASCII_MARKS", "BLOCK_MARKS", "LABEL_WIDTH", "N_LINES_AROUND", "Marks", "map_lines"]

LABEL_WIDTH = 10
"""Columns left of the map."""
N_LINES_AROUND = 11
"""Lines above and below the map, at most."""

_MOST, _SOME = 0.5, 0.1
_COLUMNS_A_TICK = 14


class Marks(NamedTuple):
    """
    Characters of the map.

    Parameters
    ----------
    busy, optimized, off : str
        What most of a cell is.
    free, some_free : str
        At least half of it, or at least a tenth, is free and not optimized.
    """

    busy: str
    optimized: str
    off: str
    free: str
    some_free: str


ASCII_MARKS = Marks("#", ".", " ", "X", "x")
BLOCK_MARKS = Marks("░", "·", " ", "█", "▄")
"""The worse, the darker. For terminals and files that can hold them."""


def map_lines(found: RegionMap, marks: Marks) -> list[str]:
    """
    Write a map.

    Parameters
    ----------
    found : RegionMap
        At least one cell.
    marks : Marks
        Characters that can be shown.

    Returns
    -------
    list of str
        Requests, passes, the regions with the first at the bottom, time, and the legend; no wider than
        `LABEL_WIDTH` and the columns, but for the legend, which takes up to 80.
    """
    n_columns = len(found.times_ns) - 1
    rows = ["".join(row) for row in _cells(found, marks)]
    labels = [_region_label(a, b) for a, b in zip(found.regions[:-1].tolist(), found.regions[1:].tolist(), strict=True)]
    cell = [span_text(int(np.diff(found.times_ns).max()))]
    if (per_row := int(np.diff(found.regions).max())) > 1:
        cell.insert(0, f"{per_row} regions")
    return [
        f"{'requests':>{LABEL_WIDTH - 1}} {_counted(found.requests)}".rstrip(),
        f"{'passes':>{LABEL_WIDTH - 1}} {_counted(found.passes, found.boots)}".rstrip(),
        *(f"{label:>{LABEL_WIDTH - 1}} {row}" for label, row in zip(labels[::-1], rows[::-1], strict=True)),
        *_time_axis(found.times_ns, n_columns),
        "",
        f"{marks.busy} busy   {marks.optimized} free and optimized   {marks.free} free and not optimized   "
        "blank: SNP off",
        f"A cell is {' x '.join(cell)}: {marks.free} where at least half of it is free and not optimized,",
        f"{marks.some_free} where at least a tenth is, else what most of it is.",
        "Requests, passes: how many in a column; *: 10 and more; B: with a boot pass.",
    ]


def _cells(found: RegionMap, marks: Marks) -> NDArray[np.str_]:
    by_state = {State.BUSY: marks.busy, State.FREE: marks.free, State.OPTIMIZED: marks.optimized, State.OFF: marks.off}
    free = found.share[:, :, State.FREE]
    others = found.share.copy()
    others[:, :, State.FREE] = 0
    glyphs: NDArray[np.str_] = np.array([by_state[of] for of in State])[others.argmax(axis=2)]
    glyphs[free >= _SOME] = marks.some_free
    glyphs[free >= _MOST] = marks.free
    return glyphs


def _region_label(first: int, stop: int) -> str:
    text = str(first) if stop == first + 1 else f"{first}-{stop - 1}"
    return text if len(text) < LABEL_WIDTH else f"{first}-"


def _counted(counts: Int64Array, boots: Int64Array | None = None) -> str:
    digits = ["" if not n else str(n) if n < 10 else "*" for n in counts.tolist()]
    marked = [n > 0 for n in boots.tolist()] if boots is not None else [False] * len(digits)
    return "".join("B" if boot else digit or " " for digit, boot in zip(digits, marked, strict=True)).rstrip()


def _time_axis(times_ns: Int64Array, n_columns: int) -> list[str]:
    # Round times, as many as their texts leave room for, each over the column that it falls into.
    begin_ns, end_ns = int(times_ns[0]), int(times_ns[-1])
    step_ns = next(step for step in _steps_ns() if step * n_columns >= _COLUMNS_A_TICK * (end_ns - begin_ns))
    ticks, labels = [" "] * n_columns, ""
    for t_ns in range(-(-begin_ns // step_ns) * step_ns, end_ns, step_ns):
        column = int(np.searchsorted(times_ns, t_ns, "right")) - 1
        text = format_duration_ns(t_ns) if t_ns else "0"
        if column + len(text) > n_columns:
            break
        ticks[column] = "|"
        labels = f"{labels:<{column}}{text}"
    margin = " " * LABEL_WIDTH
    return [margin + "".join(ticks).rstrip(), margin + labels]


def _steps_ns() -> Iterator[int]:
    for unit_ns, counts in (
        *((10**power, (1, 2, 5)) for power in range(10)),
        (NS_PER_S, (10, 20, 30)),
        (60 * NS_PER_S, (1, 2, 5, 10, 20, 30)),
        (3600 * NS_PER_S, (1, 2, 4, 6, 12)),
    ):
        yield from (count * unit_ns for count in counts)
    for power in count_up():
        yield from (86_400 * NS_PER_S * 10**power * count for count in (1, 2, 5))
