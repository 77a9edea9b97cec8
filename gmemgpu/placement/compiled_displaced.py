"""`ExtentAllocator.allocate_displaced` as compiled code: the same blocks in the same order."""

from __future__ import annotations

import numpy as np

from gmemgpu.compiled import compiled_function
from gmemgpu.model.trace import Int64Array
from gmemgpu.placement.compiled_extents import FreeMemory, allocate, emptiest_node, take_block
from gmemgpu.placement.extent_allocator import ATTEMPTS

__all__ = ["allocate_displaced"]


@compiled_function
def _take_at_random(
    memory: FreeMemory, node_blocks: int, node: int, draws: Int64Array, n_drawn: int
) -> tuple[int, int]:
    # A block of the node, which has a free one, and how many draws are spent then.
    for _ in range(ATTEMPTS):
        block = node * node_blocks + draws[n_drawn] % node_blocks
        n_drawn += 1
        if take_block(memory, node_blocks, block):
            return block, n_drawn
    extent = np.empty((1, 2), np.int64)
    allocate(memory, node_blocks, 1, node, extent, 0)
    return extent[0, 0], n_drawn


@compiled_function
def allocate_displaced(
    memory: FreeMemory,
    node_blocks: int,
    n_blocks: int,
    node: int,
    places: Int64Array,
    draws: Int64Array,
    n_drawn: int,
    extents: Int64Array,
    n_extents: int,
) -> tuple[int, int]:
    """
    Reserve blocks, some of which lie anywhere; see `ExtentAllocator.allocate_displaced`.

    Parameters
    ----------
    memory : FreeMemory
        Where from.
    node_blocks : int
        Blocks of one node.
    n_blocks : int
        How many in all.
    node : int
        Of which node first; -1 takes the one with the most free blocks.
    places : (l,) int64
        Which of them lie anywhere, counted within the guest, ascending.
    draws : (m,) int64
        Uniform draws from [0, 2**62), as many as it may take: `ATTEMPTS` a place.
    n_drawn : int
        How many are spent.
    extents : (k, 2) int64
        First block and number of blocks; gets a row for each extent, which must have room.
    n_extents : int
        Rows in use.

    Returns
    -------
    int
        Rows in use then; -1 if there is no room on the host, and then nothing changed.
    int
        How many draws are spent then.
    """
    n_free, emptiest = emptiest_node(memory)
    if n_blocks > n_free:
        return -1, n_drawn
    if node < 0:
        node = emptiest
    blocks = np.empty(len(places), np.int64)
    at = node
    for i in range(len(places)):
        while not memory.counts[at, 0]:
            at = (at + 1) % len(memory.counts)
        blocks[i], n_drawn = _take_at_random(memory, node_blocks, at, draws, n_drawn)
    rest = np.empty((n_blocks - len(places), 2), np.int64)
    n_rest = allocate(memory, node_blocks, n_blocks - len(places), node, rest, 0)
    place, next_displaced = 0, 0
    for i in range(n_rest):
        start, length = rest[i, 0], rest[i, 1]
        while length:
            while next_displaced < len(places) and places[next_displaced] == place:
                extents[n_extents, 0], extents[n_extents, 1] = blocks[next_displaced], 1
                next_displaced += 1
                place += 1
                n_extents += 1
            taken = length
            if next_displaced < len(places):
                taken = min(length, places[next_displaced] - place)
            extents[n_extents, 0], extents[n_extents, 1] = start, taken
            n_extents += 1
            start, length, place = start + taken, length - taken, place + taken
    for i in range(next_displaced, len(places)):
        extents[n_extents, 0], extents[n_extents, 1] = blocks[i], 1
        n_extents += 1
    return n_extents, n_drawn
