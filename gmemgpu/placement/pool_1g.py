"""Placement from a carve-out or hugetlb pool: SNP guests get whole free regions of their own share of the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush

from gmemgpu.placement.allocator import Extent
from gmemgpu.placement.extent_allocator import ExtentAllocator
from gmemgpu.units import BLOCKS_PER_REGION

__all__ = ["Pool1G"]


class Pool1G:
    """
    A pool of 1 GiB regions for SNP guests; all other memory for everyone else, lowest blocks first.

    An SNP guest gets whole regions, the lowest first, and a region returns to the pool when all of its blocks are back.
    Ordinary guests and single pages of Linux and of the firmware never come from the pool, nor do regions with
    reserved blocks belong to it.

    Parameters
    ----------
    node_blocks : int
        Blocks of one node, free or not.
    free : sequence (nodes) of sequence of Extent
        What is free at the start.
    share : float
        The pool's part of the wholly free regions of each node, which are its highest ones; 0 to 1.
    """

    def __init__(self, node_blocks: int, free: Sequence[Sequence[Extent]], *, share: float) -> None:
        self._node_blocks = node_blocks
        self._free_regions: list[list[int]] = []
        self._handed_out: dict[int, int] = {}
        """Blocks of each region of the pool that guests hold."""
        others: list[list[Extent]] = []
        for extents in free:
            whole = [
                region
                for first, n_blocks in extents
                for region in range(-(-first // BLOCKS_PER_REGION), (first + n_blocks) // BLOCKS_PER_REGION)
            ]
            pool = sorted(whole)[len(whole) - round(share * len(whole)) :]
            self._free_regions.append(pool)
            others.append(_without(extents, set(pool)))
        for regions in self._free_regions:
            self._handed_out.update(dict.fromkeys(regions, 0))
            heapify(regions)
        self._others = ExtentAllocator(node_blocks, others, newest_first=False)

    def allocate(self, n_blocks: int, node: int, *, snp: bool) -> list[Extent] | None:
        """
        Reserve blocks; see `Allocator`. What an SNP guest leaves of its last region nobody else gets.

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
        if not snp:
            return self._others.allocate(n_blocks, node, snp=False)
        pools = self._free_regions
        if n_blocks > BLOCKS_PER_REGION * sum(map(len, pools)):
            return None
        if node < 0:
            node = max(range(len(pools)), key=lambda i: len(pools[i]))
        extents: list[Extent] = []
        while n_blocks:
            if not pools[node]:
                node = (node + 1) % len(pools)
                continue
            region = heappop(pools[node])
            taken = min(n_blocks, BLOCKS_PER_REGION)
            self._handed_out[region] = taken
            extents.append((region * BLOCKS_PER_REGION, taken))
            n_blocks -= taken
        return extents

    def free(self, extents: Iterable[Extent]) -> None:
        """
        Take back blocks.

        Parameters
        ----------
        extents : iterable of Extent
            What `allocate` returned, or a part of it.
        """
        for first, n_blocks in extents:
            if first // BLOCKS_PER_REGION not in self._handed_out:
                self._others.free([(first, n_blocks)])
                continue
            end = first + n_blocks
            while first < end:
                region = first // BLOCKS_PER_REGION
                upto = min(end, (region + 1) * BLOCKS_PER_REGION)
                self._handed_out[region] -= upto - first
                if not self._handed_out[region]:
                    heappush(self._free_regions[first // self._node_blocks], region)
                first = upto

    def allocate_at_random(self, n_blocks: int, draws: Iterator[int]) -> list[int] | None:
        """
        Reserve blocks outside the pool for single pages; see `Allocator`.

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
        return self._others.allocate_at_random(n_blocks, draws)

    def free_cold(self, blocks: Iterable[int]) -> None:
        """
        Take back blocks that held single pages.

        Parameters
        ----------
        blocks : iterable of int
            Their numbers on the host.
        """
        self._others.free_cold(blocks)


def _without(extents: Sequence[Extent], regions: set[int]) -> list[Extent]:
    # What is left of the extents outside the regions, each of which lies wholly in one extent.
    left: list[Extent] = []
    for first, n_blocks in extents:
        at, end = first, first + n_blocks
        for region in range(first // BLOCKS_PER_REGION, end // BLOCKS_PER_REGION + 1):
            if region in regions:
                if region * BLOCKS_PER_REGION > at:
                    left.append((at, region * BLOCKS_PER_REGION - at))
                at = (region + 1) * BLOCKS_PER_REGION
        if end > at:
            left.append((at, end - at))
    return left
