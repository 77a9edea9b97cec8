from __future__ import annotations

from pathlib import Path

import pytest

from gmemgpu.decision.decision import Decision, decide
from gmemgpu.figures.tornado import tornado
from gmemgpu.figures.worth import worth


@pytest.fixture(scope="module")
def decision(store: Path) -> Decision:
    return decide(store)


def test_the_lowest_line_is_the_policy_of_the_range(decision: Decision) -> None:
    group = decision.groups[0]
    ranges = group.priced[0].ranges
    spec = worth(group.weighed, ranges, group.answer.worth, title="pods")
    rows = spec["data"]["values"]
    assert {row["policy"] for row in rows} == set(group.weighed.policies)
    worths = sorted({row["worth"] for row in rows})
    assert worths[0] < group.answer.worth < worths[-1]
    for at in worths:
        best = next(one for one in reversed(ranges) if one.low <= at)
        lost = {row["policy"]: row["lost"] for row in rows if row["worth"] == at}
        assert lost[best.best] == min(lost.values())
    assert all(one.best in spec["description"] for one in ranges)


def test_what_is_forgone_is_what_is_missed_and_what_it_costs(decision: Decision) -> None:
    weighed = decision.groups[0].weighed
    assert weighed.bound
    spec = worth(weighed, decision.groups[0].priced[0].ranges, 1.0, title="pods")
    place = weighed.policies.index("v3")
    profit, cost = weighed.profit[place].mean(), weighed.cost[place].mean()
    for row in spec["data"]["values"]:
        if row["policy"] == "v3" and row["lost"] < 1:
            saved = row["worth"] * profit - cost
            assert row["lost"] == pytest.approx(1 - saved / (row["worth"] * weighed.bound))


def test_a_bar_spans_the_leads_of_an_axis(decision: Decision) -> None:
    spec = tornado(decision.axes, decision.baseline, "core-s a day")
    (bar,) = spec["layer"][0]["data"]["values"]
    (axis,) = decision.axes
    assert bar["axis"] == axis.name == "scenario"
    assert [bar["low"], bar["high"]] == sorted(one.lead for one in axis.values)
    assert bar["flips"] is (axis.stays is None)
    points = spec["layer"][2]["data"]["values"]
    assert {(point["value"], point["policy"]) for point in points} == {
        (str(one.value), one.answer.policy) for one in axis.values
    }
