from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from metric_rows import by_hand

from gmemgpu.metrics.columns import Columns
from gmemgpu.metrics.quantity import MORE_QUANTITIES, QUANTITIES, quantity_named, quantity_names
from gmemgpu.metrics.table import metric_arrow_type
from gmemgpu.model.metric import METRIC_NAMES, METRICS, MetricRow

HUGE = 10**30
LARGEST = 10**38 - 1
GIB_H = 262_144 * 3600 * 10**9
READ = sorted({name for quantity in QUANTITIES for name in quantity.columns})
WIDE = {metric.name for metric in METRICS if metric.wide}


def row(**values: int) -> MetricRow:
    return {**dict.fromkeys(METRIC_NAMES, 0), "latency_histogram": [], "cores": 4, **values}


def columns(rows: Sequence[MetricRow], n_chunks: int = 1) -> dict[str, pa.ChunkedArray]:
    bounds = np.linspace(0, len(rows), n_chunks + 1).astype(int).tolist()
    types = {name: pa.int64() if name == "cores" else metric_arrow_type(name) for name in rows[0]}
    return {
        name: pa.chunked_array([pa.array([r[name] for r in rows[a:b]], kind) for a, b in pairwise(bounds)], kind)
        for name, kind in types.items()
    }


def values(rows: Sequence[MetricRow], oracle: Sequence[int], n_chunks: int = 1) -> list[dict[str, float | None]]:
    read = columns(rows, n_chunks).__getitem__
    found = {q.key: q.values(Columns(read, np.array(oracle))).tolist() for q in QUANTITIES}
    return [{key: None if math.isnan(of[i]) else of[i] for key, of in found.items()} for i in range(len(rows))]


def test_each_quantity() -> None:
    policy = row(
        optimizable_ns=1000,
        optimized_core_ns=3000,
        in_use_optimized_core_ns=4 * 3 * GIB_H,
        in_use_ns=10**4 * 5 * GIB_H,
        leader_busy_ns=3 * 10**9,
        follower_busy_ns=10**9,
        ipis=60,
        attempts_new=8,
        latency_p50_ns=5,
        latency_p99_ns=7,
        never=2,
        pass_wall_max_ns=11,
        tracker_updates=13,
    )
    oracle = row(optimizable_ns=1000, optimized_core_ns=4000, in_use_optimized_core_ns=4 * 5 * GIB_H)
    assert values([policy, oracle], [1, 1])[0] == {
        "coverage": 0.75,
        "benefit": 0.6,
        "profit_gib_h": 3.0,
        "missed_gib_h": 2.0,
        "latency_p50_ns": 5.0,
        "latency_p99_ns": 7.0,
        "never": 2.0,
        "core_s": 4.0,
        "ipis_per_region": 7.5,
        "longest_pass_ns": 11.0,
        "regret": 0.25,
        "tracker_updates": 13.0,
    }


def test_each_quantity_that_is_shown_when_asked_for() -> None:
    policy = row(
        ipis=600,
        scan_wall_ns=3 * 10**9,
        leader_busy_ns=10**9,
        follower_busy_ns=6 * 10**9,
        passes=2,
        attempts=8,
        attempts_failed=2,
        tracker_updates=10**9,
    )
    rows = Columns(columns([policy]).__getitem__, np.array([-1]))
    assert {quantity.key: quantity.values(rows)[0] for quantity in MORE_QUANTITIES} == {
        "ipis_per_core_s": 50.0,
        "leader_per_pass_ns": 0.5e9,
        "follower_per_pass_ns": 1e9,
        "failed_share": 0.25,
        "core_s_at_1ns": 8.0,
        "core_s_at_10ns": 17.0,
        "core_s_at_50ns": 57.0,
    }


def test_plain_metrics_are_quantities_too_and_wide_ones_are_not() -> None:
    assert quantity_names()[: len(QUANTITIES)] == [quantity.key for quantity in QUANTITIES]
    plain = quantity_named("attempts_failed")
    assert plain is not None
    assert (plain.header, plain.unit, plain.high_is_good) == ("attempts failed", "count", False)
    assert quantity_named("latency_p90_ns") is quantity_named("latency p90")
    assert quantity_named("optimized_ns") is quantity_named("latency_histogram") is None


def test_what_has_no_meaning_is_not_a_number() -> None:
    (found,) = values([row(latency_p50_ns=-1)], [0])
    none = {key for key, value in found.items() if value is None}
    assert none == {"coverage", "benefit", "latency_p50_ns", "ipis_per_region", "regret"}


