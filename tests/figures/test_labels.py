from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from gmemgpu.figures.labels import Label, place_labels

POINTS = st.lists(st.tuples(st.floats(0, 600), st.floats(0, 400)), min_size=1, max_size=12)


def overlap(a: Label, b: Label) -> bool:
    # Letters are at least 5 pixels wide, lines 11 high.
    across = 5 * (max(map(len, a.lines)) + max(map(len, b.lines))) / 2
    down = 11 * (len(a.lines) + len(b.lines)) / 2
    return abs(a.x - b.x) < across and abs(a.y - b.y) < down


@settings(max_examples=settings.default.max_examples // 5)
@given(POINTS)
def test_every_name_is_there_once_and_names_what_it_lies_beside(points: list[tuple[float, float]]) -> None:
    names = [f"policy{i}" for i in range(len(points))]
    labels = place_labels(names, points, 620, 400)
    told = {name: label for label in labels for line in label.lines for name in line.rstrip(",").split(", ")}
    assert sorted(told) == sorted(names)
    for name, (x, y) in zip(names, points, strict=True):
        assert abs(told[name].point_x - x) <= 14
        assert abs(told[name].point_y - y) <= 14


def test_names_of_a_crowd_do_not_lie_on_each_other() -> None:
    points = [(300 + 20.0 * column, 200 + 16.0 * row) for column in range(3) for row in range(4)]
    labels = place_labels([f"vm_regions_{i}s" for i in range(12)], points, 620, 400)
    assert len(labels) == 12
    assert not any(overlap(a, b) for a, b in itertools.combinations(labels, 2))
    assert any(label.is_far for label in labels)


def test_points_that_touch_share_a_name_from_left_to_right() -> None:
    (label,) = place_labels(["v3", "v10", "capped"], [(22, 10), (11, 10), (30, 12)], 620, 400)
    assert label.lines == ("v10, v3, capped",)


def test_a_name_at_the_edge_stays_inside() -> None:
    (label,) = place_labels(["periodic_60s"], [(619, 399)], 620, 400)
    assert label.x + 5 * len("periodic_60s") / 2 <= 620
    assert label.y <= 400


def test_a_name_avoids_a_line() -> None:
    (free,) = place_labels(["refcount"], [(300, 200)], 620, 400)
    (moved,) = place_labels(["refcount"], [(300, 200)], 620, 400, [(300, 200, 600, 200)])
    assert free.y == 200
    assert abs(moved.y - 200) > 6
