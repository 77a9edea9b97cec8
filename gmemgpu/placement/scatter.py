"""Placement on an aged host: every block at random."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

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
        # Each list is a random permutation at all times, so that its tail is a random choice in random order.
        self._nodes: list[list[int]] = [[] for _ in free]
        for extents in free:
            self.free(extents)

    def allocate(self, n_blocks: int, node: int, *, snp: bool) -> list[Extent] | None:
        """Hand out blocks; see `Allocator`. All guests share the same memory."""
        nodes = self._nodes
        if n_blocks > sum(map(len, nodes)):
            return None
        if node < 0:
            node = max(range(len(nodes)), key=lambda i: len(nodes[i]))
        extents: list[Extent] = []
        while True:
            blocks = nodes[node]
            n_left = max(len(blocks) - n_blocks, 0)
            extents += [(block, 1) for block in blocks[n_left:]]
            n_blocks -= len(blocks) - n_left
            del blocks[n_left:]
            if not n_blocks:
                return extents
            node = (node + 1) % len(nodes)

    def free(self, extents: Iterable[Extent]) -> None:
        """Take back blocks."""
        for first, n_blocks in extents:
            blocks = self._nodes[first // self._node_blocks]
            lengths = np.arange(len(blocks) + 1, len(blocks) + n_blocks + 1, dtype=np.uint64)
            places = (self._stream.raw(n_blocks) % lengths).tolist()
            # Each block changes places with a random one, perhaps itself: Fisher and Yates' shuffle as the list grows.
            for block, place in enumerate(places, first):
                blocks.append(block)
                blocks[place], blocks[-1] = block, blocks[place]

    def allocate_at_random(self, n_blocks: int, draws: Iterator[int]) -> list[int] | None:
        """Hand out free blocks for single pages; see `Allocator`."""
        n_free = sum(map(len, self._nodes))
        if n_blocks > n_free:
            return None
        taken: list[int] = []
        for _ in range(n_blocks):
            place = next(draws) % (n_free - len(taken))
            for blocks in self._nodes:
                if place < len(blocks):
                    taken.append(blocks.pop())
                    break
                place -= len(blocks)
        return taken

    def free_cold(self, blocks: Iterable[int]) -> None:
        """Take back blocks."""
        self.free((block, 1) for block in blocks)
