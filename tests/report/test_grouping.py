"""Groups of rows, and the decision table made of them, are what a row at a time, in Python's integers, would give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from estimates_by_hand import median_by_hand, ratio_by_hand
from hypothesis import example, given, settings
from hypothesis import strategies as st
from metric_rows import by_hand, sums_by_hand

from gmemgpu.metrics.quantity import QUANTITIES
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.report.decision import Group, decision_table
from gmemgpu.report.grouping import codes_of, groups_of, numbered, stops_of
from gmemgpu.report.statistics import Estimate
from gmemgpu.sweeping.store.read import StoredRows

Rows = list[dict[str, Any]]
METRICS = list(dict.fromkeys(name for quantity in QUANTITIES for name in quantity.columns))
TRACE = {
    **{"admitted": 2, "rejected": 1, "horizon_ns": 110, "warmup_ns": 10},
    **{"running_vm_ns": 250, "running_snp_vm_ns": 50},
}
POOLED = {quantity.key for quantity in QUANTITIES if quantity.percent is not None}


def plain(rows: Rows, group_by: tuple[str, ...]) -> dict[tuple[Any, ...], dict[str, dict[str, Estimate | None]]]:
    """Return the table, made a row at a time."""
    oracle = {(row["label"], row["seed"]): row for row in rows if row["policy"] == "oracle"}
    groups: dict[Any, dict[str, dict[int, list[tuple[dict[str, Any], dict[str, Any] | None]]]]] = {}
    for row in rows:
        of_policy = groups.setdefault(tuple(row[name] for name in group_by), {}).setdefault(row["policy"], {})
        of_policy.setdefault(row["seed"], []).append((row, oracle.get((row["label"], row["seed"]))))
    return {
        key: {policy: estimates(list(seeds.values())) for policy, seeds in of_policy.items()}
        for key, of_policy in groups.items()
    }


def estimates(seeds: list[list[tuple[dict[str, Any], dict[str, Any] | None]]]) -> dict[str, Estimate | None]:
    found: dict[str, Estimate | None] = {}
    for quantity in QUANTITIES:
        key = quantity.key
        if quantity.denominator is not None:
            pairs = [[sums[key] for row, best in of if key in (sums := sums_by_hand(row, best))] for of in seeds]
            sums = [(float(sum(a for a, _ in some)), float(sum(b for _, b in some))) for some in pairs if some]
            found[key] = ratio_by_hand(sums, share=quantity.unit == "share")
        elif key not in POOLED:
            several = [[value for row, best in of if (value := by_hand(row, best)[key]) is not None] for of in seeds]
            means = [math.fsum(values) / len(values) for values in several if values]
            found[key] = (
                median_by_hand(means)
                if quantity.typical
                else ratio_by_hand([(mean, 1.0) for mean in means], share=False, mean=True)
            )
    return found


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """Draw rows of a sweep whose axes cross: a label is one point of two axes, and of each axis there are others."""
    # All alike in size: where one is a billion times another, what is left of a float sum without the larger one has
    # few digits of the smaller, and figures by hand have all of them.
    wide, narrow = draw(
        st.sampled_from(
            [
                (st.integers(0, 5), st.integers(0, 5)),
                (st.integers(1 << 80, 1 << 90), st.integers(1 << 55, 1 << 62)),
            ]
        )
    )
    points = draw(st.lists(st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from("st")), min_size=1, max_size=5))
    traces = draw(st.sets(st.tuples(st.integers(0, len(points) - 1), st.sampled_from([0, 1, 2, 1 << 40])), min_size=1))
    policies = draw(st.sets(st.sampled_from(["v10", "capped", "oracle"]), min_size=1))
    found = []
    for point, seed in draw(st.permutations(sorted(traces))):
        x, y = points[point]
        for policy in draw(st.permutations(sorted(policies))):
            if policy == "oracle" and draw(st.booleans()):
                continue
            # Two draws a row and not one a metric, which would take most of the time.
            large, small = draw(wide), draw(narrow)
            metrics = {
                name: (large if pa.types.is_decimal(metric_arrow_type(name)) else small) >> i
                for i, name in enumerate(METRICS)
                if name != "cores"
            }
            metrics["latency_p50_ns"] = metrics["latency_p99_ns"] = latency = draw(st.sampled_from([-1, 0, 7]))
            metrics["latency_histogram"] = [] if latency < 0 else [0] * latency + [1]
            scenario = {"label": f"label {point}", "preset": "p", "x": x, "y": y, "seed": seed}
            found.append({**scenario, "policy": policy, "cores": 64, **TRACE, **metrics})
    return found


def stored(found: Rows) -> StoredRows:
    types = {name: metric_arrow_type(name) for name in (*METRICS, "latency_histogram") if name != "cores"}
    types["x"] = pa.int64()
    table = pa.table({name: pa.array([row[name] for row in found], types.get(name)) for name in found[0]})
    return StoredRows(name="x", table=table, axes=("x", "y"), n_parts=1, n_parts_done=1)


@pytest.mark.parametrize("group_by", [(), ("preset",), ("x", "y"), ("y", "label", "y")])
@given(found=rows())
def test_the_table_says_what_rows_say(group_by: tuple[str, ...], found: Rows) -> None:
    if not found:
        return
    made = decision_table(stored(found), group_by=group_by)
    expected = plain(found, group_by or ("label",))
    assert [tuple(group.keys[name] for name in group_by or ("label",)) for group in made.groups] == list(expected)
    for group, of_policy in zip(made.groups, expected.values(), strict=True):
        assert {line.policy for line in group.lines} == set(of_policy)
        assert group.n_scenarios == len({row["label"] for row in found if in_group(row, group)})
        n_traces = len({(row["label"], row["seed"]) for row in found if in_group(row, group)})
        assert (group.traces.admitted, group.traces.rejected) == (2 * n_traces, n_traces)
        assert (group.traces.mean_running, group.traces.mean_running_snp) == (2.5, 0.5)
        for line in group.lines:
            assert line.n_seeds == len({row["seed"] for row in found if in_group(row, group, line.policy)})
            for key, wanted in of_policy[line.policy].items():
                assert_alike(line.estimates[key], wanted)


def in_group(row: dict[str, Any], group: Group, policy: str | None = None) -> bool:
    return all(row[name] == value for name, value in group.keys.items()) and policy in (None, row["policy"])


def assert_alike(found: Estimate | None, wanted: Estimate | None) -> None:
    if wanted is None or found is None:
        assert found is wanted
        return
    assert (found.n, found.kind) == (wanted.n, wanted.kind)
    assert found.value == pytest.approx(wanted.value, rel=1e-12, abs=1e-300)
    for end, other in ((found.low, wanted.low), (found.high, wanted.high)):
        # Of nearly equal values next to nothing remains, but for the rounding of their sums.
        assert end == (other if other is None else pytest.approx(other, rel=1e-6, abs=1e-6 * max(1, abs(wanted.value))))


@settings(max_examples=settings.default.max_examples // 4)
@given(found=rows(), most=st.integers(1, 3))
def test_the_first_groups_alone_are_the_first_of_all(found: Rows, most: int) -> None:
    if not found:
        return
    whole, few = decision_table(stored(found)), decision_table(stored(found), most_groups=most)
    assert (few.n_groups, len(few.groups)) == (whole.n_groups, min(most, whole.n_groups))
    for group, same in zip(few.groups, whole.groups, strict=False):
        assert replace(group, lines=()) == replace(same, lines=())
        for line, same_line in zip(group.lines, same.lines, strict=True):
            assert (line.policy, line.n_seeds) == (same_line.policy, same_line.n_seeds)
            for key, wanted in same_line.estimates.items():
                assert_alike(line.estimates[key], wanted)


def test_axes_that_cross_make_a_group_of_each_pair() -> None:
    # Whoever merged by one axis alone, or by the sum of the two numbers, would mix shares.
    shares = {(1, "s"): 1, (1, "t"): 2, (2, "s"): 3, (2, "t"): 4}
    metrics = dict.fromkeys(METRICS, 0) | TRACE | {"cores": 1, "optimizable_ns": 4}
    metrics |= {"latency_p50_ns": -1, "latency_p99_ns": -1, "latency_histogram": []}
    made = [
        {"label": f"{x}{y}{again}", "preset": "p", "x": x, "y": y, "seed": 0, "policy": "v10", **metrics}
        | {"optimized_core_ns": share}
        for again in (1, 2)
        for (x, y), share in shares.items()
    ]
    for group_by in (("x", "y"), ("y", "x"), ("preset", "x", "y")):
        table = decision_table(stored(made), group_by=group_by)
        found = {(group.keys["x"], group.keys["y"]): group for group in table.groups}
        assert list(found) == list(shares)
        for pair, group in found.items():
            assert group.n_scenarios == 2
            assert group.lines[0].estimates["coverage"] == Estimate(shares[pair] / 4, None, None, 1, "ratio")


VALUES = {
    "text": (pa.string(), st.sampled_from(["", "a", "b", None])),
    "whole": (pa.int64(), st.sampled_from([0, 1, -(2**63), None])),
    "real": (pa.float64(), st.sampled_from([0.0, 0.5, None])),
    "flag": (pa.bool_(), st.sampled_from([True, False, None])),
    "encoded": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b", "c", None])),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, list[str]]:
    """Draw a table in pieces, each with a dictionary of its own, and columns to group it by."""
    record = st.fixed_dictionaries({name: values for name, (_, values) in VALUES.items()})
    pieces = draw(st.lists(st.lists(record, min_size=1, max_size=6), min_size=1, max_size=3))
    made = [
        pa.table({name: pa.array([row[name] for row in piece], kind) for name, (kind, _) in VALUES.items()})
        for piece in pieces
    ]
    names = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    # A view that begins within a byte of the flags for what is there.
    table = pa.concat_tables(made)
    return table.slice(draw(st.integers(0, table.num_rows - 1))), names


@given(made=tables())
def test_groups_are_those_of_a_dictionary(made: tuple[pa.Table, list[str]]) -> None:
    table, names = made
    wanted: dict[tuple[Any, ...], int] = {}
    numbers = [
        wanted.setdefault(key, len(wanted)) for key in zip(*(table[name].to_pylist() for name in names), strict=True)
    ]
    group, keys = groups_of([codes_of(table[name]) for name in names])
    assert (group.tolist(), keys) == (numbers, list(wanted))


@given(group=st.lists(st.integers(0, 6), min_size=1), at_least=st.integers(1, 9))
def test_no_group_lies_on_both_sides_of_a_stop(group: list[int], at_least: int) -> None:
    stops = stops_of(np.array(group, np.int32), at_least)
    assert stops[-1] == len(group)
    for start, stop in pairwise([0, *stops]):
        assert stop - start >= at_least or stop == len(group)
        assert not set(group[:stop]) & set(group[stop:])
        # Nor does it go on for longer than it must.
        enough = range(start + at_least, stop)
        assert all(set(group[:at]) & set(group[at:]) for at in enough)


@given(values=st.lists(st.one_of(st.integers(0, 9), st.integers(-(2**63), 2**63 - 1)), min_size=1))
@example(values=[-(2**63), 2**63 - 1])
@example(values=[5, 5, 7])
def test_numbers_go_by_size(values: Sequence[int]) -> None:
    codes, distinct = numbered(np.array(values))
    assert distinct.tolist() == sorted(set(values))
    assert distinct[codes].tolist() == values
