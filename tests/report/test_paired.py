from __future__ import annotations

import math

import numpy as np
import pytest
from estimates_by_hand import reach_by_hand
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.report.paired import (
    Difference,
    holm,
    median_difference,
    paired_difference,
    ratio_difference,
    seeds_needed,
)

NAN = math.nan


def paired(policy: list[float], baseline: list[float]) -> Difference:
    found = paired_difference(np.array(policy), np.array(baseline))
    assert found is not None
    return found


def ratio(policy: list[tuple[float, float]], baseline: list[tuple[float, float]]) -> Difference:
    def pair(of: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
        above, below = np.array(of).T
        return above, below

    found = ratio_difference(pair(policy), pair(baseline))
    assert found is not None
    return found


def test_a_difference_of_means_by_hand() -> None:
    # Differences 1, 2, 3, 6: mean 3, s² = (4 + 1 + 0 + 9) / 3 = 14/3, error = √(14/12) = 1.0801.
    found = paired([11.0, 22.0, 33.0, 46.0], [10.0, 20.0, 30.0, 40.0])
    assert (found.value, found.baseline, found.difference, found.n) == (28.0, 25.0, 3.0, 4)
    assert found.error == pytest.approx(math.sqrt(14 / 12))
    # Excess kurtosis 2 leaves 3 / (1 + 3/4) = 12/7 degrees of freedom, t = 5.0685, and skew makes it longer above.
    down, up = reach_by_hand([11 / 3, 10 / 3, 3.0, 2.0], kurtosis=2)
    assert down == pytest.approx(5.0685 * math.sqrt(14 / 12), rel=1e-4)
    assert up > down
    assert (found.low, found.high) == (pytest.approx(3 - down), pytest.approx(3 + up))
    assert found.half_width == pytest.approx((down + up) / 2)
    # t = 2.7775 with 3 degrees of freedom: P = 1/2 + (θ + sin θ cos θ)/π with θ = atan(t/√3).
    angle = math.atan(3 / math.sqrt(14 / 12) / math.sqrt(3))
    assert found.p == pytest.approx(1 - 2 / math.pi * (angle + math.sin(angle) * math.cos(angle)))
    assert (found.above, found.ties, found.below) == (4, 0, 0)


def test_what_the_seeds_owe_to_their_traces_does_not_widen_the_interval() -> None:
    found = paired([1.25, 100.5, 1000.25, 10.5], [1.0, 100.0, 1000.0, 10.0])
    assert found.half_width is not None
    assert found.half_width < 0.5
    assert not found.same


def test_seeds_count_if_both_have_a_value() -> None:
    found = paired([1.0, NAN, 5.0, 3.0], [1.0, 2.0, NAN, 4.0])
    assert (found.n, found.above, found.ties, found.below) == (2, 0, 1, 1)
    assert found.difference == -0.5
    assert paired_difference(np.array([NAN, 1.0]), np.array([1.0, NAN])) is None


def test_one_seed_has_a_difference_and_nothing_more() -> None:
    found = paired([3.0], [1.0])
    assert (found.difference, found.error, found.half_width, found.p) == (2.0, None, None, None)
    assert seeds_needed(found) is None


def test_seeds_that_all_agree_are_certain_only_if_there_are_some() -> None:
    assert [paired([1.1] * n, [0.1] * n).p for n in (2, 3, 4, 5)] == [0.5, 0.25, 0.125, 0.0]
    assert paired([1.1] * 5, [0.1] * 5).half_width == 0.0
    assert seeds_needed(paired([1.1] * 2, [0.1] * 2)) == 5


def test_policies_that_do_the_same_are_the_same() -> None:
    found = paired([0.1, 0.7, 0.3], [0.1, 0.7, 0.3])
    assert found.same
    assert (found.difference, found.half_width, found.p, found.ties) == (0.0, 0.0, 1.0, 3)
    assert seeds_needed(found) is None


def test_a_difference_of_ratios_by_hand() -> None:
    # Policy (3 + 1 + 2) / (4 + 4 + 2) = 0.6, baseline (1 + 1 + 1) / 10 = 0.3. Without each seed in turn:
    # (3 - 2) / 6, (5 - 2) / 6, (4 - 2) / 8, that is 1/6, 1/2, 1/4 with mean 11/36.
    found = ratio([(3, 4), (1, 4), (2, 2)], [(1, 4), (1, 4), (1, 2)])
    assert (found.value, found.baseline, found.n) == (0.6, 0.3, 3)
    assert found.difference == pytest.approx(0.3)
    squares = sum((one - 11 / 36) ** 2 for one in (1 / 6, 1 / 2, 1 / 4))
    assert found.error == pytest.approx(math.sqrt(2 / 3 * squares))
    assert found.half_width == pytest.approx(reach_by_hand([1 / 6, 1 / 2, 1 / 4], kurtosis=2)[0])
    assert (found.above, found.ties, found.below) == (2, 1, 0)


def test_a_ratio_that_rests_on_one_seed_has_no_interval() -> None:
    found = ratio([(0, 0), (3, 4), (0, 0)], [(0, 0), (1, 4), (0, 0)])
    assert (found.difference, found.error, found.p) == (0.5, None, None)
    assert (found.above, found.ties) == (1, 2)
    nothing = np.zeros(3)
    assert ratio_difference((nothing, nothing), (nothing, nothing)) is None


@given(st.lists(st.tuples(*[st.floats(0, 1e6)] * 2), min_size=2, max_size=12), st.floats(1.0, 1e6))
def test_with_one_denominator_the_jackknife_is_the_t_interval(pairs: list[tuple[float, float]], below: float) -> None:
    means = paired([a / below for a, _ in pairs], [b / below for _, b in pairs])
    ratios = ratio([(a, below) for a, _ in pairs], [(b, below) for _, b in pairs])
    largest = max(1.0, *(max(pair) for pair in pairs)) / below
    assert ratios.difference == pytest.approx(means.difference, abs=1e-9 * largest)
    assert ratios.half_width == pytest.approx(means.half_width, rel=1e-6, abs=1e-6 * largest)


@given(st.lists(st.tuples(*[st.integers(-(10**6), 10**6)] * 2), min_size=2, max_size=12))
def test_the_other_way_round_everything_turns(pairs: list[tuple[int, int]]) -> None:
    one = paired([float(a) for a, _ in pairs], [float(b) for _, b in pairs])
    other = paired([float(b) for _, b in pairs], [float(a) for a, _ in pairs])
    assert other.difference == -one.difference
    assert (other.above, other.ties, other.below) == (one.below, one.ties, one.above)
    assert other.half_width == pytest.approx(one.half_width)
    assert other.p == pytest.approx(one.p)
    assert one.above + one.ties + one.below == one.n


def test_a_difference_of_medians_by_hand() -> None:
    # Differences −9, −4, −3, −2, −1, −1, 0, 40: the mean, 2.5, is not on the side of the median.
    policy = np.array([1.0, 6.0, 7.0, 8.0, 9.0, 9.0, 10.0, 50.0])
    found = median_difference(policy, np.full(8, 10.0))
    assert found is not None
    assert (found.value, found.baseline, found.difference) == (8.5, 10.0, -1.5)
    assert (found.low, found.high, found.half_width) == (-9.0, 40.0, 24.5)
    assert (found.above, found.ties, found.below) == (1, 1, 6)
    # One of seven signs, or none, by chance: 16 of 128 on both sides, doubled.
    assert found.p == pytest.approx(2 * 16 / 128)
    assert not found.has_sign
    # With 0 in place of 40 the p value is twice the means', and all of the interval is below, or zero.
    policy[-1] = 10.0
    found, of_means = median_difference(policy, np.full(8, 10.0)), paired_difference(policy, np.full(8, 10.0))
    assert found is not None
    assert of_means is not None
    assert of_means.p is not None
    assert (found.low, found.high, found.p) == (-9.0, 0.0, pytest.approx(2 * min(of_means.p, 2 / 64)))
    assert found.has_sign


def test_a_median_of_five_differences_has_no_interval() -> None:
    found = median_difference(np.arange(5.0), np.full(5, 7.0))
    assert found is not None
    assert (found.difference, found.low, found.high, found.half_width, found.has_sign) == (-5.0, None, None, None, True)
    assert median_difference(np.array([NAN]), np.array([1.0])) is None


def test_holm_by_hand() -> None:
    # Ascending 0.01, 0.02, 0.04, 0.5 times 4, 3, 2, 1, never falling.
    found = holm([0.02, None, 0.5, 0.01, 0.04])
    assert [None if one is None else one[0] for one in found] == [0.06, None, 0.5, 0.04, 0.08]
    assert [None if one is None else one[1] for one in found] == [0.05 / 3, None, 0.05, 0.05 / 4, 0.025]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_value_and_keeps_the_order(ps: list[float]) -> None:
    adjusted = [one[0] for one in holm(ps) if one is not None]
    assert all(p <= after <= min(1.0, len(ps) * p) for p, after in zip(ps, adjusted, strict=True))
    assert [after for _, after in sorted(zip(ps, adjusted, strict=True))] == sorted(adjusted)


def test_as_many_seeds_as_it_says_tell_as_often_as_it_says() -> None:
    # Differences of mean 1 and spread 2: the textbook has (1.96 + 0.84)² · 4 = 31.4, and 33 by Student's t.
    draws = np.array([1.0 - 2.0, 1.0 + 2.0]).repeat(8)
    found = paired(draws.tolist(), [0.0] * 16)
    n = seeds_needed(found)
    assert n is not None
    spread = float(draws.std(ddof=1))
    random = np.random.Generator(np.random.Philox(11))
    told = 0
    for _ in range(1000):
        one = paired(random.normal(1.0, spread, n).tolist(), [0.0] * n)
        assert one.p is not None
        told += one.p <= 0.05
    # A standard deviation of 1.3 points.
    assert 0.76 <= told / 1000 <= 0.85
    assert 33 <= n <= 37


@pytest.mark.parametrize("shape", ["normal", "skewed", "counts"])
def test_alike_policies_are_called_different_no_more_often_than_stated(shape: str) -> None:
    random = np.random.Generator(np.random.Philox(3))
    n_tables, n_seeds, n_comparisons = 300, 8, 6
    wrong = 0
    for _ in range(n_tables):
        trace = random.lognormal(3.0, 1.0, n_seeds)
        noise = {
            "normal": lambda: random.normal(0.0, 3.0, n_seeds),
            "skewed": lambda: random.lognormal(0.0, 1.0, n_seeds),
            "counts": lambda: random.poisson(2.0, n_seeds).astype(float),
        }[shape]
        baseline = trace + noise()
        found = [paired_difference(trace + noise(), baseline) for _ in range(n_comparisons)]
        tests = holm([None if one is None else one.p for one in found])
        wrong += any(test is not None and test[0] <= 0.05 for test in tests)
    # 5 % of 300, with a standard deviation of 1.3 points.
    assert wrong / n_tables <= 0.08


def test_alike_ratios_are_called_different_no_more_often_than_stated() -> None:
    random = np.random.Generator(np.random.Philox(5))
    wrong = 0
    for _ in range(400):
        below = random.lognormal(3.0, 0.7, 8)
        policy, baseline = (below * random.beta(8.0, 2.0, 8) for _ in range(2))
        found = ratio_difference((policy, below), (baseline, below))
        assert found is not None
        assert found.p is not None
        wrong += found.p <= 0.05
    # A standard deviation of 1.1 points; the jackknife of 8 skewed seeds may be a little off.
    assert wrong / 400 <= 0.075
