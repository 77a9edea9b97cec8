from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decision_rows import CORES, PROVENANCE, decided, rows, stored

from gmemgpu.cli.main import main
from gmemgpu.decision import decision as deciding
from gmemgpu.decision.answer import answer_at
from gmemgpu.decision.decision import Decision, decide
from gmemgpu.decision.export import decision_json, decision_object
from gmemgpu.decision.ranges import net_at
from gmemgpu.errors import SpecError, StoreError
from gmemgpu.report.paired import paired_difference

# Seeds differ far more than policies do. `kept` costs nothing; `more` profits 10 GiB·h more for about 8 core-s.
KEPT = ([20, 40, 60, 80], [0, 0, 0, 0])
MORE = ([30, 50, 70.5, 89.5], [8, 9, 7, 8])
WASTE = ([29, 49, 70.5, 88.5], [9, 9, 8, 9])
BOUND = ([90, 91, 92, 93], [0, 0, 0, 0])
FIGURES = {"merged": KEPT, "more": MORE, "waste": WASTE, "oracle": BOUND}


def test_a_day_of_a_host_is_weighed() -> None:
    (group,) = decided(rows("a", FIGURES)).groups
    weighed = group.weighed
    assert weighed.policies == ("merged", "more", "waste")
    np.testing.assert_allclose(weighed.profit, [KEPT[0], MORE[0], WASTE[0]])
    np.testing.assert_allclose(weighed.cost, [KEPT[1], MORE[1], WASTE[1]])
    assert (weighed.bound, weighed.in_use, weighed.hours) == (pytest.approx(91.5), pytest.approx(100), 24)
    # 4 cores for 16 GiB: a quarter of a core for each.
    assert weighed.whole_worth == 900
    assert weighed.host_core_h == CORES * 24
    assert group.conditions.counted_ns == (24 * 3600 * 10**9,) * 2


def test_ranges_switch_where_the_lines_meet() -> None:
    (group,) = decided(rows("a", FIGURES)).groups
    kept, more = group.priced[0].ranges
    assert (kept.best, kept.low, kept.low_ends, kept.n_agree) == ("merged", 0.0, None, 4)
    # Mean cost 8 for mean profit 60 instead of 50.
    assert (more.best, more.low, more.high) == ("more", pytest.approx(0.8), 900)
    assert kept.high == more.low
    low, high = more.low_ends or (0.0, 0.0)
    assert 0.6 < low < 0.8 < high < 1.0
    # The worth of the sentence, a thousandth of all CPU; amid a range that does not hold it.
    assert more.at == pytest.approx(0.9)
    assert kept.at == pytest.approx(0.08)
    # Amid all that it would be `waste`.
    assert more.second == "merged"
    net = net_at(group.weighed, more.at)
    assert more.lead == more.over_baseline == paired_difference(net[1], net[0])
    assert more.over_baseline.difference == pytest.approx(10 * more.at - 8)


def test_leads_are_those_at_the_worth_that_is_asked_for() -> None:
    (group,) = decided(rows("a", FIGURES), worth=5.0).groups
    kept, more = group.priced[0].ranges
    assert (kept.at, more.at) == (pytest.approx(0.08), 5.0)
    assert group.answer.lead is not None
    assert more.over_baseline.difference == pytest.approx(group.answer.lead.difference) == pytest.approx(10 * 5 - 8)
    (group,) = decided(rows("a", FIGURES), worth=0.5).groups
    kept, more = group.priced[0].ranges
    assert (kept.at, more.at) == (0.5, pytest.approx(math.sqrt(0.8 * 900)))


def test_a_price_of_trackers_moves_them() -> None:
    (group,) = decided(rows("a", FIGURES, updates={"more": 10**9})).groups
    assert [priced.price_ns for priced in group.priced] == [0, 1, 10, 50]
    names = [[one.best for one in priced.ranges] for priced in group.priced]
    assert names == [["merged", "more"], ["merged", "more"], ["merged", "waste", "more"], ["merged", "waste", "more"]]
    # An update a nanosecond dearer makes `more` a second dearer; `waste` has 9.25 GiB·h more for 8.75 core-s.
    starts = [[one.low for one in priced.ranges[1:]] for priced in group.priced]
    assert starts[1] == pytest.approx([9 / 10])
    assert starts[3] == pytest.approx([8.75 / 9.25, (58 - 8.75) / 0.75])


def test_what_has_less_for_more_is_dominated() -> None:
    (group,) = decided(rows("a", FIGURES, updates={"more": 10**9})).groups
    (found,) = group.dominated
    # In seed 2 it has as much profit, and costs more; at 1 ns an update `more` costs 9 and `waste` 8.75.
    assert (found.policy, found.by, found.n_seeds, found.up_to_ns) == ("waste", "more", 4, 0.0)


