"""Estimates of one line at a time, a number at a time; Student's quantiles from scipy.stats."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache

import pytest

from gmemgpu.report.statistics import Estimate

# A GPU's machine may have no more than the engines need.
stats = pytest.importorskip("scipy.stats")

__all__ = ["ratio_by_hand", "median_by_hand", "reach_by_hand"]


def reach_by_hand(without: Sequence[float], kurtosis: int = 1) -> tuple[float, float]:
    """Return how far a jackknife's interval reaches down and up, for values of that excess kurtosis."""
    n = len(without)
    mean = math.fsum(without) / n
    away = [0.0 if abs(mean - one) <= 1e-12 * abs(one) else mean - one for one in without]
    second, third = (math.fsum(one**power for one in away) / n for power in (2, 3))
    skew = third / second**1.5 * math.sqrt(n * (n - 1)) / (n - 2) if n >= 4 and second else 0.0
    quantile = _quantile(max(1.0, 2 * n * (n - 1) / (2 * n + kurtosis * (n - 1))))
    error = math.sqrt((n - 1) * second)
    more = skew * (1 + 2 * quantile**2) / (6 * math.sqrt(n))
    return error * (quantile + max(0.0, -more)), error * (quantile + max(0.0, more))


def ratio_by_hand(pairs: Sequence[tuple[float, float]], *, share: bool, mean: bool = False) -> Estimate | None:
    """Return the ratio of sums of pairs; of a mean the second ones are 1."""
    pairs = [(a, b) for a, b in pairs if mean or a or b]
    n, above, below = len(pairs), math.fsum(a for a, _ in pairs), math.fsum(b for _, b in pairs)
    if not below:
        return None
    value, kind = above / below, "mean" if mean else "ratio"
    rest = [(_less(above, a), _less(below, b)) for a, b in pairs]
    none_or_all = not any(a for a, _ in pairs) or (share and all(a == b for a, b in pairs))
    if n < 2 or any(b == 0 for _, b in rest) or none_or_all:
        return Estimate(value, None, None, n, kind)

    def scaled(a: float, b: float) -> float:
        if share:
            return math.log(a) - math.log(b - a) if 0 < a < b else math.inf
        return math.log(a / b) if a > 0 else math.inf

    scaled_value, scaled_rest = scaled(above, below), [scaled(a, b) for a, b in rest]
    if math.isfinite(scaled_value) and all(abs(one - scaled_value) <= math.log(2) + 1e-9 for one in scaled_rest):
        down, up = reach_by_hand(scaled_rest)
        low, high = (
            1 / (1 + math.exp(-end)) if share else math.exp(end) for end in (scaled_value - down, scaled_value + up)
        )
    else:
        down, up = reach_by_hand([a / b for a, b in rest])
        most = 1.0 if share else math.inf
        low, high = (min(max(0.0, end), most) for end in (value - down, value + up))
    if down + up == 0 and share and value == 1:
        # To the last digit all of it, in each seed.
        return Estimate(value, None, None, n, kind)
    return Estimate(value, low, high, n, kind)


def _less(whole: float, part: float) -> float:
    return 0.0 if abs(whole - part) <= 1e-12 * abs(whole) else whole - part


def median_by_hand(values: Sequence[float]) -> Estimate | None:
    """Return the median, with the narrowest pair of values that holds it with 95 %, or the range."""
    n, ordered = len(values), sorted(values)
    if not n:
        return None
    left_out = _left_out(n)
    low, high = (ordered[left_out or 0], ordered[-1 - (left_out or 0)]) if n > 1 else (None, None)
    return Estimate(statistics.median(ordered), low, high, n, "range" if left_out is None else "median")


@cache
def _quantile(degrees: float) -> float:
    return float(stats.t.ppf(0.975, degrees))


@cache
def _left_out(n: int) -> int | None:
    held = [k for k in range(n) if 1 - 2 * float(stats.binom.cdf(k, n, 0.5)) >= 0.95]
    return max(held, default=None)
