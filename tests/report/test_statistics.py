from __future__ import annotations

import math

import numpy as np
import pytest

from gmemgpu.report.statistics import Estimate, group_estimates, group_means, t_quantiles

# Two-sided 5 % points of Student's t: printed tables to four places, worked out by bisection to ten.
TABLE = {
    1: 12.7062047362,
    2: 4.3026527297,
    3: 3.1824463053,
    4: 2.7764451052,
    5: 2.5705818356,
    7: 2.3646242516,
    9: 2.2621571628,
    10: 2.2281388520,
    29: 2.0452296421,
    60: 2.0002978220,
    99: 1.9842169516,
    120: 1.9799304051,
    1000: 1.9623390808,
    1_000_000: 1.9599663566,
}


def estimate(values: list[float]) -> Estimate | None:
    (found,) = group_estimates(np.array(values), np.zeros(len(values), np.int32), 1)
    return found


def test_quantiles_are_those_of_the_tables() -> None:
    found = t_quantiles(np.array(list(TABLE)))
    assert found.tolist() == pytest.approx(list(TABLE.values()), rel=1e-9)


def test_groups_are_apart_and_missing_values_do_not_count() -> None:
    values = np.array([1.0, np.nan, 10.0, 3.0, np.nan, 20.0])
    group = np.array([0, 0, 2, 0, 3, 2], np.int32)
    means = group_means(values, group, 5).tolist()
    assert (means[0], means[2]) == (2.0, 15.0)
    assert all(math.isnan(means[i]) for i in (1, 3, 4))
    first, *others = group_estimates(values, group, 5)
    assert first is not None
    # 1 and 3: s/√2 = 1.
    assert first == (2.0, pytest.approx(TABLE[1]), 2)
    assert others == [None, (15.0, pytest.approx(5 * TABLE[1]), 2), None, None]


def test_an_interval_by_hand() -> None:
    # Mean 5, s² = (9 + 1 + 1 + 9) / 3 = 20/3, s/√4 = 1.29099; times t(3) = 3.18245.
    found = estimate([2.0, 4.0, 6.0, 8.0])
    assert found is not None
    assert (found.mean, found.n) == (5.0, 4)
    assert found.half_width == pytest.approx(4.10852, abs=1e-5)


def test_one_seed_has_no_interval_and_none_has_nothing() -> None:
    found = estimate([3.5])
    assert found is not None
    assert found == (3.5, None, 1)
    assert estimate([]) is None


def test_equal_values_have_a_width_of_zero() -> None:
    found = estimate([0.25] * 7)
    assert found is not None
    assert found.half_width == 0.0


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draws = np.random.Generator(np.random.Philox(7)).normal(10.0, 3.0, size=(4000, 5))
    estimates = group_estimates(draws.ravel(), np.repeat(np.arange(4000, dtype=np.int32), 5), 4000)
    held = sum(
        abs(found.mean - 10.0) <= found.half_width
        for found in estimates
        if found is not None and found.half_width is not None
    )
    # 95 % of 4000 with a standard deviation of 0.34 points.
    assert 0.935 <= held / 4000 <= 0.965
