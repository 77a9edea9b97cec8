"""Differences between two policies on the same traces, seed by seed: interval, p value, seeds that would tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gmemgpu.metrics.columns import Floats
from gmemgpu.report.statistics import reaches, values_left_out

__all__ = [
    "Difference",
    "LEVEL",
    "POWER",
    "paired_difference",
    "median_difference",
    "ratio_difference",
    "holm",
    "seeds_needed",
]

LEVEL = 0.05
"""How often alike policies may be called different, over all comparisons of a table together."""

POWER = 0.8
"""How often as many seeds as `seeds_needed` says tell policies apart that differ as these do."""

_MOST_SEEDS = 100_000

_AGREEING_SEEDS = 5
"""So many seeds with one and the same difference are no chance."""

_KURTOSIS = 2.0
"""In excess of a normal distribution's: what seeds' differences have here, of half of all figures."""

_ROUNDING = 1e-12
"""A difference of floats that should be 0 may be off by a last digit, relative to what was subtracted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    A policy less its baseline.

    Parameters
    ----------
    value, baseline : float
        What each has on these seeds.
    difference : float
        Of means, of ratios, or the median of the seeds' differences.
    error : float or None
        Standard error of means and ratios; None where there are too few seeds.
    low, high : float or None
        Ends of its 95 % interval, for this comparison alone.
    p : float or None
        How often policies that are alike differ by as much, two-sided.
    n : int
        Seeds in which both have the quantity.
    above, ties, below : int
        Seeds in which the policy has more than the baseline, the same, and less.
    """

    value: float
    baseline: float
    difference: float
    error: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    above: int
    ties: int
    below: int

    @property
    def half_width(self) -> float | None:
        """Half of the interval; it need not lie evenly around the difference."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def has_sign(self) -> bool:
        """Whether all of the interval, if there is one, is on one side of zero; an end may be zero."""
        ends = [end for end in (self.low, self.high) if end is not None]
        return self.difference != 0 and all(self.difference * end >= 0 for end in ends)

    @property
    def same(self) -> bool:
        """Whether the two agree in every seed, to the last bit."""
        return self.ties == self.n


def paired_difference(policy: Floats, baseline: Floats) -> Difference | None:
    """
    Compare means over seeds.

    Parameters
    ----------
    policy, baseline : (n_seeds,) float64
        A value a seed; not a number where there is none. A seed counts if both have one.

    Returns
    -------
    Difference or None
        None if no seed has both.

    Notes
    -----
    What both owe to a trace is not in the differences. The p value is that of Student's t with n - 1 degrees of
    freedom. The interval is the jackknife's of `gmemgpu.report.statistics`, with degrees of freedom for longer
    tails.
    """
    policy, baseline = _both(policy, baseline)
    n = len(policy)
    if not n:
        return None
    differences = policy - baseline
    error = reach = None
    if n > 1:
        error = float(differences.std(ddof=1)) / math.sqrt(n)
        reach = reaches((differences.sum() - differences) / (n - 1), _KURTOSIS)
    mean = float(differences.mean())
    return _difference(float(policy.mean()), float(baseline.mean()), mean, error, reach, differences)


def median_difference(policy: Floats, baseline: Floats) -> Difference | None:
    """
    Compare seeds, of which the median stands for all.

    Parameters
    ----------
    policy, baseline : (n_seeds,) float64
        As for `paired_difference`.

    Returns
    -------
    Difference or None
        None if no seed has both.

    Notes
    -----
    `value` and `baseline` are medians, `difference` is the median of the differences. Its interval reaches from one of
    them to another, as of `gmemgpu.report.statistics.median_estimates`, and exists from six seeds on. The p value is
    twice the smaller one of two: that of the sign test, and, if the mean is on the same side, `paired_difference`'s,
    since signs of few seeds cannot be told from chance among many comparisons.
    """
    found = paired_difference(policy, baseline)
    if found is None:
        return None
    policy, baseline = _both(policy, baseline)
    ordered = np.sort(policy - baseline)
    n, middle = found.n, float(np.median(ordered))
    left_out = values_left_out(n)
    of_means = 1.0 if found.p is None or middle * found.difference <= 0 else found.p
    return replace(
        found,
        value=float(np.median(policy)),
        baseline=float(np.median(baseline)),
        difference=middle,
        low=None if left_out is None else float(ordered[left_out]),
        high=None if left_out is None else float(ordered[n - 1 - left_out]),
        p=found.p if found.p is None or found.same else min(1.0, 2 * min(_sign_p(found), of_means)),
    )


def _sign_p(found: Difference) -> float:
    from scipy.special import bdtr

    fewer, n = min(found.above, found.below), found.above + found.below
    return min(1.0, 2 * float(bdtr(fewer, n, 0.5)))


