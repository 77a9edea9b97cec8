from __future__ import annotations

from dataclasses import replace

import pytest
from decision_rows import Figures, decided, rows, stored

from gmemgpu.decision.conditions import group_conditions
from gmemgpu.decision.decision import Decision
from gmemgpu.decision.figures import ends_text, figure_text, lead_text, listed, share_text
from gmemgpu.decision.sentence import headline, notes, sentence
from gmemgpu.decision.text import decision_lines
from gmemgpu.report.paired import Difference

KEPT = ([20, 40, 60, 80], [0, 0, 0, 0])
MORE = ([30, 50, 70.5, 89.5], [8, 9, 7, 8])
FIGURES: Figures = {"merged": KEPT, "more": MORE, "oracle": ([90, 91, 92, 93], [0] * 4)}


def told(found: Decision, group: int = 0) -> str:
    return sentence(found, found.groups[group])


def test_a_policy_that_beats_the_kernel() -> None:
    found = decided(rows("a", FIGURES, updates={"more": 10**9}), worth=10)
    assert told(found) == (
        "On a (p, 4 cores, 16 GiB, 1 d, 4 seeds, costs as fitted, trackers free), `more` beats what the kernel does "
        "(`merged`) from 0.97 core-s per GiB·h (0.11 % of CPU) on: by 92 (80 to 110) core-s a day, 9.2 % of what is at "
        "stake, where a set bit is worth 10 core-s per GiB·h; 4 of 4 seeds agree."
    )
    assert list(notes(found, found.groups[0])) == [
        "Of the profit of the bound `more` has 65.57 %, `merged` 54.64 %.",
        "That holds even if an update of its tracker takes 50 ns.",
        "For less, `merged` is best.",
    ]
    assert headline(found) == told(found)


def test_a_tracker_that_is_too_dear() -> None:
    found = decided(rows("a", FIGURES, updates={"more": 5 * 10**9}), worth=10)
    assert "That holds if an update of its tracker takes 10 ns, not if 50 ns." in notes(found, found.groups[0])
    found = decided(rows("a", FIGURES, updates={"more": 10**11}), worth=10)
    assert "That holds only if an update of its tracker takes less than 1 ns." in notes(found, found.groups[0])


def test_a_lead_that_is_next_to_nothing_is_told_so() -> None:
    little = {**FIGURES, "more": ([20.5, 40.5, 60.5, 80.5], [0, 0, 0, 0.1])}
    assert "`more` beats what the kernel does (`merged`), though hardly, from" in told(decided(rows("a", little)))


def test_what_is_ahead_by_what_it_saves_names_no_share_of_the_stake() -> None:
    cheap = {"merged": (KEPT[0], [900, 950, 930, 920]), "less": KEPT}
    text = told(decided(rows("a", cheap), worth=1))
    assert "`less` beats what the kernel does (`merged`) at any worth: by 925 ±53 core-s a day, where" in text


def test_worths_have_an_upper_end_where_the_seeds_leave_one() -> None:
    # Cheaper, and with less profit: ahead only while a bit is worth little.
    cheap = {"merged": (MORE[0], [8, 9, 7, 8]), "less": (KEPT[0], [0, 0, 0, 0])}
    text = told(decided(rows("a", cheap), worth=0.1))
    assert (
        "`less` beats what the kernel does (`merged`) up to 0.64 core-s per GiB·h (0.072 % of CPU; beyond it the"
        in text
    )


def test_nothing_beats_the_kernel() -> None:
    assert told(decided(rows("a", FIGURES), worth=0.1)) == (
        "On a (p, 4 cores, 16 GiB, 1 d, 4 seeds, costs as fitted), nothing beats what the kernel does "
        "(`merged`) where a set bit is worth 0.1 core-s per GiB·h; 4 of 4 seeds agree."
    )


