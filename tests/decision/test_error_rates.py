"""How often the answer is wrong where the truth is known, by simulation; draws are fixed, so luck has no part in it."""

from __future__ import annotations

import numpy as np
import pytest

from gmemgpu.decision.answer import answer_at
from gmemgpu.decision.ranges import ranges_at_price
from gmemgpu.decision.weighing import COSTS, Weighed

N_GROUPS = 1000


def group(rng: np.random.Generator, gains: list[float], prices: list[float], n_seeds: int = 8) -> Weighed:
    """
    Draw a group in which each policy profits more than the baseline, and costs more, by so much on average.

    Seeds differ by far more than policies do, and profits lean to one side, as those of real loads do.
    """
    seeds = rng.gamma(4.0, 25.0, n_seeds)
    shape = (len(gains) + 1, n_seeds)
    noise = rng.gamma(4.0, 0.5, shape) - 2.0
    profit = seeds + noise + np.array([0.0, *gains])[:, None]
    cost = 5.0 + rng.normal(0.0, 0.2, shape) + np.array([0.0, *prices])[:, None]
    return Weighed(
        keys={"label": "x"},
        n_scenarios=1,
        policies=("merged", *(f"p{i}" for i in range(len(gains)))),
        kind=COSTS["core_s"],
        profit=profit,
        cost=cost,
        updates=np.zeros(shape),
        bound=None,
        in_use=1000.0,
        host_core_h=96.0,
        cpu_s_per_gib_h=900.0,
        hours=24.0,
    )


@pytest.mark.parametrize("n_policies", [1, 12])
def test_policies_that_are_alike_are_seldom_told_to_beat_the_baseline(n_policies: int) -> None:
    rng = np.random.default_rng(n_policies)
    alike = [0.0] * n_policies
    found = [answer_at(group(rng, alike, alike), 1.0).finding for _ in range(N_GROUPS)]
    # A test at 5 % over all of them, of which the side counts on which the policy is better.
    assert found.count("beats") / N_GROUPS <= 0.05


def test_a_policy_that_is_better_is_found() -> None:
    rng = np.random.default_rng(2)
    # 3 GiB·h more where one seed's difference scatters by some 1.4: four standard errors at eight seeds.
    found = [answer_at(group(rng, [3.0, 0.0], [0.0, 0.0]), 1.0) for _ in range(300)]
    told = [one for one in found if one.finding == "beats"]
    assert len(told) / len(found) >= 0.9
    assert all(one.policy == "p0" for one in told)


def test_the_true_switch_point_lies_between_its_ends_as_often_as_is_said() -> None:
    rng = np.random.default_rng(3)
    inside = n_switches = 0
    for _ in range(N_GROUPS):
        # Worth it from 0.5 core-s for a GiB·h on.
        ranges = ranges_at_price(group(rng, [4.0], [2.0]), 0.0)
        if len(ranges) == 2 and ranges[1].low_ends is not None:
            n_switches += 1
            low, high = ranges[1].low_ends
            inside += low <= 0.5 <= high
    assert n_switches > 0.99 * N_GROUPS
    assert inside / n_switches >= 0.93
