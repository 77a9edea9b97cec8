from __future__ import annotations

from pathlib import Path
from typing import Any

from gmemgpu.figures.pareto import Point, Value, front, pareto
from gmemgpu.figures.points import points_of
from gmemgpu.metrics.quantity import Quantity, quantity_named
from gmemgpu.report.decision import read_decision_table


def named(name: str) -> Quantity:
    found = quantity_named(name)
    assert found is not None
    return found


COST, GAIN = named("core_s"), named("benefit")


def point(policy: str, cost: float, gain: float) -> Point:
    return Point(
        policy,
        Value(cost, cost * 0.9, cost * 1.1, f"{cost} ±", f"{cost}"),
        Value(gain, gain, gain, f"{gain} ±", f"{gain}"),
    )


POINTS = [
    point("never", 0, 0),
    point("boot", 0, 0.5),
    point("v10", 3, 0.9),
    point("dear", 4, 0.9),
    point("refcount", 1, 1),
]


def drawn(spec: Any) -> dict[str, Any]:
    return {row["policy"]: row for row in spec["data"]["values"]}


def test_the_front_is_what_no_policy_beats() -> None:
    assert [one.policy for one in front(POINTS, COST, GAIN)] == ["boot", "refcount"]
    # The other way round: dear and useless.
    assert [one.policy for one in front(POINTS, GAIN, COST)] == ["never", "dear"]
    assert [one.policy for one in front(POINTS, COST, named("never"))] == ["never"]


def test_equal_policies_do_not_beat_each_other() -> None:
    twins = [point("a", 1, 0.5), point("b", 1, 0.5)]
    assert front(twins, COST, GAIN) == twins


def test_a_figure_says_what_beats_a_policy_and_draws_the_front_last() -> None:
    spec = pareto(POINTS, COST, GAIN, title="pods")
    rows = drawn(spec)
    assert rows["dear"]["beaten"] == "v10, refcount"
    assert rows["refcount"]["beaten"] == "none"
    assert [row["policy"] for row in spec["data"]["values"]][-2:] == ["refcount", "boot"]
    assert rows["boot"]["x"] < rows["refcount"]["x"] < rows["v10"]["x"] < rows["dear"]["x"]
    assert rows["v10"]["x_low"] < rows["v10"]["x"] < rows["v10"]["x_high"]
    assert "none beats boot, refcount" in spec["description"]


def test_points_are_those_of_the_decision_table_without_the_oracle(store: Path) -> None:
    group = read_decision_table(store).groups[0]
    points = {one.policy: one for one in points_of(group, COST, GAIN)}
    assert list(points) == [line.policy for line in group.lines if line.policy != "oracle"]
    assert points["refcount"].y.text == "100.0 %"
    assert points["v3"].x.low < points["v3"].x.mean < points["v3"].x.high


def test_a_policy_without_a_figure_has_no_point(store: Path) -> None:
    # Nothing was ever set under never: no latency.
    points = [one.policy for one in points_of(read_decision_table(store).groups[0], COST, named("latency_p50_ns"))]
    assert "never" not in points
    assert "v3" in points
