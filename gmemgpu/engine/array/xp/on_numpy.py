"""The primitives as NumPy does them best: walks and loops over pairs where those touch less memory."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmemgpu.engine.array.xp.namespace import Array, Namespace, Side, begins
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.build import last_row_between

__all__ = ["NUMPY", "NumpyNamespace"]

_DIGIT_BITS = 16
_FEW = 512
"""Elements that a walk is through before their runs are found."""
_ZEROS_A_SORTED = 64
"""Zeros that cost about as much as to sort one more element."""
_MANY = 4096
"""Needles that it pays to sort before they are searched for."""
_STEPS_A_RUN = 2
"""Steps of a walk that cost about as much as to find a run and to list it."""


def _searched(values: Array, needles: Array, side: Side) -> Array:
    # As `numpy.searchsorted` finds them, which is slow where one needle lies far from the next.
    n = len(needles)
    if n < _MANY:
        return values.searchsorted(needles, side)
    if (needles[1:] < needles[:-1]).any():
        order, found = needles.argsort(), np.empty(n, np.int64)
        found[order] = _searched(values, needles[order], side)
        return found
    if 2 * len(values) > n:
        return values.searchsorted(needles, side)
    # The fewer are looked for among the more.
    at = needles.searchsorted(values, "left" if side == "right" else "right")
    return np.bincount(at, minlength=n)[:n].cumsum()


class NumpyNamespace(Namespace):
    """NumPy; `Namespace` describes the methods."""

    waits = fuses = False

    def __init__(self) -> None:
        super().__init__(np)

    def asarray(self, values: NDArray[Any]) -> Array:
        """Return the array itself."""
        return values

    def put(self, *arrays: NDArray[Any]) -> list[Array]:
        """Return the arrays themselves."""
        return list(arrays)

    def fetch(self, *arrays: Array) -> list[NDArray[Any]]:
        """Return the arrays themselves."""
        return list(arrays)

    # NumPy's functions of these names take longer to find the method than that takes for a few elements.
    def cumsum(self, values: Array) -> Array:
        """Return the running sums."""
        return values.cumsum()

    def diff(self, values: Array) -> Array:
        """Return the differences of neighbours."""
        return values[1:] - values[:-1]

    def flatnonzero(self, flags: Array) -> Array:
        """Return the indices of what is not zero."""
        return flags.nonzero()[0]

    def searchsorted(self, values: Array, needles: Array, side: Side = "left") -> Array:
        """Find where needles belong among ascending values."""
        return _searched(values, needles, side)

    def repeat(self, values: Array, counts: Array) -> Array:
        """Return each value as often as its count says."""
        return values.repeat(counts)

    def search(
        self,
        values: Array,
        begin: Array,
        end: Array,
        needles: Array,
        at: Array,
        side: Side,
        base: Array | None = None,
    ) -> Array:
        """Find where values belong in the ascending segments of their pairs."""
        if len(begin) == 1:
            found = _searched(values[begin[0] : end[0]], needles, side)
            return found if base is None else found + base
        found = np.zeros(len(needles), np.int64)
        edges = at.tolist()
        for q, (lo, hi) in enumerate(zip(begin.tolist(), end.tolist(), strict=True)):
            a, b = edges[q], edges[q + 1]
            if a < b and lo < hi:
                found[a:b] = _searched(values[lo:hi], needles[a:b], side)
        return found if base is None else found + base.repeat(self.diff(at))

    def last_of(self, values: Array, begin: Array, end: Array, needles: Array) -> Array:
        """Find the last value that is no larger, by halving all segments at once."""
        return last_row_between(values, begin, end, needles)

    def edges(self, owner: Array, n: int) -> Array:
        """Return where the elements of each of `n` owners begin, and the last ones end; owners ascend."""
        if n < len(owner) // 8:
            return owner.searchsorted(np.arange(n + 1))
        return begins(np.bincount(owner, minlength=n))

    def max_scan(self, values: Array) -> Array:
        """Return the largest value up to each place."""
        return np.maximum.accumulate(values)

    def min_scan(self, values: Array) -> Array:
        """Return the smallest value from each place on."""
        return np.minimum.accumulate(values[::-1])[::-1]

    def max_scan_within(self, values: Array, at: Array) -> Array:
        """Return the largest value up to each place within its segment."""
        if len(at) == 2:
            return np.maximum.accumulate(values)
        out = values.copy()
        edges = at.tolist()
        for a, b in pairwise(edges):
            if b > a + 1:
                np.maximum.accumulate(values[a:b], out=out[a:b])
        return out

    def chain(self, following: Array, at: Array, like: tuple[Array, Array] | None = None) -> Array:
        """Look where one chain in every segment leads, by a walk that touches only what it meets."""
        n = len(following)
        if like is not None and np.array_equal(following, like[0]):
            return like[1]
        parting = following != np.arange(1, n + 1)
        if n < _FEW or _STEPS_A_RUN * np.count_nonzero(parting) > n:
            follower = np.ascontiguousarray(following).data
            met: list[int] = []
            for i, stop in pairwise(at.tolist()):
                while i < stop:
                    met.append(i)
                    i = follower[i]
            return np.array(met, np.int64)
        # Where most elements lead to the next one, a step takes all of those at once.
        parting[at[1:][np.diff(at) > 0] - 1] = True
        last = np.flatnonzero(parting)
        to = np.minimum(following[last], at[np.searchsorted(at, last, "right")])
        follower = np.searchsorted(last, to).data
        runs: list[int] = []
        k = 0
        while k < len(last):
            runs.append(k)
            k = follower[k]
        begin = np.concatenate([[0], to[runs[:-1]]])
        return self.expand(begin, last[runs] + 1 - begin)[1]

    def sums(self, values: Array) -> Array:
        """Return the sum of all values before each place, and of all."""
        return begins(values)

    def sums_along(self, table: Array, axis: int) -> Array:
        """Return running sums along one axis of a table."""
        return table.cumsum(axis=axis)

    def sum_at(self, size: int, index: Array, values: Array) -> Array:
        """Sum int64 values by index, exactly."""
        out = np.zeros(size, np.int64)
        np.add.at(out, index, values)
        return out

    def count_at(self, size: int, index: Array, which: Array | None = None) -> Array:
        """Count how often each index below `size` occurs."""
        return np.bincount(index if which is None else index[which], minlength=size)

    def max_at(self, size: int, index: Array, values: Array) -> Array:
        """Return the largest of some positive values by index."""
        # Zeros cost nothing until they are touched.
        out = np.zeros(size, np.int64)
        np.maximum.at(out, index, values)
        return out

    def come_later(self, size: int, index: Array, which: Array) -> Array:
        """Check which of some indices come after an equal one that is among `which`; a few by sorting them."""
        if len(index) * _ZEROS_A_SORTED > size:
            return super().come_later(size, index, which)
        some = np.flatnonzero(which)
        found, first = np.unique(index[some], return_index=True)
        if not len(found):
            return np.zeros(len(index), bool)
        at = np.minimum(np.searchsorted(found, index), len(found) - 1)
        return (found[at] == index) & (some[first[at]] < np.arange(len(index)))

    def distinct(self, values: Array, owner: Array | None, n_owners: int) -> tuple[Int64Array, Array, Array]:
        """Find the values of each owner, each once."""
        found, rank = np.empty(0, np.int64), np.empty(len(values), np.int64)
        counts = []
        for k in range(n_owners):
            own = slice(None) if owner is None else np.flatnonzero(owner == k)
            once, rank[own] = np.unique(values[own], return_inverse=True)
            counts.append(len(once))
            found = np.concatenate([found, once]) if k else once
        return begins(counts), found, rank

    def stable_order(self, keys: Array) -> Array:
        """Sort numbers from 0 on, in a stable way: digits of 16 bits are sorted by counting."""
        top = int(keys.max()) if len(keys) else 0
        order = np.argsort((keys & ((1 << _DIGIT_BITS) - 1)).astype(np.uint16), kind="stable")
        while top >> _DIGIT_BITS:
            top >>= _DIGIT_BITS
            keys = keys >> _DIGIT_BITS
            order = order[np.argsort((keys & ((1 << _DIGIT_BITS) - 1)).astype(np.uint16)[order], kind="stable")]
        return order


NUMPY = NumpyNamespace()
"""The one there is."""
