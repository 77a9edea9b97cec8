"""Reads a lifetime distribution given as a CSV of points of its CDF."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gmemgpu.columns.text_file import read_text_columns
from gmemgpu.errors import Problem, TraceError

__all__ = ["read_cdf"]

SHORTEST_S = 1.0
"""Where the CDF starts from 0, if the file does not say."""


def read_cdf(path: Path) -> tuple[list[float], list[float]]:
    """
    Read columns ``lifetime_s`` and ``cdf``; between its points the CDF is linear in the logarithm of time.

    Parameters
    ----------
    path : Path
        Times ascend, the CDF rises to 1. A first row with cdf 0 gives the shortest lifetime, else it is 1 s.

    Returns
    -------
    list of float
        Times in s.
    list of float
        CDF, from 0 to 1.

    Raises
    ------
    TraceError
        With every problem of the file.
    """
    columns = read_text_columns(path)
    columns.check_names(("lifetime_s", "cdf"))
    times = columns.decimals("lifetime_s", low=1e-6, high=1e10)
    cdf = columns.decimals("cdf", high=1.0)
    if len(columns) == 0:
        raise TraceError([*columns.problems, Problem(str(path), "has no rows; give at least one point")])
    if cdf[0] > 0:
        times, cdf = np.insert(times, 0, SHORTEST_S), np.insert(cdf, 0, 0.0)
        inserted = 1
    else:
        inserted = 0
    falls = np.diff(cdf, prepend=0.0) < 0
    stays = np.diff(times, prepend=0.0) <= 0
    columns.refuse("lifetime_s", stays[inserted:], "is not longer than in the row before; sort the rows")
    columns.refuse("cdf", falls[inserted:], "is smaller than in the row before")
    last = np.zeros(len(columns), dtype=bool)
    last[-1] = cdf[-1] != 1
    columns.refuse("cdf", last, "does not reach 1; add a row for the longest lifetime")
    columns.raise_problems()
    return times.tolist(), cdf.tolist()
