"""
The primitives as CuPy can do them: no loop over pairs, and nothing that its ufuncs lack.

As of CuPy 14, `accumulate` is there for sums and products only, weights of `bincount` become floats, sums along an axis
of a table take kernels that count in 32 bits, and of several values assigned to one place any may stay.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmemgpu.engine.array.xp.namespace import Array, Namespace, Side, begins
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import INT64_MAX

__all__ = ["CupyNamespace", "THREADS", "TILE_ITEMS"]

THREADS = {"SEARCH": 128, "MAX": 256, "EXPAND": 128, "CHAIN": 256, "SUM": 256, "ELEMENTS": 256}
"""Threads of a thread block of the kernels of primitives, and of those that `fused` runs."""
_ALIGNMENT = 8
TILE_ITEMS = 8
"""Values that each thread of `segment_max` or `segment_chain` takes."""


class CupyNamespace(Namespace):
    """
    CuPy on the current device and stream; `Namespace` describes the methods.

    Parameters
    ----------
    cupy : module
    launch : callable
        Takes the name of a kernel, thread blocks, threads a block and arguments.
    """

    waits = fuses = True

    def __init__(self, cupy: Any, launch: Callable[[str, int, int, tuple[Any, ...]], None]) -> None:
        super().__init__(cupy)
        self._cupy, self._launch = cupy, launch

    def asarray(self, values: NDArray[Any]) -> Array:
        """Copy an array to the device."""
        return self._cupy.asarray(values)

    def put(self, *arrays: NDArray[Any]) -> list[Array]:
        """Copy arrays to the device, in one transfer."""
        at = [0]
        for array in arrays:
            at.append(at[-1] + -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT)
        packed = np.empty(at[-1], np.uint8)
        for begin, array in zip(at, arrays, strict=False):
            packed[begin : begin + array.nbytes].view(array.dtype)[:] = array
        whole = self._cupy.asarray(packed)
        parts = zip(at, arrays, strict=False)
        return [whole[begin : begin + array.nbytes].view(array.dtype) for begin, array in parts]

    def fetch(self, *arrays: Array) -> list[NDArray[Any]]:
        """Copy arrays of integers or flags to the host, in one transfer."""
        whole = [array if array.dtype == np.int64 else array.astype(np.int64) for array in arrays]
        together = (self.concatenate(whole) if len(whole) > 1 else whole[0]).get()
        parts = np.split(together, np.cumsum([len(array) for array in arrays])[:-1])
        return [part.astype(array.dtype) for part, array in zip(parts, arrays, strict=True)]

    def fused(self, kernel: str, n: int, *arguments: Any) -> None:
        """Run a kernel with a thread for each of `n` elements."""
        numbers = [np.int64(n), *(np.int64(value) for value in arguments if isinstance(value, int))]
        arrays = [
            value if value.flags.c_contiguous else value.copy() for value in arguments if not isinstance(value, int)
        ]
        self._launch(kernel, -(-n // THREADS["ELEMENTS"]), THREADS["ELEMENTS"], (*arrays, *numbers))

    def repeat(self, values: Array, counts: Array) -> Array:
        """Return each value as often as its count says."""
        return values[self._expanded(counts, None)[0]]

    def expand(self, first: Array, count: Array) -> tuple[Array, Array]:
        """List ``first[i], first[i] + 1, …``, `count` of them, for every i: a thread each."""
        owner, value = self._expanded(count, first)
        return owner, value

    def expand_known(self, first: Int64Array, count: Int64Array) -> tuple[Array, Array]:
        """List the same of ranges that the host knows, without waiting for the device."""
        begin, ends = self.put(first, np.cumsum(count))
        return self._listed(ends, int(count.sum()), begin)

    def owners(self, at: Array, n: int) -> Array:
        """Return the segment of each of all `n` elements."""
        return self._listed(at[1:], n, None)[0]

    def spread(self, values: Array, at: Array, n: int) -> Array:
        """Return a value a segment as a value for each of all `n` elements."""
        if len(at) == 2:
            return values
        if values.dtype != np.int64:
            return values[self.owners(at, n)]
        out = self.empty(n, np.int64)
        ends, first = at[1:], values if values.flags.c_contiguous else values.copy()
        arguments = ends, first, out, out, np.int64(len(ends)), np.int64(n), np.int32(2)
        self._launch("segment_expand", -(-n // THREADS["EXPAND"]), THREADS["EXPAND"], arguments)
        return out

    def _expanded(self, counts: Array, first: Array | None) -> tuple[Array, Array]:
        ends = self.cumsum(counts)
        return self._listed(ends, int(ends[-1]) if len(ends) else 0, first)

    def _listed(self, ends: Array, total: int, first: Array | None) -> tuple[Array, Array]:
        owner = self.empty(total, np.int64)
        value = owner if first is None else self.empty(total, np.int64)
        given = ends if first is None else first if first.flags.c_contiguous else first.copy()
        arguments = ends, given, owner, value, np.int64(len(ends)), np.int64(total), np.int32(first is not None)
        self._launch("segment_expand", -(-total // THREADS["EXPAND"]), THREADS["EXPAND"], arguments)
        return owner, value

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
        """Find where values belong in the ascending segments of their pairs, a thread each."""
        n = len(needles)
        found = self.empty(n, np.int64)
        given = values, begin, end, needles, at, begin if base is None else base
        flat = [array if array.flags.c_contiguous else array.copy() for array in given]
        numbers = np.int64(n), np.int32(len(begin)), np.int32(side == "right"), np.int32(base is not None)
        self._launch("segment_search", -(-n // THREADS["SEARCH"]), THREADS["SEARCH"], (*flat, found, *numbers))
        return found

    def last_of(self, values: Array, begin: Array, end: Array, needles: Array) -> Array:
        """Find the last value that is no larger, a thread each."""
        return self.search(values, begin, end, needles, self.arange(len(needles) + 1), "right", begin - 1)

    def max_scan(self, values: Array) -> Array:
        """Return the largest value up to each place."""
        return self._segment_max(values, self.zeros(len(values), np.uint8))

    def min_scan(self, values: Array) -> Array:
        """Return the smallest value from each place on."""
        return -self.max_scan((-values)[::-1].copy())[::-1]

    def max_scan_within(self, values: Array, at: Array) -> Array:
        """Return the largest value up to each place within its segment."""
        return self._segment_max(values, self._heads(len(values), at))

    def _heads(self, n: int, at: Array) -> Array:
        heads = self.zeros(n + 1, np.uint8)
        heads[at[:-1]] = 1
        return heads[:-1]

    def _segment_max(self, values: Array, heads: Array) -> Array:
        # Tiles first say what each of them hands on; scanned in the same way, that is where each tile begins.
        n = len(values)
        n_tiles = -(-n // (THREADS["MAX"] * TILE_ITEMS))
        out, carry = self.empty(n, np.int64), self.full(n_tiles, -INT64_MAX - 1, np.int64)
        tile_value, tile_head = self.empty(n_tiles, np.int64), self.empty(n_tiles, np.uint8)
        arguments = values, heads, carry, out, tile_value, tile_head, np.int64(n)
        if n_tiles > 1:
            self._launch("segment_max", n_tiles, THREADS["MAX"], (*arguments, np.int32(0)))
            carry[1:] = self._segment_max(tile_value, tile_head)[:-1]
        self._launch("segment_max", n_tiles, THREADS["MAX"], (*arguments, np.int32(1)))
        return out

    def push_scan(self, due: Array, length: Array, at: Array) -> tuple[Array, Array]:
        """
        Compute what `gmemgpu.engine.array.begun.pushed` does, as far as sums are safe.

        Returns
        -------
        start : (n,) int64
        unsafe : (1,) int32
            Not 0 if sums might pass 62 bits; then the other is worth nothing.
        """
        unsafe = self.zeros(1, np.int32)
        return self._pushed(length, due, self._heads(len(due), at), unsafe, 0), unsafe

    def _pushed(self, add: Array, floor: Array, heads: Array, unsafe: Array, maps: int) -> Array:
        # As `_segment_max`, of maps.
        n = len(add)
        n_tiles = -(-n // (THREADS["MAX"] * TILE_ITEMS))
        out, carry, tile_head = self.empty(n, np.int64), self.zeros(n_tiles, np.int64), self.empty(n_tiles, np.uint8)
        tile_add, tile_floor = self.empty(n_tiles, np.int64), self.empty(n_tiles, np.int64)
        arguments = add, floor, heads, carry, out, tile_add, tile_floor, tile_head, unsafe, np.int64(n), np.int32(maps)
        if n_tiles > 1:
            self._launch("segment_push", n_tiles, THREADS["MAX"], (*arguments, np.int32(0)))
            carry[1:] = self._pushed(tile_add, tile_floor, tile_head, unsafe, 1)[:-1]
        self._launch("segment_push", n_tiles, THREADS["MAX"], (*arguments, np.int32(1)))
        return out

    def chain(self, following: Array, at: Array, like: tuple[Array, Array] | None = None) -> Array:
        """Look where one chain in every segment leads: within tiles, from tile to tile, then within tiles again."""
        n, n_segments = len(following), len(at) - 1
        exits, met = self.empty(n, np.int64), self.empty(n, bool)
        arguments = following, at, exits, met, np.int64(n), np.int32(n_segments)
        n_tiles, n_blocks = -(-n // (THREADS["CHAIN"] * TILE_ITEMS)), -(-n_segments // THREADS["CHAIN"])
        for step, grid in enumerate((n_tiles, n_blocks, n_tiles)):
            self._launch("segment_chain", grid if n else 0, THREADS["CHAIN"], (*arguments, np.int32(step)))
        return self.flatnonzero(met)

    def sums(self, values: Array) -> Array:
        """Return the sum of all values before each place, and of all."""
        return self.concatenate([self._zero, self.cumsum(values)])

    @cached_property
    def _zero(self) -> Array:
        return self.zeros(1, np.int64)

    def sums_along(self, table: Array, axis: int) -> Array:
        """Return running sums along one axis of a table, by sums of all rows in a row."""
        if axis == 0:
            return self.sums_along(table.T.copy(), 1).T
        whole = self.sums(table.ravel())
        before = whole[:-1].reshape(table.shape)[:, :1]
        return whole[1:].reshape(table.shape) - before

    def sum_at(self, size: int, index: Array, values: Array) -> Array:
        """Sum int64 values by index, exactly: what wraps around as unsigned is the same in signed numbers."""
        return self._sum_at(size, index, values, None)

    def count_at(self, size: int, index: Array, which: Array | None = None) -> Array:
        """Count how often each index below `size` occurs."""
        return self._sum_at(size, index, None, which)

    def _sum_at(self, size: int, index: Array, values: Array | None, which: Array | None) -> Array:
        out, n = self.zeros(size, np.int64), len(index)
        index, values, which = (
            array if array is None or array.flags.c_contiguous else array.copy() for array in (index, values, which)
        )
        # What is not read may be anything.
        arguments = index, out if values is None else values, out.view(np.uint8) if which is None else which, out
        flags = np.int32(values is not None), np.int32(which is not None)
        n_blocks = -(-n // (THREADS["SUM"] * TILE_ITEMS))
        self._launch("sum_at", n_blocks, THREADS["SUM"], (*arguments, np.int64(n), *flags))
        return out

    def max_at(self, size: int, index: Array, values: Array) -> Array:
        """Return the largest of some positive values by index."""
        out = self.zeros(size, np.uint64)
        self._cupy.maximum.at(out, index, values.view(np.uint64))
        return out.view(np.int64)

    def come_later(self, size: int, index: Array, which: Array) -> Array:
        """Check which of some indices below `size` come after an equal one that is among `which`."""
        n = len(index)
        first, later = self.zeros(size, np.uint64), self.empty(n, bool)
        for step in (0, 1):
            self.fused("come_later", n, index, which, first, later, step)
        return later

    def distinct(self, values: Array, owner: Array | None, n_owners: int) -> tuple[Int64Array, Array, Array]:
        """Find the values of each owner, each once: by sorting all of them."""
        order = self.stable_order(values)
        if owner is not None:
            order = order[self.stable_order(owner[order])]
            owner = owner[order]
        values = values[order]
        head = self.ones(len(values), bool)
        head[1:] = values[1:] != values[:-1]
        if owner is not None:
            head[1:] |= owner[1:] != owner[:-1]
        first = self.flatnonzero(head)
        at = self.arange(0) if owner is None else self.searchsorted(owner[first], self.arange(n_owners + 1))
        number = self.cumsum(head) - 1
        rank = self.empty(len(values), np.int64)
        rank[order] = number if owner is None else number - at[owner]
        host_at = begins([len(first)]) if owner is None else self.fetch(at)[0]
        return host_at, values[first], rank

    def stable_order(self, keys: Array) -> Array:
        """Sort numbers in a stable way; CuPy knows no other."""
        return self._cupy.argsort(keys) if len(keys) else self.arange(0)
