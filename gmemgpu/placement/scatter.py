"""Placement on an aged host: every block at random."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from gmemgpu.model.trace import Int64Array
from gmemgpu.placement.allocator import Extent
from gmemgpu.vmtable.random_stream import Stream

__all__ = ["Scatter"]


class Scatter:
    """
    Free blocks of each node, handed out at random one by one.

    Parameters
    ----------
    node_blocks : int
        Blocks of one node, free or not.
    free : sequence (nodes) of sequence of Extent
        What is free at the start.
    stream : Stream
        Where the choices come from.
    """

    def __init__(self, node_blocks: int, free: Sequence[Sequence[Extent]], stream: Stream) -> None:
        self._node_blocks = node_blocks
        self._stream = stream
        # Node i's free blocks are the first `_counts[i]` of its array, in no order.
        self._blocks: list[Int64Array] = [np.empty(node_blocks, np.int64) for _ in free]
        self._counts = [0] * len(free)
        for extents in free:
            self.free(extents)

    def allocate(self, n_blocks: int, node: int, *, snp: bool) -> list[Extent] | None:
        """
        Reserve blocks; see `Allocator`. All guests share the same memory.

        Parameters
        ----------
        n_blocks : int
            How many.
        node : int
            As for `Allocator`.
        snp : bool
            Whether a confidential guest asks.

        Returns
        -------
        list of Extent, or None
            None if there is no room.
        """
        counts = self._counts
        if n_blocks > sum(counts):
            return None
        if node < 0:
            node = max(range(len(counts)), key=counts.__getitem__)
        extents: list[Extent] = []
        while True:
            taken = min(n_blocks, counts[node])
            extents += [(block, 1) for block in self._take(node, self._places(counts[node], taken)).tolist()]
            n_blocks -= taken
            if not n_blocks:
                return extents
            node = (node + 1) % len(counts)

    def _places(self, n: int, k: int) -> Int64Array:
        # k different places out of n, at random and in random order.
        if 2 * k > n:
            return np.argsort(self._stream.raw(n), kind="stable")[:k]
        places = np.empty(0, np.int64)
        while len(places) < k:
            drawn = (self._stream.raw(k) % np.uint64(n)).astype(np.int64)
            places = np.concatenate([places, drawn])
            _, first = np.unique(places, return_index=True)
            places = places[np.sort(first)]
        return places[:k]

    def _take(self, node: int, places: Int64Array) -> Int64Array:
        blocks, n_taken = self._blocks[node], len(places)
        n_left = self._counts[node] - n_taken
        taken = blocks[places]
        # Blocks at the end that were not chosen move into the holes that chosen ones leave.
        stays = np.ones(n_taken, np.bool_)
        stays[places[places >= n_left] - n_left] = False
        blocks[places[places < n_left]] = blocks[n_left : n_left + n_taken][stays]
        self._counts[node] = n_left
        return taken

    def free(self, extents: Iterable[Extent]) -> None:
        """
        Take back blocks.

        Parameters
        ----------
        extents : iterable of Extent
            What `allocate` returned, or a part of it.
        """
        freed: list[list[int]] = [[] for _ in self._blocks]
        for first, n_blocks in extents:
            freed[first // self._node_blocks] += range(first, first + n_blocks)
        for node, blocks in enumerate(freed):
            count = self._counts[node]
            self._blocks[node][count : count + len(blocks)] = blocks
            self._counts[node] = count + len(blocks)

    def allocate_at_random(self, n_blocks: int, draws: Iterator[int]) -> list[int] | None:
        """
        Reserve free blocks for single pages; see `Allocator`.

        Parameters
        ----------
        n_blocks : int
            How many.
        draws : iterator of int
            Endless uniform draws from [0, 2**62).

        Returns
        -------
        list of int, or None
            None if too few are free.
        """
        if n_blocks > sum(self._counts):
            return None
        taken: list[int] = []
        for _ in range(n_blocks):
            place = next(draws) % sum(self._counts)
            node = 0
            while place >= self._counts[node]:
                place -= self._counts[node]
                node += 1
            taken += self._take(node, np.array([place])).tolist()
        return taken

    def free_cold(self, blocks: Iterable[int]) -> None:
        """
        Take back blocks.

        Parameters
        ----------
        blocks : iterable of int
            Their numbers on the host.
        """
        self.free((block, 1) for block in blocks)
