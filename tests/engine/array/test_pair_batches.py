"""A batch of any composition gives each pair what it gives alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joined_columns import joined_columns

from gmemgpu import catalogue
from gmemgpu.engine import array
from gmemgpu.engine.array import evaluate_pairs, outcome, settle, starts
from gmemgpu.engine.array.batch import Pairs
from gmemgpu.engine.array.columns import host_columns
from gmemgpu.engine.array.settle import settled_rows
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.array.xp.on_cupy import CupyNamespace
from gmemgpu.engine.registry import engine
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy, Timer
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import costs, policies, traces
from gmemgpu.workload.preset import preset, small_variant

SOME_TRACES = st.lists(traces(max_events=25), min_size=1, max_size=3)
SOME_POLICIES = st.lists(policies(), min_size=1, max_size=4)


def alone(pairs: Pairs, some: list[Trace]) -> list[MetricRow]:
    """Evaluate each pair without any other, and without any other trace."""
    tables = [Tables(host_columns(trace)) for trace in some]
    of = zip(pairs.trace_of.tolist(), pairs.policy_of.tolist(), strict=True)
    return [settled_rows(Pairs(tables[t], [pairs.policies[p]], pairs.costs))[0] for t, p in of]


@given(some=SOME_TRACES, chosen=SOME_POLICIES, cost=costs(), data=st.data())
def test_random_batches_equal_the_pairs_one_by_one(
    some: list[Trace], chosen: list[Policy], cost: Costs, data: st.DataObject
) -> None:
    pairs = Pairs(Tables(joined_columns(some)), chosen, cost)
    pairs = pairs.some(np.array(data.draw(st.permutations(range(len(pairs))))))
    expected = alone(pairs, some)
    # With fewer rounds in arrays the serial schedule takes over sooner, for all or for some pairs of a batch.
    for array_rounds in (0, 1, settle.ARRAY_ROUNDS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(settle, "ARRAY_ROUNDS", array_rounds)
            assert evaluate_pairs(pairs) == expected


@settings(max_examples=settings.default.max_examples // 5)  # tenths of a second each where emulated
@given(some=SOME_TRACES, chosen=SOME_POLICIES, cost=costs(), data=st.data())
def test_random_batches_on_a_device(some: list[Trace], chosen: list[Policy], cost: Costs, data: st.DataObject) -> None:
    cupy = pytest.importorskip("cupy", reason="no CUDA device, and no g++ to emulate one")
    from gmemgpu.engine.cupy.kernel import launch_here

    xp = CupyNamespace(cupy, launch_here)
    pairs = Pairs(Tables(joined_columns(some, xp)), chosen, cost)
    pairs = pairs.some(np.array(data.draw(st.permutations(range(len(pairs))))))
    assert evaluate_pairs(pairs, most_items=data.draw(st.integers(1, 1000))) == alone(pairs, some)


@given(some=SOME_TRACES, chosen=SOME_POLICIES, cost=costs(), items=st.integers(1, 200))
def test_rows_are_the_same_in_whichever_way_they_are_found(
    some: list[Trace], chosen: list[Policy], cost: Costs, items: int
) -> None:
    ways = [
        (array, "BATCH_ITEMS", items),  # batches may be cut anywhere
        (starts, "ROWS_A_SEARCH", 0),  # by passes
        (starts, "ROWS_A_SEARCH", 1 << 40),  # by looking at all
        (outcome, "EXACT", 0),  # costs past 63 bits are added in Python's integers
    ]
    expected = [row for rows in engine("reference").evaluate(some, chosen, cost) for row in rows]
    for module, name, value in ways:
        pairs = Pairs(Tables(joined_columns(some)), chosen, cost)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, value)
            assert evaluate_pairs(pairs) == expected, name


def test_presets_of_several_hosts_in_one_batch() -> None:
    some = [generate(small_variant(preset(name)), 3).trace for name in ("mixed-pods", "iaas-mixed", "maintenance")]
    chosen = [policy for policy in catalogue.named_policies() if not policy.is_oracle]
    window = [policy for policy in chosen if policy.scope == "window"]
    rows = settled_rows(Pairs(Tables(joined_columns(some)), window, Costs()))
    expected = engine("numpy").evaluate(some, window, Costs())
    assert rows == [row for of_trace in expected for row in of_trace]


def test_the_same_pair_twice() -> None:
    columns = host_columns(generate(small_variant(preset("coco-pods")), 3).trace)
    policy = dataclasses.replace(
        catalogue.named_policies()[1], name="again", hook="conversion", busy="drop", timer=Timer()
    )
    first, second = settled_rows(Pairs(Tables(columns), [policy, policy], Costs()))
    assert first == second
    assert first["requests"] > 0
