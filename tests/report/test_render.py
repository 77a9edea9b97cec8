"""What people read: within any width, and never a broken figure."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from gmemgpu.metrics.quantity import TABLE_QUANTITIES, quantity_named
from gmemgpu.model.rmp_figure import RMP_FIGURE_NAMES
from gmemgpu.report.ascii import to_ascii
from gmemgpu.report.decision import DecisionTable, Group, decision_table
from gmemgpu.report.estimate_text import estimate_text
from gmemgpu.report.render import decision_lines, pivot_lines, provenance_lines
from gmemgpu.report.trace_figures import TraceFigures, merged_figures
from gmemgpu.sweeping.store.read import StoredRows

WIDTHS = [60, 80, 120]
VMS = TraceFigures(admitted=990, rejected=10, counted_ns=100.0, running_vm_ns=1250.0, running_snp_vm_ns=50.0)
HEADERS = [one.header for one in TABLE_QUANTITIES]


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    found = pq.read_table(Path(__file__).with_name("two_presets.parquet"))
    return found.filter(pc.less(found["seed"], 8))


def table_of(rows: pa.Table, **options: Any) -> DecisionTable:
    stored = StoredRows(
        name="two", table=rows, axes=("seed",), n_parts=1, n_parts_done=1, sweep_id="8486188f", version="0.1.0"
    )
    return decision_table(stored, **options)


@pytest.fixture(scope="module")
def table(rows: pa.Table) -> DecisionTable:
    return table_of(rows)


def text(table: DecisionTable, width: int | None = None, **options: Any) -> str:
    return "\n".join(decision_lines(table, width, **options))


def shown(lines: str) -> list[str]:
    """Return the columns that the first table has."""
    head = next(line for line in lines.splitlines() if line.startswith("policy "))
    return [header for header in HEADERS if f" {header}" in head or f" {to_ascii(header)}" in head]


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [*WIDTHS, None])
def test_every_figure_stands_whole_in_its_line(table: DecisionTable, width: int | None, ascii_only: bool) -> None:
    lines = text(table, width, ascii_only=ascii_only)
    assert width is None or max(map(len, lines.splitlines())) <= width
    assert not ascii_only or lines.isascii()
    kept = [quantity for quantity in TABLE_QUANTITIES if quantity.header in shown(lines)]
    assert kept
    assert (len(kept) == len(HEADERS)) is (width is None)
    every = iter(lines.splitlines())
    for group in table.groups:
        for line in group.lines:
            cells = next(one for one in every if one.startswith(f"{line.policy} ")).split()[1:]
            wanted = " ".join(estimate_text(line.estimates[one.key], one.unit, line.n_seeds) for one in kept)
            assert cells == (to_ascii(wanted) if ascii_only else wanted).split()


def test_a_narrow_terminal_is_told_what_it_does_not_see(table: DecisionTable) -> None:
    lines = text(table, 60)
    note = " ".join(lines.splitlines())
    assert shown(lines) == ["coverage", "never"]
    assert "Left out, as 60 columns hold no more: benefit, missed GiB·h, latency p50," in note
    assert "Left out" not in text(table)


def test_what_is_asked_for_comes_before_others(rows: pa.Table) -> None:
    asked = ["regret", "tracker_updates"]
    chosen = table_of(rows, quantities=asked, sort="coverage")
    assert "hold no more: tracker updates, coverage. --metric" in text(chosen, 60, first=asked).replace("\n", " ")
    assert "hold no more: coverage. --metric" in text(chosen, 76, first=asked).replace("\n", " ")
    # One column is there whatever the width.
    assert shown(text(chosen, 10, first=asked)) == ["regret"]


def test_the_legend_explains_what_is_there_and_no_more(table: DecisionTable, rows: pa.Table) -> None:
    lines = text(table)
    assert "cloud · 8 seeds" in lines
    for sign in (
        "± or (a–b): 95 %",
        "(a–b) of never, longest pass: a median",
        "(≥a): at least a",
        "n/N:",
        "–: nothing",
    ):
        assert sign in lines
    assert "a median of few seeds" not in lines
    few = text(table_of(rows.filter(pc.less(rows["seed"], 3))))
    assert "(a–b) of never, longest pass: a median of few seeds" in few
    one = text(table_of(rows.filter(pc.equal(rows["seed"], 0)), policies=["v3", "dirty_10s"]))
    assert "cloud · 1 seed\n" in one
    assert not any(sign in one for sign in ("±", "(a–b)", "(≥a)", "n/N", "–:", "Not finished"))


def test_a_table_says_how_the_host_coped(table: DecisionTable) -> None:
    def told(**figures: int) -> str:
        traces = replace(VMS, **figures)
        return text(replace(table, groups=(replace(table.groups[0], traces=traces),)))

    running = "; 12.5 running on average, 0.5 of them confidential.\n"
    assert f"VMs of all seeds: 1,000 drawn, 990 admitted, 10 rejected{running}" in told()
    share = " (1.1 %: a load that does not fit its host says little about policies)"
    assert f"11 rejected{share}{running}" in told(rejected=11)
    assert "VMs" not in told(admitted=0, rejected=0)


def test_a_table_says_what_images_of_the_rmp_hold(table: DecisionTable) -> None:
    images = dict.fromkeys(RMP_FIGURE_NAMES, 0) | {"rmp_images": 4, "rmp_regions": 6144, "rmp_free_regions": 3922}
    images |= {"rmp_free_regions_least": 955, "rmp_free_run_regions": 2000, "rmp_blocked_512_regions": 6}
    images |= {"rmp_blocked_16_regions": 2, "rmp_blocked_16_pages": 22, "rmp_blocked_512_pages": 12_345}

    def told(*images: dict[str, int] | None) -> str:
        groups = [replace(table.groups[0], traces=replace(VMS, images=one)) for one in images]
        return text(replace(table, groups=tuple(groups)))

    assert "RMP" not in told(None)
    assert (
        "\nRMP, mean of 4 images: 980.5 of 1,536 regions free, 955 at least, 500 of them in a row. Blocked by few "
        "pages: 0 by 1, 0.5 by 16 at most (5.5 would have to move), 1.5 by 512 at most (3,086.2).\n"
    ) in told(images)
    assert "\nNo image of the RMP counts: SNP was off at all their times.\n" in told(dict.fromkeys(images, 0))


def test_images_of_groups_add_up_and_the_least_is_the_least() -> None:
    def of(n_images: int, least: int) -> TraceFigures:
        images = dict.fromkeys(RMP_FIGURE_NAMES, 5) | {"rmp_images": n_images, "rmp_free_regions_least": least}
        return replace(VMS, images=images)

    merged = merged_figures([of(2, 7), of(0, -1), of(3, 4), VMS])
    assert merged.images == dict.fromkeys(RMP_FIGURE_NAMES, 15) | {"rmp_images": 5, "rmp_free_regions_least": 4}
    assert merged_figures([VMS, VMS]).images is None
    assert merged_figures([of(0, -1)]).images == of(0, -1).images


@pytest.mark.parametrize(("n", "said"), [(40, ""), (41, "1 more group not"), (1040, "1,000 more groups not")])
def test_hundreds_of_groups_are_left_to_csv(table: DecisionTable, n: int, said: str) -> None:
    group = Group(keys={"label": "a"}, n_scenarios=1, traces=replace(VMS, admitted=0, rejected=0), lines=())
    lines = text(replace(table, n_groups=n, groups=(group,) * min(n, 41)))
    assert lines.count("policy  ") == 40
    assert said in lines
    assert ("not shown" in lines) is bool(said)


def test_an_unfinished_sweep_says_so(table: DecisionTable) -> None:
    assert "Not finished: 1 of 3 parts; run the sweep again to go on." in text(replace(table, n_parts=3))


def test_scenarios_that_were_put_together_are_counted(rows: pa.Table) -> None:
    assert "seed=0 (2 scenarios) · 1 seed" in text(table_of(rows, group_by=["seed"]))


@pytest.mark.parametrize("width", [*WIDTHS, None])
def test_a_pivot_has_a_column_for_each_value_and_folds(rows: pa.Table, width: int | None) -> None:
    quantity = quantity_named("coverage")
    assert quantity is not None
    pivoted = table_of(rows, group_by=["label", "seed"], quantities=["coverage"])
    lines = "\n".join(pivot_lines(pivoted, "seed", quantity, width))
    assert width is None or max(map(len, lines.splitlines())) <= width
    assert "coverage by seed · cloud · 1 seed\n" in lines
    heads = [line.split()[1:] for line in lines.splitlines() if line.startswith("policy ")]
    assert list(chain(*heads)) == [str(seed) for seed in range(8)] * 2
    assert (len(heads) > 2) is (width in (60, 80))
    of_v10 = [line.split()[1:] for line in lines.splitlines() if line.startswith("v10 ")]
    wanted = [
        estimate_text(line.estimates["coverage"], "share", 1)
        for group in pivoted.groups
        for line in group.lines
        if line.policy == "v10"
    ]
    assert " ".join(chain(*of_v10)) == " ".join(wanted)


def test_the_last_line_tells_where_a_table_comes_from(table: DecisionTable) -> None:
    (line,) = provenance_lines(table, "gmemgpu show x")
    assert line == '"two" · gmemgpu 0.1.0 · sweep 8486188f · seeds 0–7 · gmemgpu show x'
    (line,) = provenance_lines(replace(table, seeds=(0, 2, 5)), "", ascii_only=True)
    assert line == '"two" - gmemgpu 0.1.0 - sweep 8486188f - seeds 0, 2, 5'
    (line,) = provenance_lines(replace(table, seeds=tuple(np.arange(0, 100, 2).tolist())), "")
    assert line.endswith("50 seeds from 0 to 98")
