"""
What all array code here is written with: one namespace, from either library.

Names that both libraries have with the same meaning are taken over as they are; the list of them is all that may be
used of either. The rest are primitives over segments. A segment is what one pair owns of an axis: of n pairs, pair q
owns ``at[q]:at[q + 1]``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmemgpu.model.trace import Int64Array

__all__ = ["Array", "Namespace", "Side", "begins"]

Array: TypeAlias = Any
"""An array of the library at work. Any, since one of the two has no stubs."""

Side: TypeAlias = Literal["left", "right"]
"""As `numpy.searchsorted` has it."""

_ALIKE = (
    "arange",
    "broadcast_to",
    "concatenate",
    "cumsum",
    "diff",
    "empty",
    "flatnonzero",
    "full",
    "maximum",
    "minimum",
    "ones",
    "searchsorted",
    "sort",
    "where",
    "zeros",
)
"""Functions; beside them operators, indices, and the methods any, all, max, astype, copy, ravel, reshape, tolist."""


def begins(counts: Any) -> Int64Array:
    """Return where each of several segments begins and the last one ends, on the host."""
    at = np.zeros(len(counts) + 1, np.int64)
    np.add.accumulate(counts, out=at[1:])
    return at


class Namespace(ABC):
    """
    One of the two libraries.

    Parameters
    ----------
    module : module
        `numpy` or `cupy`.
    """

    waits: bool
    """Whether an operation costs about the same however small, and a look at its result waits for a device."""

    fuses: bool
    """Whether `fused` kernels take the place of some array operations, which those are held to."""

    def __init__(self, module: Any) -> None:
        for name in _ALIKE:
            if name not in vars(type(self)):
                setattr(self, name, getattr(module, name))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @abstractmethod
    def asarray(self, values: NDArray[Any]) -> Array:
        """Return an array of the host as one of this library."""

    @abstractmethod
    def put(self, *arrays: NDArray[Any]) -> list[Array]:
        """Return flat arrays of the host as ones of this library; in one transfer, if there is need of one."""

    @abstractmethod
    def fetch(self, *arrays: Array) -> list[NDArray[Any]]:
        """Return arrays of integers or flags on the host; in one transfer, if there is need of one."""

    @abstractmethod
    def repeat(self, values: Array, counts: Array) -> Array:
        """Return each value as often as its count says."""

    @abstractmethod
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
        base : (n_pairs,) int64, optional
            What to add for each pair.

        Returns
        -------
        (m,) int64
            From the beginning of the pair's segment, and `base` added.
        """

    @abstractmethod
    def last_of(self, values: Array, begin: Array, end: Array, needles: Array) -> Array:
        """
        Find the last value that is no larger, for each needle in an ascending segment of its own.

        Parameters
        ----------
        values : (n,) int64
        begin, end : (m,) int64
            Needle i looks at ``begin[i]:end[i]``, whose first value is no larger.
        needles : (m,) int64

        Returns
        -------
        (m,) int64
            Index into `values`.
        """

    def edges(self, owner: Array, n: int) -> Array:
        """Return where the elements of each of `n` owners begin, and the last ones end; owners ascend."""
        return self.searchsorted(owner, self.arange(n + 1))

    @abstractmethod
    def max_scan(self, values: Array) -> Array:
        """Return the largest value up to each place."""

    @abstractmethod
    def min_scan(self, values: Array) -> Array:
        """Return the smallest value from each place on."""

    @abstractmethod
    def max_scan_within(self, values: Array, at: Array) -> Array:
        """Return the largest value up to each place within its segment."""

    @abstractmethod
    def chain(self, following: Array, at: Array, like: tuple[Array, Array] | None = None) -> Array:
        """
        Look where one chain in every segment leads, from its first element on.

        Parameters
        ----------
        following : (n,) int64
            The element after each, a later one; the end of its segment or more if there is none.
        at : (n_pairs + 1,) int64
        like : (Array, Array), optional
            Another such array, and the elements that its chains meet: a hint, of use if both are alike.

        Returns
        -------
        (m,) int64
            All elements met, ascending.
        """

    @abstractmethod
    def sums(self, values: Array) -> Array:
        """Return the sum of all values before each place, and of all; in int64, (n + 1,)."""

    @abstractmethod
    def sums_along(self, table: Array, axis: int) -> Array:
        """Return running sums along one axis of a table, (n, m) int64."""

    @abstractmethod
    def sum_at(self, size: int, index: Array, values: Array) -> Array:
        """Sum int64 values by index, exactly: a weighted `bincount` would count in floats."""

    @abstractmethod
    def count_at(self, size: int, index: Array, which: Array | None = None) -> Array:
        """Count how often each index below `size` occurs; where flags are given, only with those set."""

    @abstractmethod
    def max_at(self, size: int, index: Array, values: Array) -> Array:
        """Return the largest of some positive values by index, 0 where there is none."""

    def come_later(self, size: int, index: Array, which: Array) -> Array:
        """Check which of some indices below `size` come after an equal one that is among `which`, (n,) bool."""
        n, some = len(index), self.flatnonzero(which)
        later: Array = self.max_at(size, index[some], n - some)[index] > n - self.arange(n)
        return later

    @abstractmethod
    def distinct(self, values: Array, owner: Array | None, n_owners: int) -> tuple[Int64Array, Array, Array]:
        """
        Find the values of each owner, each once.

        Parameters
        ----------
        values : (n,) int64
            From 0 on.
        owner : (n,) int64 or None
            Of each; None if there is only one.
        n_owners : int

        Returns
        -------
        at : (n_owners + 1,) int64
            Where those of each owner begin, on the host.
        found : (m,) int64
            Ascending for each owner.
        rank : (n,) int64
            Index of each value among those of its owner.
        """

    @abstractmethod
    def stable_order(self, keys: Array) -> Array:
        """Sort numbers from 0 on, in a stable way; return their order."""

    def fused(self, kernel: str, n: int, *arguments: Any) -> None:
        """
        Run a kernel with a thread for each of `n` elements.

        Parameters
        ----------
        kernel : str
        n : int
            Its first parameter that is no array.
        arguments
            Arrays, in the order of its parameters, then those that are numbers too.
        """
        raise NotImplementedError(kernel)

    def with_last(self, values: Array, last: int | bool) -> Array:
        """Append one value."""
        return self.concatenate([values, self.full(1, last, values.dtype)])

    def expand(self, first: Array, count: Array) -> tuple[Array, Array]:
        """
        List ``first[i], first[i] + 1, …``, `count` of them, for every i.

        Returns
        -------
        owner, value : (m,) int64
            The i that each comes from, and the number itself.
        """
        if len(first) and bool((count == 1).all()):
            return self.arange(len(first)), first
        owner = self.repeat(self.arange(len(first)), count)
        return owner, (first - (self.cumsum(count) - count))[owner] + self.arange(len(owner))

    def expand_known(self, first: Int64Array, count: Int64Array) -> tuple[Array, Array]:
        """List the same of ranges that the host knows."""
        return self.expand(self.asarray(first), self.asarray(count))

    def owners(self, at: Array, n: int) -> Array:
        """Return the segment of each of all `n` elements, (n,) int64."""
        return self.repeat(self.arange(len(at) - 1), self.diff(at))

    def spread(self, values: Array, at: Array, n: int) -> Array:
        """Return a value a segment as a value for each of all `n` elements; a single one as it fits any shape."""
        return values if len(at) == 2 else self.repeat(values, self.diff(at))

    def once(self, keys: Array, least: int | None = None) -> Array:
        """Sort numbers and keep each once, as far as they are no smaller than the least."""
        if not len(keys):
            return keys
        keys = self.sort(keys)
        kept = self.ones(len(keys), bool) if least is None else keys >= least
        kept[1:] &= keys[1:] != keys[:-1]
        return keys[kept]