def test_a_baseline_that_is_best_by_chance_is_not_claimed_to_be() -> None:
    # Behind by 7.5 on average, with leads of -30 and once 60: t(3) at 5 % is 3.18, the error 22.5.
    noisy: Figures = {"merged": ([50] * 4, [0] * 4), "other": ([20, 20, 20, 110], [0] * 4)}
    found = decided(rows("a", noisy), worth=10)
    at_most = found.groups[0].answer.at_most
    assert at_most == pytest.approx((-7.5 + 3.1824 * 22.5) / 100, rel=1e-3)
    assert told(found).endswith(
        "nothing is ahead of what the kernel does (`merged`) where a set bit is worth 10 core-s per GiB·h; 3 of 4 "
        "seeds agree, but leave room for a lead of up to 64 % of what is at stake."
    )
    near: Figures = {"merged": KEPT, "near": ([20.01, 39.98, 60.0, 79.99], [0] * 4)}
    assert told(decided(rows("a", near), worth=10)).endswith(
        "nothing beats what the kernel does (`merged`) by as much as 1 % of what is at stake where a set bit is worth "
        "10 core-s per GiB·h; 3 of 4 seeds agree."
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"timer": "fixed(1 s)"}, []),  # as the name of its policy will say
        ({"timer": "fixed(1 s)", "executor": "serial"}, ["`more` differs from `merged` in `executor` and `timer`."]),
    ],
)
def test_a_policy_that_differs_in_more_than_one_key_is_told_to(changed: dict[str, str], expected: list[str]) -> None:
    found = decided(rows("a", FIGURES), worth=10)
    kept = {"hook": "vm_destroy", "timer": "debounce(10 s)", "executor": "leader_followers"}
    provenance = replace(found.provenance, policies={"merged": kept, "more": {**kept, **changed}})
    told_beside = list(notes(replace(found, provenance=provenance), found.groups[0]))
    assert [text for text in told_beside if "differs" in text] == expected
    assert not [text for text in notes(found, found.groups[0]) if "differs" in text]


def test_who_is_further_ahead_but_not_told_apart_is_named_beside() -> None:
    # Ahead by 20 on average, but by 80 in one seed alone; `more` is ahead by 5 in each.
    skewed: Figures = {
        "merged": ([50] * 4, [0] * 4),
        "more": ([55, 55.1, 54.9, 55], [0] * 4),
        "skewed": ([50, 50, 50, 130], [0] * 4),
        "same": ([55.01, 55.1, 54.9, 55], [0] * 4),
    }
    found = decided(rows("a", skewed), worth=10)
    answer = found.groups[0].answer
    assert (answer.finding, answer.policy, answer.as_good, answer.further) == ("beats", "same", ("more",), "skewed")
    assert list(notes(found, found.groups[0]))[:2] == [
        "`skewed` is further ahead on average, but not told apart from `merged`.",
        "`more` is as good, to 1 %.",
    ]


def test_seeds_that_do_not_tell_are_not_claimed_to() -> None:
    unsure = {**FIGURES, "more": ([30, 30, 90, 61], [8, 9, 7, 8])}
    text = told(decided(rows("a", unsure), worth=10))
    assert "beats what" not in text.replace("whether anything beats what", "")
    assert "one can't tell whether anything beats what the kernel does (`merged`)" in text
    assert text.endswith("in 2 of 4 seeds; some 992 seeds would.")


def test_a_difference_that_cannot_matter_is_told_so() -> None:
    near, far = [20.01, 39.99, 60.02, 80.0], [19, 39, 59, 79]
    alike: Figures = {"merged": KEPT, "near": (near, [0] * 4), "far": (far, [0] * 4)}
    found = decided(rows("a", alike), worth=10)
    answer = found.groups[0].answer
    assert (answer.finding, answer.policy) == ("can't tell", "near")
    assert answer.at_most is not None
    # Half a hundredth of a GiB·h ahead, of a hundred at stake; t(3) at 2.5 % is 4.18 and the error 0.0065.
    assert answer.at_most == pytest.approx((0.005 + 4.1765 * 0.0064550) / 100, rel=1e-3)
    assert told(found).endswith(
        "nothing beats what the kernel does (`merged`) by as much as 1 % of what is at stake where a set bit is worth "
        "10 core-s per GiB·h; whether `near` does by less one can't tell."
    )


