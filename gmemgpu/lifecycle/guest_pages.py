"""
Guest page numbers of all VMs on one line, cut into pieces and looked up in host memory.

VM v's page g has the number ``base[v] + g``; everything about a page, from its folio to its time of conversion, is a
step function on that line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.model.trace import Int64Array

__all__ = ["Backing", "cut", "regular_cuts", "offsets_within", "running_sum", "step_index"]


def offsets_within(counts: Int64Array) -> Int64Array:
    """
    Return the members' places in each group, from 0.

    Parameters
    ----------
    counts : (n_groups,) int64
        Members of each group.

    Returns
    -------
    (sum of counts,) int64
        The numbers 0 … counts[0] - 1, 0 … counts[1] - 1, and so on.
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) - np.repeat(ends - counts, counts)


def running_sum(values: Int64Array, group: Int64Array) -> Int64Array:
    """
    Compute running sums within groups.

    Parameters
    ----------
    values : (n,) int64
        What to add up.
    group : (n,) int64
        Ascending, not negative.

    Returns
    -------
    (n,) int64
        Sum of this and all earlier values of the same group.
    """
    total = np.cumsum(values)
    first = np.flatnonzero(np.diff(group, prepend=-1))
    before = np.repeat((total - values)[first], np.diff(np.append(first, len(group))))
    result: Int64Array = total - before
    return result


def step_index(starts: Int64Array, at: Int64Array) -> Int64Array:
    """
    Return, for each place, the index of the last start at or below it; -1 before the first.

    Parameters
    ----------
    starts : (k,) int64
        Ascending.
    at : (n,) int64
        Places to look up.

    Returns
    -------
    (n,) int64
        Indices into `starts`.
    """
    return np.searchsorted(starts, at, side="right").astype(np.int64) - 1


def cut(low: Int64Array, high: Int64Array, points: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """
    Return intervals cut at points.

    Parameters
    ----------
    low, high : (n,) int64
        Intervals [low, high).
    points : (k,) int64
        Ascending, each once.

    Returns
    -------
    low, high : (m,) int64
        The pieces in the order of the intervals.
    source : (m,) int64
        The interval that each is a piece of.
    """
    first = np.searchsorted(points, low, side="right")
    n_inside = np.maximum(np.searchsorted(points, high, side="left") - first, 0)
    source = np.repeat(np.arange(len(low)), n_inside + 1)
    place = offsets_within(n_inside + 1)
    # Piece k of an interval begins at its k-th inner point and ends at the next; the ends are the interval's own.
    point = first[source] + place
    padded = np.append(points, 0)
    last = place == n_inside[source]
    return (
        np.where(place == 0, low[source], padded[np.maximum(point - 1, 0)]),
        np.where(last, high[source], padded[np.minimum(point, len(points))]),
        source,
    )


def regular_cuts(base: Int64Array, low: Int64Array, high: Int64Array, step: Int64Array) -> Int64Array:
    """
    Return the multiples of a step strictly inside intervals, counted from each one's base.

    Parameters
    ----------
    base, low, high, step : (n,) int64
        Intervals [low, high), ascending and disjoint, at or above their bases.

    Returns
    -------
    (k,) int64
        Ascending.
    """
    first = (low - base) // step + 1
    counts = np.maximum((high - base - 1) // step - first + 1, 0)
    return np.repeat(base, counts) + (np.repeat(first, counts) + offsets_within(counts)) * np.repeat(step, counts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backing:
    """
    Where guest pages lie in host memory.

    Parameters
    ----------
    start : (n_extents,) int64
        First page of each extent on the line of guest pages, ascending.
    pfn : (n_extents,) int64
        Its first PFN.
    """

    start: Int64Array
    pfn: Int64Array

    def pfn_at(self, page: Int64Array) -> Int64Array:
        """
        Return the PFN of each page, which must be a placed VM's.

        Parameters
        ----------
        page : (n,) int64
            Numbers on the line of guest pages.

        Returns
        -------
        (n,) int64
            Page frame numbers.
        """
        extent = step_index(self.start, page)
        return self.pfn[extent] + (page - self.start[extent])
