from __future__ import annotations

import pytest

from gmemgpu.metrics.derived import DERIVED_NAMES, derived
from gmemgpu.model.metric import METRIC_NAMES, MetricRow

HUGE = 10**30


def row(**values: int) -> MetricRow:
    return {**dict.fromkeys(METRIC_NAMES, 0), **values}


def test_each_ratio() -> None:
    found = derived(
        row(
            optimizable_ns=1000,
            optimized_core_ns=3000,
            in_use_ns=500,
            in_use_optimized_core_ns=700,
            leader_busy_ns=30,
            follower_busy_ns=10,
            ipis=60,
            attempts_new=8,
        ),
        row(optimized_core_ns=4000, in_use_optimized_core_ns=1400),
        cores=4,
        counted_ns=100,
    )
    assert found == {"coverage": 0.75, "benefit": 0.5, "cpu_share": 0.1, "ipis_per_new": 7.5, "regret": 0.25}


def test_names_are_those_given() -> None:
    assert tuple(derived(row(), None, cores=1, counted_ns=1)) == DERIVED_NAMES


def test_what_has_no_meaning_is_none() -> None:
    nothing = derived(row(), row(), cores=1, counted_ns=1)
    assert nothing == {"coverage": None, "benefit": None, "cpu_share": 0.0, "ipis_per_new": None, "regret": None}


def test_without_an_oracle_there_is_no_bound() -> None:
    found = derived(row(optimizable_ns=1, optimized_core_ns=1, in_use_optimized_core_ns=1), None, cores=1, counted_ns=1)
    assert (found["coverage"], found["benefit"], found["regret"]) == (1.0, None, None)


@pytest.mark.parametrize("missed", [0, 1, 10**18])
def test_regret_is_exact_where_floats_would_cancel(missed: int) -> None:
    oracle = row(optimized_core_ns=HUGE)
    found = derived(row(optimized_core_ns=HUGE - missed), oracle, cores=1, counted_ns=1)
    assert found["regret"] == missed / HUGE
