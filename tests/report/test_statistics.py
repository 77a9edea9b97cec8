from __future__ import annotations

import math

import numpy as np
import pytest
from estimates_by_hand import median_by_hand, ratio_by_hand
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.report.statistics import Estimate, median_estimates, ratio_estimates


def ratio(pairs: list[tuple[float, float]], *, share: bool = False) -> Estimate | None:
    above, below = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    (found,) = ratio_estimates(above, below, np.zeros(len(pairs), np.int32), 1, share=share)
    return found


def mean(values: list[float]) -> Estimate | None:
    (found,) = ratio_estimates(np.array(values, np.float64), None, np.zeros(len(values), np.int32), 1, share=False)
    return found


def median(values: list[float]) -> Estimate | None:
    (found,) = median_estimates(np.array(values, np.float64), np.zeros(len(values), np.int32), 1)
    return found


def test_an_interval_of_two_by_hand() -> None:
    # Mean 2.5, without one seed 3 or 2: their logarithms are 0.405 apart, an error of 0.203, times t(1) = 12.7062.
    found = mean([2.0, 3.0])
    assert found is not None
    error = 12.7062 * math.log(1.5) / 2
    assert (found.value, found.n, found.kind) == (2.5, 2, "mean")
    assert found.low == pytest.approx(2.5 * math.exp(-error), rel=1e-4)
    assert found.high == pytest.approx(2.5 * math.exp(error), rel=1e-4)


def test_a_ratio_is_one_of_sums() -> None:
    found = ratio([(1.0, 1.0), (1.0, 9.0)], share=True)
    assert found is not None
    assert (found.value, found.n, found.kind) == (0.2, 2, "ratio")


def test_a_mean_that_one_seed_makes_has_ends_that_are_cut() -> None:
    # Without the 8 nothing is left: no logarithm. Error 2 around 2 for n = 4, by t(24/11) = 3.9767 and skew.
    found = mean([0.0, 0.0, 0.0, 8.0])
    assert found is not None
    assert (found.value, found.low) == (2.0, 0.0)
    assert found.high == pytest.approx(2 + 2 * (3.9767 + 2.0 * (1 + 2 * 3.9767**2) / 12), rel=1e-3)


def test_lines_are_apart_and_missing_values_do_not_count() -> None:
    values = np.array([1.0, np.nan, 10.0, 3.0, np.nan, 20.0])
    line = np.array([0, 0, 2, 0, 3, 2], np.int32)
    assert ratio_estimates(values, None, line, 5, share=False) == [
        mean([1.0, 3.0]),
        None,
        mean([10.0, 20.0]),
        None,
        None,
    ]
    assert median_estimates(values, line, 5) == [median([1.0, 3.0]), None, median([10.0, 20.0]), None, None]


def test_one_seed_has_no_interval_and_none_has_nothing() -> None:
    assert mean([3.5]) == Estimate(3.5, None, None, 1, "mean")
    assert ratio([(1.0, 4.0)]) == Estimate(0.25, None, None, 1, "ratio")
    assert median([3.5]) == Estimate(3.5, None, None, 1, "range")
    assert mean([]) is median([]) is None
    assert ratio([(3.0, 0.0)]) is None


def test_a_seed_that_adds_nothing_to_a_ratio_does_not_count() -> None:
    found = ratio([(1.0, 4.0), (2.0, 4.0), (0.0, 0.0)])
    assert found is not None
    assert found == ratio([(1.0, 4.0), (2.0, 4.0)])
    # Without the second one there is nothing to divide by.
    assert ratio([(1.0, 0.0), (2.0, 4.0)]) == Estimate(0.75, None, None, 2, "ratio")


def test_equal_values_have_an_interval_without_width() -> None:
    assert mean([0.25] * 7) == Estimate(0.25, 0.25, 0.25, 7, "mean")
    assert mean([1.0] * 7) == Estimate(1.0, 1.0, 1.0, 7, "mean")
    assert ratio([(0.75, 3.0)] * 7, share=True) == Estimate(0.25, 0.25, 0.25, 7, "ratio")


def test_seeds_that_have_none_or_all_of_something_bound_nothing() -> None:
    assert mean([0.0] * 7) == Estimate(0.0, None, None, 7, "mean")
    for share in (0.0, 1.0):
        assert ratio([(share * 3, 3.0)] * 7, share=True) == Estimate(share, None, None, 7, "ratio")


def test_medians_have_the_range_of_up_to_eight_and_less_of_more() -> None:
    assert median([5.0, 1.0, 2.0]) == Estimate(2.0, 1.0, 5.0, 3, "range")
    assert median([float(i) for i in range(8)]) == Estimate(3.5, 0.0, 7.0, 8, "median")
    assert median([float(i) for i in range(9)]) == Estimate(4.0, 1.0, 7.0, 9, "median")


NUMBERS = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))


@given(pairs=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12), share=st.booleans())
def test_ratios_are_those_by_hand(pairs: list[tuple[float, float]], share: bool) -> None:
    if share:
        pairs = [(min(pair), max(pair)) for pair in pairs]
    assert_alike(ratio(pairs, share=share), ratio_by_hand(pairs, share=share))
    assert_alike(mean([a for a, _ in pairs]), ratio_by_hand([(a, 1.0) for a, _ in pairs], share=False, mean=True))


@given(values=st.lists(st.one_of(st.integers(0, 3).map(float), st.floats(0, 1e6)), max_size=40))
def test_medians_are_those_by_hand(values: list[float]) -> None:
    assert median(values) == median_by_hand(values)


def assert_alike(found: Estimate | None, wanted: Estimate | None) -> None:
    if found is None or wanted is None:
        assert found is wanted
        return
    assert (found.n, found.kind) == (wanted.n, wanted.kind)
    for one, other in zip(found[:3], wanted[:3], strict=True):
        assert one == (other if other is None else pytest.approx(other, rel=1e-6, abs=1e-9))


@given(pairs=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=12))
def test_no_end_leaves_the_domain(pairs: list[tuple[float, float]]) -> None:
    found = ratio([(min(pair), max(pair)) for pair in pairs], share=True)
    if found is not None and found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("n", [2, 3, 5, 8, 30])
def test_intervals_hold_the_truth_as_often_as_they_say(n: int) -> None:
    draws = 4000
    random = np.random.Generator(np.random.Philox(7))
    line = np.repeat(np.arange(draws, dtype=np.int32), n)
    for values, truth in (
        (random.normal(10.0, 1.0, draws * n), 10.0),
        (random.exponential(1.0, draws * n), 1.0),
    ):
        found = ratio_estimates(values, None, line, draws, share=False)
        held = [one.low <= truth <= one.high for one in found if one and one.low is not None and one.high is not None]
        assert len(held) == draws
        assert sum(held) / draws >= 0.93, n
    middle = [one for one in median_estimates(random.exponential(1.0, draws * n), line, draws) if one]
    held = [one.low <= math.log(2) <= one.high for one in middle if one.low is not None and one.high is not None]
    assert sum(held) / draws >= (0.95 if n >= 6 else 1 - 2 * 0.5**n - 0.03)