def test_a_share_of_next_to_nothing_is_none() -> None:
    policy, oracle = (row(in_use_ns=2_500_000, in_use_optimized_core_ns=profit) for profit in (500, 999))
    assert values([policy, oracle], [1, 1])[0]["benefit"] is None
    oracle["in_use_optimized_core_ns"] = 1000
    assert values([policy, oracle], [1, 1])[0]["benefit"] == 0.5


def test_without_an_oracle_there_is_no_bound() -> None:
    (found,) = values([row(optimizable_ns=1, optimized_core_ns=4, in_use_optimized_core_ns=1)], [-1])
    assert (found["coverage"], found["benefit"], found["regret"]) == (1.0, None, None)


@pytest.mark.parametrize("missed", [0, 1, 10**18, -1])
def test_regret_is_exact_where_floats_would_cancel(missed: int) -> None:
    oracle = row(optimized_core_ns=HUGE)
    found, _ = values([row(optimized_core_ns=HUGE - missed), oracle], [1, 1])
    assert found["regret"] == pytest.approx(missed / HUGE, rel=1e-15)


@st.composite
def rows_with_oracles(draw: st.DrawFn) -> tuple[list[MetricRow], list[int], int]:
    wide = st.one_of(st.integers(-5, 5), st.integers(2**63 - 3, 2**65), st.integers(0, LARGEST))
    narrow = st.one_of(st.integers(-1, 5), st.integers(0, 2**63 - 1))
    kinds = {name: wide if name in WIDE else narrow for name in READ} | {"cores": st.integers(1, 2**20)}
    made = st.builds(dict, st.fixed_dictionaries(kinds))
    rows = draw(st.lists(made, min_size=1, max_size=12))
    oracle = st.integers(-1, len(rows) - 1)
    return rows, draw(st.lists(oracle, min_size=len(rows), max_size=len(rows))), draw(st.integers(1, 4))


@given(made=rows_with_oracles())
@example(made=([dict.fromkeys(READ, -1) | {"cores": 1}, dict.fromkeys(READ, 0) | {"cores": 1}], [1, 1], 2))
@example(made=([dict.fromkeys(READ, 2**63 - 1)], [0], 1))
def test_arrays_hold_what_integers_give_row_by_row(made: tuple[list[MetricRow], list[int], int]) -> None:
    rows, oracle, n_chunks = made
    for found, own, best in zip(values(rows, oracle, n_chunks), rows, oracle, strict=True):
        wanted = by_hand(own, rows[best] if best >= 0 else None)
        for key, value in wanted.items():
            assert (found[key] is None) is (value is None), key
            assert found[key] is None or found[key] == pytest.approx(value, rel=1e-15, abs=0), key


def test_blocks_join_without_a_seam() -> None:
    # Several blocks, a chunk that ends inside of one, and an oracle in another block than its rows.
    n = 200_003
    integers = [(7919 * i) % 1009 + 2**70 for i in range(n)]
    kind = metric_arrow_type("optimized_core_ns")
    read = {"optimized_core_ns": pa.chunked_array([pa.array(integers[:77], kind), pa.array(integers[77:], kind)])}
    rows = Columns(read.__getitem__, np.full(n, n - 1))
    assert rows["optimized_core_ns"].tolist() == [float(value) for value in integers]
    assert rows.behind_oracle("optimized_core_ns").tolist() == [float(integers[-1] - value) for value in integers]


@pytest.mark.parametrize("column", [[1, None], [1.5], ["1"]])
def test_other_columns_are_refused(column: list[object]) -> None:
    rows = Columns({"never": pa.chunked_array([column])}.__getitem__, np.zeros(len(column), np.int64))
    with pytest.raises(TypeError, match="int64 or decimal128 without nulls"):
        rows["never"]


def test_a_quantity_reads_the_columns_that_it_names() -> None:
    for quantity in (*QUANTITIES, *MORE_QUANTITIES):
        read: list[str] = []
        column = columns([row()])

        def recorded(name: str, read: list[str] = read, column: dict[str, pa.ChunkedArray] = column) -> pa.ChunkedArray:
            read.append(name)
            return column[name]

        quantity.values(Columns(recorded, np.zeros(1, np.int64)))
        assert set(read) == set(quantity.columns), quantity.key


def test_key_and_header_are_one_name() -> None:
    for quantity in QUANTITIES:
        words = re.sub(r"[^a-z0-9]+", "_", quantity.header.replace("/", " per ").lower())
        assert quantity.key == words + ("_ns" if quantity.unit == "ns" else "")
        assert quantity_named(quantity.header) is quantity_named(quantity.key.upper()) is quantity
        assert quantity.meaning
    assert quantity_named("latency") is None