def _both(policy: Floats, baseline: Floats) -> tuple[Floats, Floats]:
    there = ~(np.isnan(policy) | np.isnan(baseline))
    return policy[there], baseline[there]


def ratio_difference(policy: tuple[Floats, Floats], baseline: tuple[Floats, Floats]) -> Difference | None:
    """
    Compare ratios of sums over seeds, such as the time optimized of all time free.

    Parameters
    ----------
    policy, baseline : tuple of (n_seeds,) float64
        Numerators and denominators; not a number where there is none. A seed counts if all four are there.

    Returns
    -------
    Difference or None
        None if there is no seed, or a sum of denominators is 0.

    Notes
    -----
    The error of the difference of ratios is a jackknife's: it follows from how it changes as each seed is left out. The
    p value and the interval are as of `paired_difference`. Where a ratio has no meaning without one of the seeds there
    is no interval.
    """
    four = np.stack((*policy, *baseline))
    four = four[:, ~np.isnan(four).any(axis=0)]
    n = four.shape[1]
    sums = four.sum(axis=1)
    if not n or not sums[1] or not sums[3]:
        return None
    value, base = float(sums[0] / sums[1]), float(sums[2] / sums[3])
    with np.errstate(divide="ignore", invalid="ignore"):
        each = four[0] / four[1] - four[2] / four[3]
        rest = sums[:, None] - four
        rest[np.abs(rest) <= _ROUNDING * np.abs(sums)[:, None]] = 0.0
        without = rest[0] / rest[1] - rest[2] / rest[3]
    error = reach = None
    if n > 1 and np.isfinite(without).all():
        error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
        reach = reaches(without, _KURTOSIS)
    # A seed that has nothing to divide by is a tie.
    each = np.where(np.isfinite(each), each, 0.0)
    return _difference(value, base, value - base, error, reach, each)


def _difference(
    value: float,
    baseline: float,
    difference: float,
    error: float | None,
    reach: tuple[float, float] | None,
    each: Floats,
) -> Difference:
    n = len(each)
    low = high = p = None
    if error is not None and reach is not None:
        # A quarter of a second, and only where there are seeds to compare; scipy.stats would take five times as long.
        from scipy.special import stdtr

        if error <= _ROUNDING * abs(difference):
            error, reach = 0.0, (0.0, 0.0)
        low, high = difference - reach[0], difference + reach[1]
        if error > 0:
            p = 2.0 * float(stdtr(n - 1, -abs(difference) / error))
        elif difference == 0:
            p = 1.0
        else:
            # The same in every seed: nothing to take a spread of. In a few seeds counts may agree by chance.
            p = 0.0 if n >= _AGREEING_SEEDS else 0.5 ** (n - 1)
    above, below = int((each > 0).sum()), int((each < 0).sum())
    return Difference(
        value=value,
        baseline=baseline,
        difference=difference,
        error=error,
        low=low,
        high=high,
        p=p,
        n=n,
        above=above,
        ties=n - above - below,
        below=below,
    )


def holm(ps: Sequence[float | None]) -> list[tuple[float, float] | None]:
    """
    Compute p values adjusted for each other, by Holm's method.

    Parameters
    ----------
    ps : sequence of float or None
        Of all comparisons of a table; None for one that was not tested.

    Returns
    -------
    list of (float, float) or None
        The adjusted value, at most 1, and the level that the plain one was held against. Whoever calls different what
        is at most `LEVEL` after adjusting is wrong about any of the comparisons no more often than that.

    Examples
    --------
    >>> [adjusted for adjusted, _ in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    found: list[tuple[float, float] | None] = [None] * len(ps)
    least = 0.0
    for rank, (p, i) in enumerate(order):
        tests = len(order) - rank
        least = max(least, min(1.0, tests * p))
        found[i] = least, LEVEL / tests
    return found


def seeds_needed(found: Difference, level: float = LEVEL) -> int | None:
    """
    Compute how many seeds would tell a difference of this size from none.

    Parameters
    ----------
    found : Difference
        With as many seeds as there were.
    level : float
        What the p value is held against.

    Returns
    -------
    int or None
        At least 2; found different with chance `POWER` if difference and spread are what they seem. None if there is
        nothing to tell, or if even 100,000 seeds would not do.
    """
    if found.error is None or found.difference == 0:
        return None
    if found.error == 0:
        return _AGREEING_SEEDS
    from scipy.special import stdtrit

    spread = found.error * math.sqrt(found.n)

    def tells(n: int) -> bool:
        quantiles = float(stdtrit(n - 1, 1 - level / 2)) + float(stdtrit(n - 1, POWER))
        return quantiles * spread <= abs(found.difference) * math.sqrt(n)

    if not tells(_MOST_SEEDS):
        return None
    low, high = 1, _MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if tells(middle) else (middle, high)
    return high
