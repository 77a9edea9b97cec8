"""The free memory of one NUMA node: coalescing extents in a heap, handed out by age and address."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace

from gmemgpu.placement.allocator import Extent

__all__ = ["FreeExtents"]

# A heap key is (-stamp, start) in one integer, which compares faster than a tuple: the start fills the low bits.
_START_BITS = 40
_START_MASK = (1 << _START_BITS) - 1
_STALE_KEYS = 1024


class FreeExtents:
    """
    Maximal runs of free blocks; the one with the newest stamp is used first, ties from the lowest address.

    Freed blocks merge with free neighbours, as in a buddy allocator; without that a day of pods would grind memory into
    single blocks. The merged extent has the newest stamp of its parts, and is used from the start of that part upward.
    With all stamps equal this is first fit.

    Parameters
    ----------
    first, n_blocks : int
        The blocks of the node, free or not. None is free before `put`.
    """

    __slots__ = ("_ends", "_extents", "_first", "_free", "_heap", "n_free")

    def __init__(self, first: int, n_blocks: int) -> None:
        self._first = first
        self._free = bytearray(n_blocks)
        """One byte a block, 1 if free: finds the extent around a block picked at random."""
        self._extents: dict[int, tuple[int, int, int]] = {}
        """Start to (end, stamp, hot): `hot` is the start of the most recently freed part."""
        self._ends: dict[int, int] = {}
        """End to start, for merging with the neighbour below."""
        self._heap: list[int] = []
        """Keys, some of them stale: a key counts if an extent with its start and stamp exists."""
        self.n_free = 0

    def _insert(self, start: int, end: int, stamp: int, hot: int) -> None:
        self._extents[start] = (end, stamp, hot)
        self._ends[end] = start
        heappush(self._heap, start - (stamp << _START_BITS))

    def put(self, freed: Iterable[Extent], stamp: int) -> None:
        """
        Add blocks to the free ones.

        Parameters
        ----------
        freed : iterable of Extent
            None of them free.
        stamp : int
            Extents with a higher one are used first; 0 keeps the rank of the free neighbours.
        """
        extents, ends, free, heap, node_first = self._extents, self._ends, self._free, self._heap, self._first
        for start, n_blocks in freed:
            end = start + n_blocks
            self.n_free += n_blocks
            free[start - node_first : end - node_first] = b"\x01" * n_blocks
            newest, hot, push = stamp, start, True
            above = extents.pop(end, None)
            if above is not None:
                end, above_stamp, above_hot = above
                if above_stamp > newest:
                    newest, hot = above_stamp, above_hot
            below = ends.pop(start, None)
            if below is not None:
                start = below
                _, below_stamp, below_hot = extents[below]
                if below_stamp >= newest:
                    # The key of the extent below stands for the merged one, too.
                    newest, hot, push = below_stamp, below_hot, False
            extents[start] = (end, newest, hot)
            ends[end] = start
            if push:
                heappush(heap, start - (newest << _START_BITS))

    def take(self, n_blocks: int, into: list[Extent]) -> None:
        """
        Append `n_blocks` free blocks, of which there must be enough, to `into`, as extents in order of use.

        Parameters
        ----------
        n_blocks : int
            How many.
        into : list of Extent
            Gets what was taken.
        """
        heap, extents, ends, free, first = self._heap, self._extents, self._ends, self._free, self._first
        if len(heap) > 4 * len(extents) + _STALE_KEYS:
            heap[:] = [start - (stamp << _START_BITS) for start, (_, stamp, _) in extents.items()]
            heapify(heap)
        self.n_free -= n_blocks
        while n_blocks:
            key = heap[0]
            start = key & _START_MASK
            found = extents.get(start)
            if found is None or start - key != found[1] << _START_BITS:
                heappop(heap)
                continue
            end, stamp, hot = found
            del extents[start]
            taken = min(n_blocks, end - hot)
            rest = hot + taken
            if hot == start and rest < end:
                # The rest keeps its rank. Most allocations end here.
                heapreplace(heap, key + taken)
                extents[rest] = (end, stamp, rest)
                ends[end] = rest
            else:
                heappop(heap)
                del ends[end]
                if rest < end:
                    self._insert(rest, end, stamp, rest)
                if hot > start:
                    # Blocks below the hot part lay there longer than anything of this stamp, how long is forgotten.
                    self._insert(start, hot, stamp - 1, start)
            free[hot - first : rest - first] = bytes(taken)
            into.append((hot, taken))
            n_blocks -= taken

    def take_block(self, block: int) -> bool:
        """
        Cut one block out of the extent that holds it; the rest keeps its rank.

        Parameters
        ----------
        block : int
            Its number on the host.

        Returns
        -------
        bool
            Whether it was free.
        """
        first, free, extents = self._first, self._free, self._extents
        offset = block - first
        if not free[offset]:
            return False
        start = free.rfind(0, 0, offset) + 1 + first
        end, stamp, hot = extents[start]
        free[offset] = 0
        self.n_free -= 1
        if start == block:
            del extents[start]
        elif hot < block:
            # The key of the whole extent stands for this part.
            extents[start] = (block, stamp, hot)
            self._ends[block] = start
        else:
            self._insert(start, block, stamp - 1, start)  # all of it older than the hot part
        rest = block + 1
        if rest < end:
            extents[rest] = (end, stamp, hot if hot > rest else rest)
            self._ends[end] = rest
            heappush(self._heap, rest - (stamp << _START_BITS))
        else:
            del self._ends[end]
        return True
