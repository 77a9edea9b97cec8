"""An allocator over the free extents of each node, with spill from a full node to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gmemgpu.placement.allocator import Extent
from gmemgpu.placement.displaced import interleaved
from gmemgpu.placement.free_extents import FreeExtents

__all__ = ["ExtentAllocator", "ATTEMPTS"]

ATTEMPTS = 64
"""Blocks tried at random before any free one will do: on a host 90 % full one in 850 requests gets that far."""


class ExtentAllocator:
    """
    Free extents of each node.

    Parameters
    ----------
    node_blocks : int
        Blocks of one node, free or not.
    free : sequence (nodes) of sequence of Extent
        What is free at the start.
    newest_first : bool
        Whether the most recently freed blocks are used first; else the lowest.
    """

    def __init__(self, node_blocks: int, free: Sequence[Sequence[Extent]], *, newest_first: bool) -> None:
        self._node_blocks = node_blocks
        self._nodes = [FreeExtents(i * node_blocks, node_blocks) for i in range(len(free))]
        # Every freeing gets a stamp 2 above the last; the odd ones between rank the older parts of split extents.
        self._step = 2 if newest_first else 0
        self._stamp = 0
        for node, extents in zip(self._nodes, free, strict=True):
            node.put(extents, 0)

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
        nodes = self._nodes
        if n_blocks > sum([node.n_free for node in nodes]):
            return None
        if node < 0:
            node = self._emptiest()
        extents: list[Extent] = []
        while True:
            taken = min(n_blocks, nodes[node].n_free)
            nodes[node].take(taken, extents)
            n_blocks -= taken
            if not n_blocks:
                return extents
            node = (node + 1) % len(nodes)

    def _emptiest(self) -> int:
        # max takes the first of equals, the lowest node.
        return max(range(len(self._nodes)), key=lambda i: self._nodes[i].n_free) if len(self._nodes) > 1 else 0

    def allocate_displaced(
        self, n_blocks: int, node: int, places: Sequence[int], draws: Iterator[int]
    ) -> list[Extent] | None:
        """
        Reserve blocks, some of which lie anywhere on the node, or on the nodes that follow it once it is full.

        Parameters
        ----------
        n_blocks : int
            How many in all.
        node : int
            As for `allocate`.
        places : sequence of int
            Which of them lie anywhere, counted within the guest, ascending. They are taken before the others.
        draws : iterator of int
            Endless uniform draws from [0, 2**62).

        Returns
        -------
        list of Extent, or None
            In guest order, each displaced block an extent of its own; None if there is no room.
        """
        nodes, node_blocks = self._nodes, self._node_blocks
        if n_blocks > sum([one.n_free for one in nodes]):
            return None
        if node < 0:
            node = self._emptiest()
        blocks: list[int] = []
        at = node
        for _ in places:
            while not nodes[at].n_free:
                at = (at + 1) % len(nodes)
            for _ in range(ATTEMPTS):
                block = at * node_blocks + next(draws) % node_blocks
                if nodes[at].take_block(block):
                    blocks.append(block)
                    break
            else:
                blocks += [first for first, _ in self.allocate(1, at, snp=False) or ()]
        rest = self.allocate(n_blocks - len(blocks), node, snp=False) or []
        return interleaved(rest, places, blocks)

    def free(self, extents: Iterable[Extent]) -> None:
        """
        Take back blocks; all of one call are equally recent.

        Parameters
        ----------
        extents : iterable of Extent
            What `allocate` returned, or a part of it.
        """
        self._stamp += self._step
        self._put(extents, self._stamp)

    def _put(self, extents: Iterable[Extent], stamp: int) -> None:
        if len(self._nodes) == 1:
            self._nodes[0].put(extents, stamp)
            return
        for extent in extents:
            self._nodes[extent[0] // self._node_blocks].put((extent,), stamp)

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
        nodes, node_blocks = self._nodes, self._node_blocks
        if n_blocks > sum([node.n_free for node in nodes]):
            return None
        n_all = node_blocks * len(nodes)
        blocks: list[int] = []
        for _ in range(n_blocks):
            for _ in range(ATTEMPTS):
                block = next(draws) % n_all
                if nodes[block // node_blocks].take_block(block):
                    blocks.append(block)
                    break
            else:
                # Room was made sure of above.
                blocks += [first for first, _ in self.allocate(1, -1, snp=False) or ()]
        return blocks

    def free_cold(self, blocks: Iterable[int]) -> None:
        """
        Take back blocks. They join their free neighbours' rank: a lone page is not what makes memory hot.

        Parameters
        ----------
        blocks : iterable of int
            Their numbers on the host.
        """
        self._put([(block, 1) for block in blocks], 0)
