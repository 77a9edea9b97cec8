"""Mean and 95 % interval over seeds, by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

__all__ = ["Estimate", "estimate", "interval_half_width", "t_quantile", "t_cdf"]

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """
    What seeds say of a quantity.

    Parameters
    ----------
    mean : float
    half_width : float or None
        Of the 95 % interval around the mean; None if there is one seed only.
    n : int
        Seeds for which the quantity exists.
    """

    mean: float
    half_width: float | None
    n: int

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""
        return None if self.half_width is None else self.mean + self.half_width


def estimate(values: Sequence[float]) -> Estimate | None:
    """
    Estimate a mean from one value a seed.

    Parameters
    ----------
    values : sequence of float
        Independent: every seed has a trace of its own.

    Returns
    -------
    Estimate or None
        None for no values.

    Notes
    -----
    The method of independent replications: whatever goes on inside a trace, its summary is one draw, and draws of
    different seeds are independent and alike, so mean ± t·s/√n with n − 1 degrees of freedom holds. Quantiles such
    as a p99 are treated the same way: the interval is for the mean of the traces' p99. The interval assumes that
    values of different seeds scatter about normally. Skew makes it too short with few seeds; a percentile
    bootstrap is worse there, since it cannot reach beyond the values that it saw.
    """
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean=mean, half_width=None, n=1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Estimate(mean=mean, half_width=interval_half_width(variance, n), n=n)


def interval_half_width(variance: float, n: int) -> float:
    """
    Give half of the 95 % interval of a mean.

    Parameters
    ----------
    variance : float
        Of the values, with n - 1 in the denominator.
    n : int
        How many there are, at least 2.
    """
    return t_quantile(0.5 + _CONFIDENCE / 2, n - 1) * math.sqrt(variance / n)


def _beta_fraction(x: float, a: float, b: float) -> float:
    # Continued fraction of the incomplete beta function by Lentz's method; converges fast for x < (a+1)/(a+b+2).
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    total = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + term / c
            c = c if abs(c) > tiny else tiny
            total *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return total


def _regularized_beta(x: float, a: float, b: float) -> float:
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(x, a, b) / a
    return 1.0 - front * _beta_fraction(1.0 - x, b, a) / b


def t_cdf(t: float, degrees: int) -> float:
    """
    Give P(T ≤ t) of Student's distribution.

    Parameters
    ----------
    t : float
    degrees : int
        Degrees of freedom, at least 1.
    """
    tail = _regularized_beta(degrees / (degrees + t * t), degrees / 2.0, 0.5) / 2.0
    return 1.0 - tail if t > 0 else tail


@cache
def t_quantile(p: float, degrees: int) -> float:
    """
    Give the t with P(T ≤ t) = p of Student's distribution.

    Parameters
    ----------
    p : float
        Above 0.5 and below 1.
    degrees : int
        Degrees of freedom, at least 1.

    Examples
    --------
    >>> round(t_quantile(0.975, 4), 4)
    2.7764
    """
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < p:
        low, high = high, 2.0 * high
    # Bisection to the last bit: some 60 steps, once for each number of seeds.
    while low < (middle := (low + high) / 2.0) < high:
        low, high = (middle, high) if t_cdf(middle, degrees) < p else (low, middle)
    return high