def test_seeds_that_all_agree_but_not_by_how_much() -> None:
    # One seed of eight has nearly all of the lead.
    much = [50.1, 50.2, 50.1, 50.3, 50.1, 50.2, 50.1, 90]
    skewed: Figures = {"merged": ([50] * 8, [0] * 8), "more": (much, [0] * 8)}
    text = told(decided(rows("a", skewed), worth=10))
    assert "`more` is ahead of what the kernel does (`merged`) where a set bit is worth 10 core-s per GiB·h in" in text
    assert text.endswith(
        "in 8 of 8 seeds, but one can't tell by how much: 50 (−90 to 340) core-s a day; some 61 seeds would."
    )


def test_one_seed_is_told_to_be_one() -> None:
    one = {name: ([profit[0]], [cost[0]]) for name, (profit, cost) in FIGURES.items()}
    assert "one seed tells nothing apart; in it `more` is 92.0 core-s a day ahead" in told(
        decided(rows("a", one), worth=10)
    )
    assert told(decided(rows("a", one), worth=0.1)).endswith(", as far as one seed says.")


def test_prices_of_trackers_are_told_where_a_policy_has_one() -> None:
    without = "\n".join(decision_lines(decided([*rows("a", FIGURES), *rows("b", FIGURES)])))
    assert "an update" not in without
    assert "racker" not in without
    made = [*rows("a", FIGURES), *rows("b", FIGURES, updates={"more": 10**9})]
    found = decided(made)
    assert [len(group.priced) for group in found.groups] == [1, 4]
    assert len(found.minimax) == 4
    told = "\n".join(decision_lines(found))
    assert told.count("10 ns an update: ") == 1


def test_no_memory_in_use() -> None:
    empty = {name: ([0.0] * 4, cost) for name, (_, cost) in FIGURES.items()}
    found = decided(rows("a", empty, in_use=0))
    assert told(found).endswith("no memory is in use that could profit, so nothing is to be won; `merged` costs least.")
    assert headline(found) == told(found)
    assert "Least to lose" not in "\n".join(decision_lines(found))


def test_another_baseline_is_not_called_the_kernel() -> None:
    text = told(decided(rows("a", FIGURES), worth=10, baseline="more"))
    assert "nothing beats `more` where" in text


