"""Differences between two policies on the same traces, seed by seed: interval, p value, seeds that would tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.metrics.columns import Floats

__all__ = ["Difference", "LEVEL", "POWER", "paired_difference", "ratio_difference", "holm", "seeds_needed"]

LEVEL = 0.05
"""How often alike policies may be called different, over all comparisons of a table together."""

POWER = 0.8
"""How often as many seeds as `seeds_needed` says tell policies apart that differ as these do."""

_MOST_SEEDS = 100_000

_AGREEING_SEEDS = 5
"""So many seeds with one and the same difference are no chance."""

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
    mean : float
        The difference.
    error : float or None
        Its standard error; None where there are too few seeds.
    half_width : float or None
        Of its 95 % interval, for this comparison alone.
    p : float or None
        How often policies that are alike differ by as much, two-sided.
    n : int
        Seeds in which both have the quantity.
    above, ties, below : int
        Seeds in which the policy has more than the baseline, the same, and less.
    """

    value: float
    baseline: float
    mean: float
    error: float | None
    half_width: float | None
    p: float | None
    n: int
    above: int
    ties: int
    below: int

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
    Student's t of the differences, with n - 1 degrees of freedom: what both owe to a trace is not in them.
    """
    there = ~(np.isnan(policy) | np.isnan(baseline))
    policy, baseline = policy[there], baseline[there]
    n = len(policy)
    if not n:
        return None
    differences = policy - baseline
    error = float(differences.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return _difference(float(policy.mean()), float(baseline.mean()), float(differences.mean()), error, differences)


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
    The interval is a jackknife's: the error of the difference of ratios follows from how it changes as each seed is
    left out, and Student's t with n - 1 degrees of freedom is laid over it. Where a ratio has no meaning without one
    of the seeds there is no interval.
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
    error = None
    if n > 1 and np.isfinite(without).all():
        error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    # A seed that has nothing to divide by is a tie.
    each = np.where(np.isfinite(each), each, 0.0)
    return _difference(value, base, value - base, error, each)


def _difference(value: float, baseline: float, mean: float, error: float | None, each: Floats) -> Difference:
    n = len(each)
    half_width = p = None
    if error is not None:
        # A quarter of a second, and only where there are seeds to compare; scipy.stats would take five times as long.
        from scipy.special import stdtr, stdtrit

        if error <= _ROUNDING * abs(mean):
            error = 0.0
        half_width = float(stdtrit(n - 1, 1 - LEVEL / 2)) * error
        if error > 0:
            p = 2.0 * float(stdtr(n - 1, -abs(mean) / error))
        elif mean == 0:
            p = 1.0
        else:
            # The same in every seed: nothing to take a spread of. In a few seeds counts may agree by chance.
            p = 0.0 if n >= _AGREEING_SEEDS else 0.5 ** (n - 1)
    above, below = int((each > 0).sum()), int((each < 0).sum())
    return Difference(
        value=value,
        baseline=baseline,
        mean=mean,
        error=error,
        half_width=half_width,
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
    if found.error is None or found.mean == 0:
        return None
    if found.error == 0:
        return _AGREEING_SEEDS
    from scipy.special import stdtrit

    spread = found.error * math.sqrt(found.n)

    def tells(n: int) -> bool:
        quantiles = float(stdtrit(n - 1, 1 - level / 2)) + float(stdtrit(n - 1, POWER))
        return quantiles * spread <= abs(found.mean) * math.sqrt(n)

    if not tells(_MOST_SEEDS):
        return None
    low, high = 1, _MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if tells(middle) else (middle, high)
    return high
