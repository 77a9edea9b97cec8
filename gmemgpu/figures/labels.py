"""Names beside points so that they do not lie on each other, which no library does without a browser."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gmemgpu.figures.style import LETTER_PX

__all__ = ["Box", "Label", "place_labels"]

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels from the left and from the top."""

_LINE_PX = 13.0
_POINT_PX = 6.0
_ONE_POINT_PX = 14.0
"""Points as close as that touch, and share a label, from left to right."""

_CROSSED_PX = 22.0
"""So much further a name may lie rather than cross a line."""

_NEARER_PX = 4.0
_LETTERS = 26
_ROUNDS = 4
_RADII_PX = (9.0, 18.0, 30.0, 46.0, 66.0, 90.0)
_DIRECTIONS = 16


@dataclass(frozen=True, slots=True)
class Label:
    """
    A name, or several, on paper.

    Parameters
    ----------
    lines : tuple of str
        One below the other.
    x, y : float
        Middle of the text, pixels from the left and from the top.
    point_x, point_y : float
        What it names.
    """

    lines: tuple[str, ...]
    x: float
    y: float
    point_x: float
    point_y: float

    @property
    def edge(self) -> tuple[float, float]:
        """Where a line from the point to the name ends: what is nearest of the text."""
        left, top, right, bottom = _box(self)
        return min(max(self.point_x, left), right), min(max(self.point_y, top), bottom)

    @property
    def is_far(self) -> bool:
        """Whether there should be such a line."""
        return _distance(_box(self), self.point_x, self.point_y) > 2 * _POINT_PX


def _size(lines: Sequence[str]) -> tuple[float, float]:
    return LETTER_PX * max(map(len, lines)) / 2 + 2, _LINE_PX * len(lines) / 2 + 1


def _box(label: Label) -> Box:
    half, rise = _size(label.lines)
    return label.x - half, label.y - rise, label.x + half, label.y + rise


def _overlap(a: Box, b: Box) -> float:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    return across * down if across > 0 and down > 0 else 0.0


def _distance(box: Box, x: float, y: float) -> float:
    left, top, right, bottom = box
    return math.hypot(max(left - x, x - right, 0.0), max(top - y, y - bottom, 0.0))


def _candidates(lines: tuple[str, ...], x: float, y: float) -> Iterator[tuple[float, Label]]:
    half, rise = _size(lines)
    for radius in _RADII_PX:
        for step in range(_DIRECTIONS):
            angle = 2 * math.pi * step / _DIRECTIONS
            right, down = math.cos(angle), math.sin(angle)
            yield radius, Label(lines, x + radius * right + half * right, y + radius * down + rise * down, x, y)


def place_labels(
    names: Sequence[str],
    points: Sequence[tuple[float, float]],
    width: float,
    height: float,
    lines: Sequence[Box] = (),
) -> list[Label]:
    """
    Find a place for the name of each point.

    Parameters
    ----------
    names : sequence of str
        The first find the better places.
    points : sequence of (float, float)
        Pixels from the left and from the top.
    width, height : float
        Where names may lie, in pixels.
    lines : sequence of (float, float, float, float)
        Left, top, right and bottom of what a name should rather not cross, each level or upright.

    Returns
    -------
    list of Label
        Fewer than there are points where some of them coincide.
    """
    together: dict[tuple[float, float], list[tuple[float, str]]] = {}
    for name, (x, y) in zip(names, points, strict=True):
        near = (at for at in together if max(abs(at[0] - x), abs(at[1] - y)) <= _ONE_POINT_PX)
        together.setdefault(next(near, (x, y)), []).append((x, name))
    dots = [(x - _POINT_PX, y - _POINT_PX, x + _POINT_PX, y + _POINT_PX) for x, y in points]
    labels = []
    for (x, y), several in together.items():
        text = ", ".join(name for _, name in sorted(several, key=lambda one: one[0]))
        labels.append(Label(tuple(textwrap.wrap(text, _LETTERS, break_on_hyphens=False)), x, y, x, y))
    thick = [(left - 1, top - 1, right + 1, bottom + 1) for left, top, right, bottom in lines]
    boxes: list[Box | None] = [None] * len(labels)

    def badness(label: Label, radius: float, own: int) -> float:
        box = _box(label)
        taken = [other for i, other in enumerate(boxes) if other is not None and i != own]
        outside = max(0.0, -box[0]) + max(0.0, -box[1]) + max(0.0, box[2] - width) + max(0.0, box[3] - height)
        # A name that is nearer to another point would be taken for that one's.
        near = _distance(box, label.point_x, label.point_y) + _NEARER_PX
        others = sum(_distance(box, x, y) < near for x, y in together) - 1
        crossed = sum(_overlap(box, line) > 0 for line in thick)
        return (
            radius
            + 20 * outside
            + _CROSSED_PX * (crossed + others)
            + 3 * sum(_overlap(box, other) for other in (*taken, *dots))
        )

    # Each anew, as the others lie by then: what the first ones took may be better left to the last.
    for _ in range(_ROUNDS):
        for i, label in enumerate(labels):
            choices = _candidates(label.lines, label.point_x, label.point_y)
            labels[i] = min(choices, key=lambda choice: badness(choice[1], choice[0], i))[1]
            boxes[i] = _box(labels[i])
    return labels