def test_the_answer_is_what_the_seeds_carry() -> None:
    (group,) = decided(rows("a", FIGURES), worth=10).groups
    answer = group.answer
    assert (answer.finding, answer.policy, answer.n_agree) == ("beats", "more", 4)
    assert answer.lead is not None
    assert answer.lead.difference == pytest.approx(92)
    assert answer.of_stake == pytest.approx(92 / 1000)
    low, high = answer.worths or (0, 0)
    assert high == math.inf
    # It is where two tests at 5 % begin to tell.
    below, above = (group.answer.worths and answer_at(group.weighed, low * factor) for factor in (0.99, 1.01))
    assert below is not None
    assert below.policy == "merged" or below.finding == "can't tell"
    assert above is not None
    assert above.finding == "beats"


def test_nothing_beats_a_baseline_that_is_best() -> None:
    (group,) = decided(rows("a", FIGURES), worth=0.1).groups
    assert (group.answer.finding, group.answer.policy, group.answer.n_agree) == ("nothing beats", "merged", 4)


def test_seeds_that_disagree_do_not_tell() -> None:
    figures = {**FIGURES, "more": ([30, 30, 90, 61], [8, 9, 7, 8])}
    (group,) = decided(rows("a", figures), worth=10, policies=["more"]).groups
    assert (group.answer.finding, group.answer.policy) == ("can't tell", "more")
    assert group.answer.seeds is not None
    assert group.answer.seeds > 4


def test_one_seed_tells_nothing() -> None:
    (group,) = decided(rows("a", {name: ([p[0]], [c[0]]) for name, (p, c) in FIGURES.items()}), worth=10).groups
    assert (group.answer.finding, group.answer.policy, group.answer.seeds) == ("can't tell", "more", None)
    assert group.priced[0].ranges[1].low_ends == (0.0, math.inf)


def test_policies_that_come_out_alike_share_a_range_and_the_baseline_stands_for_them() -> None:
    found = decided(rows("a", {"v3": KEPT, "more": MORE, "merged": KEPT, "again": MORE}), worth=0.1)
    kept, more = found.groups[0].priced[0].ranges
    assert (kept.best, kept.alike) == ("merged", ("v3",))
    assert (more.best, more.alike, more.second) == ("more", ("again",), "merged")
    assert found.groups[0].answer.finding == "nothing beats"


def test_a_group_without_memory_in_use_has_nothing_to_win() -> None:
    empty = {name: ([0] * 4, costs) for name, (_, costs) in FIGURES.items()}
    found = decided([*rows("a", empty, in_use=0), *rows("b", FIGURES)])
    assert found.groups[0].answer.finding == "nothing beats"
    assert [one.best for one in found.groups[0].priced[0].ranges] == ["merged"]
    assert all(one.best.group == 1 for one in found.minimax)


def test_least_to_lose_is_the_smallest_of_the_largest_regrets() -> None:
    made = [*rows("a", FIGURES), *rows("b", {**FIGURES, "more": (KEPT[0], MORE[1])})]
    found = decided(made, worth=10)
    free = found.minimax[0]
    # On a `merged` is 92 core-s behind `more`, and `waste` 8.25; on b `more` is 91.75 behind `waste`.
    assert (free.best.policy, free.best.group) == ("waste", 0)
    assert free.best.regret == pytest.approx(8.25 / (CORES * 24 * 3600))
    assert (free.baseline.policy, free.baseline.group) == ("merged", 0)
    assert free.baseline.regret == pytest.approx(92 / (CORES * 24 * 3600))
    assert [answer.finding for answer in found.overall] == ["beats", "beats"]


def test_an_axis_flips_the_choice_or_does_not() -> None:
    made = [
        *rows("a", FIGURES, share=0.1, fast=True),
        *rows("b", {**FIGURES, "more": ([5] * 4, [1] * 4)}, share=0.2, fast=True),
        *rows("c", {**FIGURES, "waste": (MORE[0], MORE[1])}, share=0.3, fast=True),
    ]
    found = decided(made, axes=["share", "fast"], worth=10)
    (axis,) = found.axes  # one with a single value is none
    assert (axis.name, axis.stays) == ("share", None)
    assert [one.answer.policy for one in axis.values] == ["more", "waste", "more"]
    steady = decided([one for one in made if one["label"] != "b"], axes=["share"], worth=10).axes[0]
    assert steady.stays == "more"


