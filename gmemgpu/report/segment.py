"""Means and intervals of many groups of values at once."""

from __future__ import annotations

import numpy as np

from gmemgpu.report.columns import Codes, Floats
from gmemgpu.report.statistics import Estimate, interval_half_width

__all__ = ["group_means", "group_estimates"]


def group_means(values: Floats, group: Codes, n_groups: int) -> Floats:
    """
    Average the values of each group.

    Parameters
    ----------
    values : (n,) float64
        Not a number where there is none.
    group : (n,) int64
    n_groups : int

    Returns
    -------
    (n_groups,) float64
        Not a number for a group without values.
    """
    there = ~np.isnan(values)
    counts = np.bincount(group[there], minlength=n_groups)
    sums = np.bincount(group[there], weights=values[there], minlength=n_groups)
    means: Floats = np.divide(sums, counts, out=np.full(n_groups, np.nan), where=counts > 0)
    return means


def group_estimates(values: Floats, group: Codes, n_groups: int) -> list[Estimate | None]:
    """
    Estimate the mean of each group, as `gmemgpu.report.statistics.estimate` does for one.

    Parameters
    ----------
    values, group, n_groups
        As for `group_means`; one value a seed.

    Returns
    -------
    list of Estimate or None, n_groups long
        None for a group without values.
    """
    there = ~np.isnan(values)
    mine, found = group[there], values[there]
    counts = np.bincount(mine, minlength=n_groups)
    means = group_means(values, group, n_groups)
    squares = np.bincount(mine, weights=(found - means[mine]) ** 2, minlength=n_groups)
    estimates: list[Estimate | None] = []
    for n, mean, square in zip(counts.tolist(), means.tolist(), squares.tolist(), strict=True):
        if not n:
            estimates.append(None)
        else:
            half_width = None if n == 1 else interval_half_width(square / (n - 1), n)
            estimates.append(Estimate(mean=mean, half_width=half_width, n=n))
    return estimates