def test_the_headline_counts_groups_and_the_last_line_has_the_prices() -> None:
    flipped = {**FIGURES, "more": (KEPT[0], MORE[1])}
    made = [*rows("a", FIGURES, updates={"more": 10**9}), *rows("b", flipped, updates={"more": 10**9})]
    found = decided(made, worth=10)
    assert headline(found) == (
        "Over both groups `more` has least to lose where a set bit is worth 10 core-s per GiB·h and trackers are free: "
        "it is at worst 0.0023 % of the host's CPU behind the best, what the kernel does (`merged`) is 0.027 % of the "
        "host's CPU behind the best on a; the seeds tell it apart as better in 1 of 2."
    )
    last = " ".join(list(decision_lines(found, 200))[-1:])
    assert last == (
        "Least to lose over the 2 groups: more at 0 to 10 ns an update (at worst 0.0052 % of the host's CPU behind, on "
        "b); merged at 50 ns an update (at worst 0.012 % of the host's CPU behind, on a)."
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_text_is_narrow_and_begins_with_what_is_missing(width: int) -> None:
    made = [*rows("a", FIGURES, share=0.1), *rows("b", FIGURES, share=0.2)]
    lines = list(decision_lines(decided(made, axes=["share"], n_parts=3), width))
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("NOT FINISHED: 1 of 3 parts (33 %), 4 of 4 seeds")
    text = " ".join(" ".join(lines).split())
    assert "share: more is best, or as good, at all values; lead over merged 1.0 to 1.0" in text
    assert not any(line != line.rstrip() for line in lines)


@pytest.mark.parametrize(
    ("width", "left_out", "head"),
    [
        (50, None, "from 95 % best lead over seeds"),
        (40, "over", "from 95 % best lead seeds"),
        (30, "over, 95 %", "from best lead seeds"),
        (20, "over, 95 %, seeds", "from best lead"),
    ],
)
def test_columns_that_do_not_fit_are_left_out_by_name(width: int, left_out: str | None, head: str) -> None:
    lines = list(decision_lines(decided(rows("a", FIGURES)), width))
    assert head in (" ".join(line.split()) for line in lines)
    assert (f"left out for want of room: {left_out}" in " ".join(lines)) == (left_out is not None)


def test_many_groups_are_cut_with_a_word() -> None:
    made = [row for i in range(14) for row in rows(f"label {i}", FIGURES)]
    lines = list(decision_lines(decided(made)))
    assert any(line.startswith("2 more groups not shown: --json has all") for line in lines)
    assert sum(line.startswith("On label") for line in lines) == 12


def test_conditions_span_what_a_group_holds() -> None:
    made = [
        *rows("b", FIGURES, preset="q", cores=8, present_bytes=32 << 30, rejected=3),
        *rows("a", FIGURES, horizon_ns=7 * 3600 * 10**9),
        *rows("c", FIGURES, preset=""),
    ]
    for row in made:
        row["all"] = "x"
    single = group_conditions(stored(made), ["label"])
    assert [one.presets for one in single] == [("q",), ("p",), ()]
    assert [one.cores for one in single] == [(8, 8), (4, 4), (4, 4)]
    assert (single[0].admitted, single[0].rejected) == (400, 12)  # of four traces, not of four by three rows
    (both,) = group_conditions(stored(made), ["all"])
    assert both.presets == ("q", "p")
    assert both.present_bytes == (16 << 30, 32 << 30)
    assert both.counted_ns == (6 * 3600 * 10**9, 24 * 3600 * 10**9)
    found = decided(made, axes=["all"], group_by=["all"])
    assert "On all=x (q, p, 3 scenarios, 4 to 8 cores, 16 GiB to 32 GiB, 6 h to 1 d, 4 seeds" in told(found)
    assert "12 of 1,212 VMs" not in " ".join(notes(found, found.groups[0]))


def test_a_load_that_does_not_fit_is_told() -> None:
    found = decided(rows("a", FIGURES, rejected=5))
    assert "20 of 420 VMs found no room: the load does not fit the host." in notes(found, found.groups[0])


def test_figures_of_any_size_have_no_exponent() -> None:
    assert [figure_text(x) for x in (0, 0.000234, 0.1, 4.25, 96, 1138.4, 2.5e9, float("inf"))] == [
        "0",
        "0.00023",
        "0.10",
        "4.2",
        "96",
        "1,100",
        "2,500,000,000",
        "∞",
    ]
    assert share_text(0.0021) == "0.21 %"
    assert ends_text((0.00871, 1.4)) == "0.0087–1.4"
    assert ends_text((0.00018, float("inf"))) == "0.00018–"
    assert [listed("abc"[:n]) for n in (1, 2, 3)] == ["`a`", "`a` and `b`", "`a`, `b` and `c`"]
    assert listed("abcdef") == "`a`, `b`, `c`, `d` and 2 more"


def test_a_lead_is_rounded_to_its_interval() -> None:
    def text(lead: float, half_width: float | None) -> str:
        low, high = (None, None) if half_width is None else (lead - half_width, lead + half_width)
        seeds = {"n": 4, "above": 4, "ties": 0, "below": 0}
        return lead_text(
            Difference(value=0, baseline=0, difference=lead, error=None, low=low, high=high, p=None, **seeds)
        )

    assert text(3199.2, 573.5) == "3,200 ±570"
    assert text(0.00139, 0.000371) == "0.00139 ±0.00037"
    assert text(2.75, 1.14) == "2.8 ±1.1"
    assert [text(8.25, None), text(8.25, 0.0)] == ["8.25", "8.25"]


def test_policies_that_differ_in_no_seed_are_told_so() -> None:
    found = decided(rows("a", {"merged": KEPT, "more": KEPT, "oracle": KEPT}))
    assert "nothing tells the policies apart: all win as much and cost as much in every seed" in told(found)
    assert "agree" not in told(found)
