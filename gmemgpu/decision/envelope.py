"""Policies as lines over the worth of a set bit: which is highest where, and where two are not told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gmemgpu.metrics.columns import Floats

__all__ = ["Interval", "best_ranges", "not_told_apart", "told_around"]

Interval = tuple[float, float]
"""Both ends belong to it; the upper one may be infinite."""


def best_ranges(profit: Sequence[float], cost: Sequence[float], most: float = math.inf) -> list[tuple[float, int]]:
    """
    Find which of the lines ``worth * profit - cost`` is highest, for every worth.

    Parameters
    ----------
    profit, cost : sequence of float
        Slope of each line, and how far below 0 it begins; at least one.
    most : float
        The highest worth that counts.

    Returns
    -------
    list of (float, int)
        Worth from which on a line is highest, and which; the first begins at 0. Of lines that are the same the first
        stands for all.

    Notes
    -----
    The upper envelope of the lines, walked from left to right: the next best is, of those that rise faster, the one
    that is met first. What lies on or below the upper hull of the points (cost, profit) is best nowhere, or at single
    worths only.
    """
    lines = range(len(profit))
    # Of those that cost the same the one that rises faster wins as soon as a bit is worth anything.
    best = min(lines, key=lambda i: (cost[i], -profit[i], i))
    ranges = [(0.0, best)]
    while True:
        meets = [
            ((cost[i] - cost[best]) / (profit[i] - profit[best]), -profit[i], i)
            for i in lines
            if profit[i] > profit[best]
        ]
        if not meets:
            return ranges
        worth, _, best = min(meets)
        if worth >= most:
            return ranges
        # Three lines may meet in one point, which rounding pulls apart.
        ranges.append((max(worth, ranges[-1][0]), best))


def not_told_apart(profit: Floats, cost: Floats, level: float) -> list[Interval]:
    """
    Find for which worths two policies are not told apart.

    Parameters
    ----------
    profit, cost : (n_seeds,) float64
        What one has more than the other, seed by seed, on the same traces.
    level : float
        How often policies that are alike may be told apart, at one worth.

    Returns
    -------
    list of (float, float)
        At most two intervals of worths from 0 on, ascending.

    Notes
    -----
    At a worth w the mean over seeds of ``w * profit - cost`` is held against its standard error by Student's t, two
    sided. Where the mean is the smaller of the two is a quadratic inequality in w: Fieller's theorem. Unlike
    an interval by jackknife around the switch point it says so where there is no upper end, and it never lies below
    0. With one seed nothing is told apart.
    """
    n = len(profit)
    if n < 2:
        return [(0.0, math.inf)]
    from scipy.special import stdtrit

    # In units in which both are about 1, so that squares neither vanish nor overflow.
    scales = [float(np.abs(values).max()) or 1.0 for values in (profit, cost)]
    rise, fall = profit / scales[0], cost / scales[1]
    t_squared = float(stdtrit(n - 1, 1 - level / 2)) ** 2 / n
    mean_rise, mean_fall = float(rise.mean()), float(fall.mean())
    (var_rise, both), (_, var_fall) = np.cov(rise, fall).tolist()
    # a w² − 2 b w + c ≤ 0
    a = mean_rise**2 - t_squared * var_rise
    b = mean_rise * mean_fall - t_squared * both
    c = mean_fall**2 - t_squared * var_fall
    return [
        (max(low, 0.0) * scales[1] / scales[0], high * scales[1] / scales[0])
        for low, high in _not_positive(a, b, c)
        if high >= 0
    ]


def _not_positive(a: float, b: float, c: float) -> list[Interval]:
    # Where a w² − 2 b w + c ≤ 0.
    square = b * b - a * c
    if square < 0:
        return [] if a > 0 or (a == 0 and c > 0) else [(-math.inf, math.inf)]
    root = math.sqrt(square)
    # Neither root is the difference of two nearly equal numbers.
    far = b + math.copysign(root, b)
    if a == 0:
        if b == 0:
            return [] if c > 0 else [(-math.inf, math.inf)]
        meets = c / (2 * b)
        return [(meets, math.inf)] if b > 0 else [(-math.inf, meets)]
    low, high = sorted((far / a, c / far if far else 0.0))
    return [(low, high)] if a > 0 else [(-math.inf, low), (high, math.inf)]


def told_around(intervals: Sequence[Interval], worth: float) -> Interval | None:
    """
    Return the worths around a given one for which two policies are told apart.

    Parameters
    ----------
    intervals : sequence of (float, float)
        From `not_told_apart`.
    worth : float
        Where they should be.

    Returns
    -------
    (float, float) or None
        From 0 if they are told apart at any lower worth; None if at `worth` they are not.
    """
    if any(low <= worth <= high for low, high in intervals):
        return None
    below = max((high for _, high in intervals if high < worth), default=0.0)
    return below, min((low for low, _ in intervals if low > worth), default=math.inf)
