"""Costs from measured passes: exact where passes are exact, and honest about what they leave open."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from gmemgpu.calibration.fit import Calibration, FittedCost, fit_costs
from gmemgpu.calibration.measurement import MeasuredPass, published_passes
from gmemgpu.model.cost import Costs


def measured(**keys: Any) -> MeasuredPass:
    return MeasuredPass.model_validate({"name": "p", **keys})


def of(found: Calibration) -> dict[str, FittedCost]:
    return {cost.name: cost for cost in found.costs}


def known(found: Calibration, knowledge: str) -> set[str]:
    return {cost.name for cost in found.costs if cost.known == knowledge}


def passes_of(costs: Costs) -> list[MeasuredPass]:
    """Passes that tell every cost, their times by hand: 5 cores of 2 threads, 3 regions of a class each."""
    scan = {"clean": costs.base + 512 * costs.block, "cached": costs.cached, "failed": costs.base + 8 * costs.block}
    followers = {"clean": costs.round_clean, "cached": costs.round_cached, "failed": costs.round_fail}
    busy = {"clean": costs.busy_clean, "cached": costs.busy_cached, "failed": costs.busy_fail}
    cores = {"clean": costs.cores_clean, "cached": costs.cores_cached, "failed": costs.cores_fail}
    threads = {"clean": costs.threads_clean, "cached": costs.threads_cached, "failed": costs.threads_fail}
    found = []
    for kind, leader_ns in scan.items():
        of_class = {kind: 3, "cores": 5, "threads_per_core": 2, "first_block": 7}
        found += [
            measured(
                executor="leader_followers",
                wall=3 * (leader_ns + followers[kind]),
                leader_busy=3 * leader_ns,
                follower_busy=3 * 4 * busy[kind],
                **of_class,
            ),
            measured(executor="all_cores", wall=3 * cores[kind], follower_busy=3 * 4 * busy[kind], **of_class),
            measured(executor="all_threads", wall=3 * threads[kind], follower_busy=3 * 9 * busy[kind], **of_class),
            measured(executor="serial", wall=3 * 5 * (costs.call + leader_ns), **of_class),
        ]
    return found


def test_exact_passes_give_the_costs_that_they_were_made_with() -> None:
    made = Costs(**{name: 3 * ns + 7 * i for i, (name, ns) in enumerate(asdict(Costs()).items())})
    found = fit_costs(passes_of(made))
    assert {cost.name: cost.fitted_ns for cost in found.costs} == asdict(made)
    assert all(cost.low_ns == cost.high_ns == cost.fitted_ns for cost in found.costs)
    assert known(found, "alone") == set(asdict(made))
    assert (found.together, found.freedom) == ((), 24 - 16)
    assert all(time.fitted_ns == time.measured_ns for time in found.times)


def test_intervals_hold_the_true_cost_as_often_as_they_say() -> None:
    random = np.random.default_rng(7)
    held = []
    for _ in range(200):
        wall = [round(2048 * ns) for ns in 121_000 * random.normal(1, 0.05, 4)]
        leader = [round(ns) for ns in 30_000 * random.normal(1, 0.05, 4)]
        found = of(
            fit_costs(
                [
                    measured(executor="all_cores", clean=2048, wall=wall),
                    measured(executor="leader_first", cached=1, leader_busy=leader),
                ]
            )
        )
        for name, true_ns in (("cores_clean", 121_000), ("cached", 30_000)):
            cost = found[name]
            assert cost.low_ns is not None
            assert cost.high_ns is not None
            held.append(cost.low_ns <= true_ns <= cost.high_ns)
    assert 0.92 <= np.mean(held) <= 0.98


def test_what_passes_tell_only_in_a_sum_is_named_and_stays_near_the_default() -> None:
    found = fit_costs([measured(executor="leader_followers", clean=1000, wall="180 ms")])
    assert found.together == (("base", "block", "round_clean"),)
    assert found.freedom == 0
    assert all(cost.low_ns is None for cost in found.costs)
    costs = of(found)
    assert (
        abs(costs["base"].fitted_ns + 512 * costs["block"].fitted_ns + costs["round_clean"].fitted_ns - 180_000) < 300
    )
    # The default is 151,750: what makes up most of it changes most, and 30 ns of it not at all.
    assert costs["base"].fitted_ns == 30
    assert 121_000 < costs["round_clean"].fitted_ns < 149_250
    assert costs["block"].fitted_ns > 60
    rest = set(costs) - {"base", "block", "round_clean"}
    assert known(found, "not measured") == rest
    assert all(costs[name].fitted_ns == costs[name].default_ns for name in rest)


def test_no_cost_is_below_zero() -> None:
    # The leader alone is said to take longer than the whole pass.
    found = fit_costs(
        [
            measured(executor="leader_followers", cached=1, leader_busy="30 us"),
            measured(executor="leader_followers", cached=1, wall="20 us"),
        ]
    )
    assert known(found, "at bound") == {"round_cached"}
    costs = of(found)
    assert costs["round_cached"].fitted_ns == 0
    # Relative errors: the minimum of (x / 30 - 1)² + (x / 20 - 1)², in µs.
    assert costs["cached"].fitted_ns == round(1000 * (1 / 30 + 1 / 20) / (1 / 900 + 1 / 400))


def test_long_passes_count_no_more_than_short_ones() -> None:
    runs = [
        measured(executor="leader_followers", cached=1, leader_busy=2_000),
        measured(executor="leader_followers", cached=10**6, leader_busy=4_000 * 10**6),
    ]
    assert of(fit_costs(runs))["cached"].fitted_ns == 2_400


def test_published_passes_give_the_package_its_costs() -> None:
    found = fit_costs(published_passes())
    assert known(found, "alone") == {"cached", "call", "round_clean", "round_cached"}
    assert found.together == (
        ("base", "block", "round_fail"),
        ("threads_clean", "threads_cached", "threads_fail"),
    )
    for cost in found.costs:
        assert abs(cost.fitted_ns / cost.default_ns - 1) <= 0.05, cost
        if cost.known == "alone":
            assert cost.low_ns is not None
            assert cost.high_ns is not None
            assert cost.low_ns < cost.default_ns < cost.high_ns
    assert all(abs(time.fitted_ns / time.measured_ns - 1) <= 0.01 for time in found.times)
