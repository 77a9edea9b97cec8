"""The decision table made of columns says what row after row, in Python's integers, would say."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from gmemgpu.metrics.derived import derived
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.report.decision import DecisionTable, Group, decision_table
from gmemgpu.report.quantity import METRICS_READ, QUANTITIES
from gmemgpu.report.render import render
from gmemgpu.report.statistics import Estimate, estimate
from gmemgpu.sweeping.read import StoredRows

Rows = list[dict[str, Any]]


def plain(rows: Rows, group_by: tuple[str, ...]) -> dict[tuple[Any, ...], dict[str, dict[str, Estimate | None]]]:
    """The same, a row at a time."""
    oracle = {(row["label"], row["seed"]): row for row in rows if row["policy"] == "oracle"}
    groups: dict[Any, dict[str, dict[int, list[dict[str, float | None]]]]] = {}
    for row in rows:
        best = oracle.get((row["label"], row["seed"]))
        ratios = derived(row, best, cores=row["cores"], counted_ns=row["horizon_ns"] - row["warmup_ns"])
        values = {quantity.key: quantity.value(row, ratios) for quantity in QUANTITIES}
        of_policy = groups.setdefault(tuple(row[name] for name in group_by), {}).setdefault(row["policy"], {})
        of_policy.setdefault(row["seed"], []).append(values)
    return {
        key: {
            policy: {quantity.key: estimate(per_seed(seeds, quantity.key)) for quantity in QUANTITIES}
            for policy, seeds in of_policy.items()
        }
        for key, of_policy in groups.items()
    }


def per_seed(seeds: dict[int, list[dict[str, float | None]]], key: str) -> list[float]:
    found = ([value for of in scenarios if (value := of[key]) is not None] for scenarios in seeds.values())
    return [math.fsum(values) / len(values) for values in found if values]


@st.composite
def rows(draw: Any) -> Rows:
    wide = st.one_of(st.integers(0, 5), st.integers(0, 1 << 90))
    narrow = st.one_of(st.integers(0, 5), st.integers(0, 1 << 62))
    traces = draw(st.sets(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1))
    chosen = draw(st.sets(st.sampled_from(["v10", "capped", "oracle"]), min_size=1))
    found = []
    for label, seed in sorted(traces):
        for policy in sorted(chosen):
            if policy == "oracle" and draw(st.booleans()):
                continue
            metrics = {
                name: draw(wide if pa.types.is_decimal(metric_arrow_type(name)) else narrow) for name in METRICS_READ
            }
            metrics["latency_p50_ns"] = draw(st.sampled_from([-1, 0, 7]))
            told = {"label": label, "preset": "p", "axis": None if label == "c" else ord(label) % 2, "seed": seed}
            host = {"cores": 64, "horizon_ns": 1000, "warmup_ns": 10}
            found.append({**told, "policy": policy, **host, **metrics})
    return found


@pytest.mark.parametrize("group_by", [(), ("axis",), ("preset",), ("axis", "label")])
@given(found=rows())
def test_columns_say_what_rows_say(group_by: tuple[str, ...], found: Rows) -> None:
    if not found:
        return
    types = {name: metric_arrow_type(name) for name in METRICS_READ} | {"axis": pa.int64()}
    table = pa.table({name: pa.array([row[name] for row in found], types.get(name)) for name in found[0]})
    stored = StoredRows(name="x", table=table, axes=("axis",), n_parts=1, n_parts_done=1)
    made = decision_table(stored, group_by=group_by)
    expected = plain(found, group_by or ("label",))
    assert [tuple(group.keys.values()) for group in made.groups] == list(expected)
    for group, of_policy in zip(made.groups, expected.values(), strict=True):
        assert {line.policy for line in group.lines} == set(of_policy)
        assert group.n_scenarios == len({row["label"] for row in found if in_group(row, group)})
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
    assert found.n == wanted.n
    assert found.mean == pytest.approx(wanted.mean, rel=1e-12, abs=1e-300)
    if wanted.half_width is None:
        assert found.half_width is None
    else:
        # Of nearly equal values next to nothing remains, but for the rounding of their mean.
        assert found.half_width == pytest.approx(wanted.half_width, rel=1e-9, abs=1e-12 * abs(wanted.mean))


@pytest.mark.parametrize(("n", "said"), [(40, None), (41, "1 more group not"), (1040, "1,000 more groups not")])
def test_hundreds_of_groups_are_left_to_csv(n: int, said: str | None) -> None:
    group = Group(keys={"label": "a"}, n_scenarios=1, lines=())
    drawn = list(render(DecisionTable(name="x", n_parts=1, n_parts_done=1, groups=(group,) * n)))
    notes = [piece.plain for piece in drawn if isinstance(piece, Text)]
    assert len(drawn) - len(notes) == 40
    assert [note.startswith(said or "") for note in notes] == ([True] if said else [])
