"""
What NumPy and CuPy do not offer alike: searches, scans and chains within the segments of one axis.

All else in this room are operations that both libraries spell in the same way. A segment is what one pair owns of an
axis: of n pairs, pair q owns ``at[q]:at[q + 1]``.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np

from gmemgpu.model.trace import Int64Array

__all__ = [
    "Array",
    "begins",
    "chain",
    "expand",
    "max_scan",
    "max_scan_within",
    "min_scan",
    "once",
    "search",
    "spread",
    "stable_order",
    "sum_at",
]

Array: TypeAlias = Any
"""An array of the library at work. Any, since one of the two has no stubs."""

_DIGIT_BITS = 16
_WORTH_A_JUMP = 16
"""Steps of a walk that cost about as much as one jump."""


def begins(counts: Array) -> Int64Array:
    """Return where each of several segments begins, and where the last one ends."""
    at = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=at[1:])
    return at


def search(values: Array, begin: Array, end: Array, needles: Array, at: Array, side: Literal["left", "right"]) -> Array:
    """
    Find where values belong in the ascending segments of their pairs.

    Parameters
    ----------
    values : (n,) int64
        Pair q looks at ``begin[q]:end[q]``, in which they ascend; pairs may share a segment.
    begin, end : (n_pairs,) int64
    needles : (m,) int64
        Those of pair q are ``at[q]:at[q + 1]``.
    at : (n_pairs + 1,) int64
    side : str
        As `numpy.searchsorted` has it.

    Returns
    -------
    (m,) int64
        From the beginning of the pair's segment.
    """
    if len(begin) == 1:
        return np.searchsorted(values[begin[0] : end[0]], needles, side)
    found = np.zeros(len(needles), np.int64)
    edges = at.tolist()
    for q, (lo, hi) in enumerate(zip(begin.tolist(), end.tolist(), strict=True)):
        a, b = edges[q], edges[q + 1]
        if a < b and lo < hi:
            found[a:b] = np.searchsorted(values[lo:hi], needles[a:b], side)
    return found


def max_scan(values: Array) -> Array:
    """Return the largest value up to each place."""
    return np.maximum.accumulate(values)


def min_scan(values: Array) -> Array:
    """Return the smallest value from each place on."""
    return np.minimum.accumulate(values[::-1])[::-1]


def max_scan_within(values: Array, at: Array) -> Array:
    """Return the largest value up to each place within its segment."""
    if len(at) == 2:
        return np.maximum.accumulate(values)
    out = values.copy()
    edges = at.tolist()
    for a, b in pairwise(edges):
        if b > a + 1:
            np.maximum.accumulate(values[a:b], out=out[a:b])
    return out


def chain(following: Array, at: Array, like: tuple[Array, Array] | None = None) -> Array:
    """
    Look where one chain in every segment leads, from its first element on.

    Parameters
    ----------
    following : (n,) int64
        The element after each, a later one; the end of its segment or more if there is none.
    at : (n_pairs + 1,) int64
    like : (Array, Array), optional
        Another such array, and the elements that its chains meet. It saves time if the two differ little.

    Returns
    -------
    (m,) int64
        All elements met, ascending.
    """
    # A walk that touches only what it meets. On a device this is pointer doubling instead.
    follower = np.ascontiguousarray(following).data
    edges = at.tolist()
    if like is not None:
        known = np.zeros(len(following), bool)
        known[like[1]] = True
        other = np.flatnonzero(known & (following != like[0]))
        if len(other) * _WORTH_A_JUMP < len(like[1]):
            return _spliced(follower, edges, known, like[1], other.tolist())
    met: list[int] = []
    for i, stop in pairwise(edges):
        while i < stop:
            met.append(i)
            i = follower[i]
    return np.array(met, np.int64)


def _spliced(follower: Any, edges: list[int], known: Array, usual: Array, other: list[int]) -> Array:
    # The same walk, which jumps along the usual chain to the next element at which it parts from that.
    on_usual = known.data
    begin: list[int] = []
    end: list[int] = []
    aside: list[int] = []
    for i, stop in pairwise(edges):
        while i < stop:
            if not on_usual[i]:
                aside.append(i)
                i = follower[i]
                continue
            k = bisect_left(other, i)
            parting = other[k] if k < len(other) and other[k] < stop else stop
            begin.append(i)
            if parting == stop:
                end.append(stop)
                break
            end.append(parting + 1)
            i = follower[parting]
    kept = np.cumsum(
        sum_at(len(usual) + 1, np.searchsorted(usual, begin), 1)
        - sum_at(len(usual) + 1, np.searchsorted(usual, end), 1)
    )
    met = np.concatenate([usual[np.flatnonzero(kept[:-1])], np.array(aside, np.int64)])
    return np.sort(met) if aside else met


def expand(first: Array, count: Array) -> tuple[Array, Array]:
    """
    List ``first[i], first[i] + 1, …``, `count` of them, for every i.

    Returns
    -------
    owner, value : (m,) int64
        The i that each comes from, and the number itself.
    """
    if len(first) and bool((count == 1).all()):
        return np.arange(len(first)), first
    owner = np.repeat(np.arange(len(first)), count)
    return owner, (first - (np.cumsum(count) - count))[owner] + np.arange(len(owner))


def spread(values: Array, at: Array) -> Array:
    """Return a value a segment as a value an element; a single one as it is, since it fits any shape."""
    return values if len(at) == 2 else np.repeat(values, np.diff(at))


def once(keys: Array) -> Array:
    """Sort numbers and keep each once."""
    keys = np.sort(keys)
    kept = np.ones(len(keys), bool)
    kept[1:] = keys[1:] != keys[:-1]
    return keys[kept]


def sum_at(size: int, index: Array, values: Array | int) -> Array:
    """Sum int64 values by index, exactly: a weighted `bincount` would count in floats."""
    if isinstance(values, int):
        return values * np.bincount(index, minlength=size)
    out = np.zeros(size, np.int64)
    np.add.at(out, index, values)
    return out


def stable_order(keys: Array) -> Array:
    """Sort numbers from 0 on, in a stable way; return their order."""
    top = int(keys.max()) if len(keys) else 0
    # Digits of 16 bits are sorted by counting.
    order = np.argsort((keys & ((1 << _DIGIT_BITS) - 1)).astype(np.uint16), kind="stable")
    while top >> _DIGIT_BITS:
        top >>= _DIGIT_BITS
        keys = keys >> _DIGIT_BITS
        order = order[np.argsort((keys & ((1 << _DIGIT_BITS) - 1)).astype(np.uint16)[order], kind="stable")]
    return order
