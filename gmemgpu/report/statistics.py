"""Mean and 95 % interval over seeds, by Student's t, of many groups of values at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmemgpu.metrics.columns import Floats
from gmemgpu.report.grouping import Codes

__all__ = ["Estimate", "group_means", "group_estimates", "t_quantiles"]

_CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """
    A mean over seeds with its uncertainty.

    Parameters
    ----------
    mean : float
        In the unit of the quantity.
    half_width : float or None
        Of the 95 % interval around the mean; None if there is one seed only.
    n : int
        Seeds for which the quantity exists.
    """

    mean: float
    half_width: float | None
    n: int


def t_quantiles(degrees: NDArray[np.int64]) -> Floats:
    """
    Return half of the width of the 95 % interval of Student's distribution.

    Parameters
    ----------
    degrees : (n,) int64
        Degrees of freedom, at least 1.

    Returns
    -------
    (n,) float64
        In standard errors.

    Examples
    --------
    >>> t_quantiles(np.array([4])).round(4).tolist()
    [2.7764]
    """
    # A quarter of a second, and only where there are seeds to compare; scipy.stats would take five times as long.
    from scipy.special import stdtrit

    quantiles: Floats = stdtrit(degrees.astype(np.float64), 0.5 + _CONFIDENCE / 2)
    return quantiles


def group_means(values: Floats, group: Codes, n_groups: int) -> Floats:
    """
    Compute the mean of each group.

    Parameters
    ----------
    values : (n,) float64
        Not a number where there is none.
    group : (n,) int32
        Below `n_groups`.
    n_groups : int
        How many there are.

    Returns
    -------
    (n_groups,) float64
        Not a number for a group without values.
    """
    values, group = _existing(values, group)
    return _means(values, group, np.bincount(group, minlength=n_groups))


def group_estimates(values: Floats, group: Codes, n_groups: int) -> list[Estimate | None]:
    """
    Estimate the mean of each group from one value a seed.

    Parameters
    ----------
    values, group, n_groups : (n,) float64, (n,) int32, int
        As for `group_means`. Values of a group are independent: every seed has a trace of its own.

    Returns
    -------
    list of Estimate or None, n_groups long
        None for a group without values.

    Notes
    -----
    The method of independent replications: whatever goes on inside a trace, its summary is one draw, and draws of
    different seeds are independent and alike, so mean ± t·s/√n with n − 1 degrees of freedom holds. Quantiles such
    as a p99 are treated the same way: the interval is for the mean of the traces' p99. The interval assumes that
    values of different seeds scatter about normally. Skew makes it too short with few seeds; a percentile
    bootstrap is worse there, since it cannot reach beyond the values that it saw.
    """
    values, group = _existing(values, group)
    counts = np.bincount(group, minlength=n_groups)
    means = _means(values, group, counts)
    squares = np.bincount(group, weights=(values - means[group]) ** 2, minlength=n_groups)
    several = counts > 1
    widths = np.full(n_groups, np.nan)
    if several.any():
        n = counts[several]
        distinct, which = np.unique(n, return_inverse=True)
        widths[several] = t_quantiles(distinct - 1)[which] * np.sqrt(squares[several] / (n - 1) / n)
    return [
        Estimate(mean, half_width if n > 1 else None, n) if n else None
        for mean, half_width, n in zip(means.tolist(), widths.tolist(), counts.tolist(), strict=True)
    ]


def _existing(values: Floats, group: Codes) -> tuple[Floats, Codes]:
    missing = np.isnan(values)
    return (values[~missing], group[~missing]) if missing.any() else (values, group)


def _means(values: Floats, group: Codes, counts: NDArray[np.int64]) -> Floats:
    sums = np.bincount(group, weights=values, minlength=len(counts))
    means: Floats = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return means
