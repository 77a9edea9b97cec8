from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.report.statistics import estimate, t_cdf, t_quantile

# Two-sided 5 % points of Student's t from printed tables.
TABLE = {
    1: 12.7062,
    2: 4.3027,
    3: 3.1824,
    4: 2.7764,
    5: 2.5706,
    9: 2.2622,
    10: 2.2281,
    29: 2.0452,
    60: 2.0003,
    120: 1.9799,
}


@pytest.mark.parametrize(("degrees", "expected"), TABLE.items())
def test_quantiles_are_those_of_the_tables(degrees: int, expected: float) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(expected, abs=5e-5)


def test_other_probabilities() -> None:
    assert t_quantile(0.95, 10) == pytest.approx(1.8125, abs=5e-5)
    assert t_quantile(0.995, 5) == pytest.approx(4.0321, abs=5e-5)
    # With many degrees of freedom it is the normal distribution.
    assert t_quantile(0.975, 1_000_000) == pytest.approx(1.959966, abs=1e-5)


@pytest.mark.parametrize("t", [-30.0, -2.0, -0.1, 0.0, 0.1, 1.0, 2.0, 50.0])
def test_closed_forms_of_one_and_two_degrees(t: float) -> None:
    assert t_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-13)
    assert t_cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), abs=1e-13)


@given(t=st.floats(-1e3, 1e3), degrees=st.integers(1, 10_000))
def test_the_distribution_is_symmetric(t: float, degrees: int) -> None:
    assert t_cdf(t, degrees) + t_cdf(-t, degrees) == pytest.approx(1.0, abs=1e-10)


@given(p=st.floats(0.51, 0.9999), degrees=st.integers(1, 10_000))
def test_quantile_undoes_the_distribution(p: float, degrees: int) -> None:
    assert t_cdf(t_quantile(p, degrees), degrees) == pytest.approx(p, abs=1e-10)


def test_an_interval_by_hand() -> None:
    # Mean 5, s² = (9 + 1 + 1 + 9) / 3 = 20/3, s/√4 = 1.29099; times t(3) = 3.18245.
    found = estimate([2.0, 4.0, 6.0, 8.0])
    assert found is not None
    assert (found.mean, found.n) == (5.0, 4)
    assert found.half_width == pytest.approx(4.10852, abs=1e-5)
    assert found.low == pytest.approx(0.89148, abs=1e-5)
    assert found.high == pytest.approx(9.10852, abs=1e-5)


def test_one_seed_has_no_interval_and_none_has_nothing() -> None:
    found = estimate([3.5])
    assert found is not None
    assert (found.mean, found.half_width, found.low, found.high) == (3.5, None, None, None)
    assert estimate([]) is None


def test_equal_values_have_a_width_of_zero() -> None:
    found = estimate([0.25] * 7)
    assert found is not None
    assert found.half_width == 0.0


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    import numpy as np

    draws = np.random.Generator(np.random.Philox(7)).normal(10.0, 3.0, size=(4000, 5))
    held = 0
    for values in draws.tolist():
        found = estimate(values)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 10.0 <= found.high
    # 95 % of 4000 with a standard deviation of 0.34 points.
    assert 0.935 <= held / 4000 <= 0.965