def test_other_costs_have_no_price_of_trackers() -> None:
    made = rows("a", FIGURES, updates={"more": 10**9})
    for row in made:
        row["ipis"] = {"merged": 0, "more": 5000, "waste": 100}.get(row["policy"], 0)
        row["pass_wall_max_ns"] = {"merged": 10**6, "more": 3 * 10**6}.get(row["policy"], 0)
    (group,) = decided(made, cost="ipis").groups
    assert [priced.price_ns for priced in group.priced] == [0]
    assert [one.best for one in group.priced[0].ranges] == ["merged", "waste", "more"]
    assert group.priced[0].ranges[1].low == pytest.approx(100 / 9.25)
    assert group.answer.up_to_ns is None
    (group,) = decided(made, cost="longest_pass_ns", policies=["more"]).groups
    # As the header of a table says it.
    assert decided(made, cost="Longest pass", policies=["more"]).groups[0].priced == group.priced
    # 2 ms longer for 10 GiB·h in 24 h.
    assert group.priced[0].ranges[1].low == pytest.approx(2 / (10 / 24))
    assert group.weighed.per_day == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "mergd"}, '--baseline: "mergd": unknown name; did you mean "merged"?'),
        ({"policies": ["moer"]}, '--policy: "moer": unknown name; did you mean "more"?'),
        ({"policies": ["oracle"]}, '--policy: "oracle" is the bound of what a policy can do, and none to choose'),
        ({"group_by": ["labels"]}, '--group-by: "labels": unknown name; did you mean "label"?'),
        ({"cost": "ipi"}, '--cost: "ipi": unknown name; did you mean "ipis"?'),
        ({"worth": -1}, "--worth: -1 is no worth of a set bit"),
        ({"share": 2}, "--worth: 200 % is more than all CPU"),
        ({"share": 0.1, "cost": "ipis"}, "--worth: 10 % is a share of CPU, and ipis is no CPU time"),
        ({"policies": ["merged"]}, '--policy: "merged" is the only one; there is nothing to choose from'),
    ],
)
def test_bad_input_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        decided(rows("a", FIGURES), **options)
    assert [str(one)[: len(message)] for one in caught.value.problems] == [message]


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        decided(rows("a", FIGURES), baseline="x", policies=["y"], group_by=["z"], worth=0.0)
    assert len(caught.value.problems) == 4


def test_no_oracle_is_no_obstacle() -> None:
    without = {name: figures for name, figures in FIGURES.items() if name != "oracle"}
    (group,) = decided(rows("a", without), worth=10).groups
    assert group.weighed.bound is None
    assert group.answer.policy == "more"


def test_json_has_all_of_it_and_no_infinity() -> None:
    found = decided([*rows("a", FIGURES), *rows("b", FIGURES)], cost="ipis")
    told = json.loads(decision_json(found))
    assert told == decision_object(found)
    last = told["groups"][0]["prices"][0]["ranges"][-1]
    assert (last["best"], last["worth_to"], last["share_from"]) == ("more", None, None)
    assert told["groups"][0]["answer"]["lead"]["n"] == 4


def _reading(monkeypatch: pytest.MonkeyPatch, made: list[dict[str, Any]], n_parts: int = 1) -> None:
    monkeypatch.setattr(deciding, "read_rows", lambda directory, columns: stored(made, n_parts=n_parts))
    monkeypatch.setattr(deciding, "provenance_of", lambda directory: PROVENANCE)


def test_the_command_prints_text_and_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _reading(monkeypatch, rows("a", FIGURES), n_parts=4)
    assert main(["decide", "results", "--worth", "1 %"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("NOT FINISHED: 1 of 4 parts (25 %)")
    assert "where a set bit is worth 1 % of CPU" in told.replace("\n", " ")
    assert main(["decide", "results", "--worth", "9", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["worth"] == 9
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["decide", "results"]) == 0
    prose = [line for line in capsys.readouterr().out.splitlines() if line.startswith("On a")]
    assert len(prose[0]) <= 60
    for wrong in ("much", "1 % of", "%"):
        assert main(["decide", "results", "--worth", wrong]) == 2
        assert f'gmemgpu: --worth: "{wrong}" is no worth' in capsys.readouterr().err


def test_rows_of_an_earlier_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [{key: value for key, value in row.items() if key != "present_bytes"} for row in rows("a", FIGURES)]
    _reading(monkeypatch, made)
    with pytest.raises(StoreError, match="say nothing of present_bytes; an earlier gmemgpu wrote them"):
        decide(Path("results"))


def test_a_decision_is_data() -> None:
    found = decided(rows("a", FIGURES))
    assert isinstance(found, Decision)
    assert (found.share, found.worth, found.baseline) == (0.001, None, "merged")
