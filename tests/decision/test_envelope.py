from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gmemgpu.decision.envelope import best_ranges, not_told_apart, told_around
from gmemgpu.report.paired import paired_difference

# Few distinct values, so that lines often agree, run parallel, or meet three in a point.
figures = st.integers(0, 6).map(float)
lines = st.lists(st.tuples(figures, figures), min_size=1, max_size=8)
GRID = [0.0, *np.geomspace(1e-3, 1e3, 400)]


@given(lines)
@example([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)])
@example([(2.0, 1.0), (2.0, 1.0)])
def test_no_line_is_above_the_best(given_lines: list[tuple[float, float]]) -> None:
    profit, cost = (list(column) for column in zip(*given_lines, strict=True))
    ranges = best_ranges(profit, cost)
    starts = [start for start, _ in ranges]
    assert starts[0] == 0.0
    assert starts == sorted(starts)
    assert len({i for _, i in ranges}) == len(ranges)
    for worth in GRID:
        best = [i for start, i in ranges if start <= worth][-1]
        nets = [worth * b - c for b, c in given_lines]
        assert nets[best] >= max(nets) - 1e-9 * max(1.0, worth)


@given(lines, st.floats(0.01, 100))
def test_worths_above_the_highest_do_not_count(given_lines: list[tuple[float, float]], most: float) -> None:
    profit, cost = (list(column) for column in zip(*given_lines, strict=True))
    every = best_ranges(profit, cost)
    assert best_ranges(profit, cost, most) == [every[0], *(one for one in every[1:] if one[0] < most)]


def test_of_equal_lines_the_first_stands_for_all() -> None:
    assert best_ranges([1, 3, 3, 0], [1, 2, 2, 1]) == [(0.0, 0), (0.5, 1)]


seeds = st.integers(2, 9).flatmap(
    lambda n: st.tuples(*(arrays(float, n, elements=st.integers(-9, 9).map(lambda value: value / 4)) for _ in range(2)))
)


@given(seeds, st.sampled_from([0.05, 0.01, 0.004]))
def test_not_told_apart_is_where_the_paired_t_test_does_not_tell(
    drawn: tuple[np.ndarray, np.ndarray], level: float
) -> None:
    profit, cost = drawn
    found = not_told_apart(profit, cost, level)
    assert all(0 <= low <= high for low, high in found)
    for worth in GRID[1::7]:
        net = worth * profit - cost
        if np.ptp(net) < 1e-9:
            continue  # the same in every seed: t does not exist
        difference = paired_difference(net, np.zeros_like(net))
        assert difference is not None
        assert difference.p is not None
        if abs(difference.p - level) > 1e-6:
            assert any(low <= worth <= high for low, high in found) == (difference.p > level), worth


def test_the_switch_point_lies_between_its_ends() -> None:
    rng = np.random.default_rng(1)
    profit, cost = rng.normal(10, 1, 8), rng.normal(2, 0.5, 8)
    ((low, high),) = not_told_apart(profit, cost, 0.05)
    assert low < cost.mean() / profit.mean() < high
    assert not_told_apart(1e12 * profit, 1e-9 * cost, 0.05) == [
        (pytest.approx(1e-21 * low), pytest.approx(1e-21 * high))
    ]


def test_one_seed_tells_nothing() -> None:
    assert not_told_apart(np.ones(1), np.ones(1), 0.05) == [(0.0, math.inf)]


def test_told_around_ends_where_the_next_intervals_do() -> None:
    assert told_around([], 3.0) == (0.0, math.inf)
    assert told_around([(1.0, 2.0)], 3.0) == (2.0, math.inf)
    assert told_around([(1.0, 2.0)], 1.5) is None
    assert told_around([(0.0, 1.0), (5.0, math.inf)], 3.0) == (1.0, 5.0)
    assert told_around([(4.0, 5.0)], 3.0) == (0.0, 4.0)
