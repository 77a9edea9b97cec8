"""`ExtentAllocator` as compiled code: the same blocks in the same order, by arrays over the blocks of each node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gmemgpu.compiled import compiled_function
from gmemgpu.model.trace import Int32Array, Int64Array
from gmemgpu.placement.allocator import Extent

__all__ = ["FreeMemory", "free_memory", "allocate", "allocate_block", "emptiest_node", "put", "take_block"]

_START_BITS = 31  # of a heap key (-stamp, start); the rest holds 2**31 freeings
_START_MASK = (1 << _START_BITS) - 1
_WORD_BLOCKS = 32
_FULL = (1 << _WORD_BLOCKS) - 1
_N_FREE, _N_KEYS = 0, 1


class FreeMemory(NamedTuple):
    """
    Free extents of each node; see `FreeExtents`. Blocks are numbered from the node's first.

    Parameters
    ----------
    end_of, hot_of : (nodes, node_blocks + 1) int32
        Of the extent that starts at a block: its end, 0 if none starts there, and where its newest part starts.
    stamp_of : (nodes, node_blocks + 1) int64
        Its stamp.
    start_of : (nodes, node_blocks + 1) int32
        Start of the extent that ends at a block, -1 if none does.
    free : (nodes, node_blocks // 32 + 1) int64
        A bit a block, 1 if free.
    heap : (nodes, 2 * node_blocks + 64) int64
        Keys, some of them stale: a key counts if an extent with its start and stamp exists.
    counts : (nodes, 2) int64
        Free blocks and keys.
    """

    end_of: Int32Array
    hot_of: Int32Array
    stamp_of: Int64Array
    start_of: Int32Array
    free: Int64Array
    heap: Int64Array
    counts: Int64Array


def free_memory(node_blocks: int, free: Sequence[Sequence[Extent]]) -> FreeMemory:
    """
    Build the free memory of a host.

    Parameters
    ----------
    node_blocks : int
        Blocks of one node, free or not.
    free : sequence (nodes) of sequence of Extent
        What is free at the start.

    Returns
    -------
    FreeMemory
        Altered by the functions below.
    """
    nodes = len(free)
    memory = FreeMemory(
        end_of=np.zeros((nodes, node_blocks + 1), np.int32),
        hot_of=np.zeros((nodes, node_blocks + 1), np.int32),
        stamp_of=np.zeros((nodes, node_blocks + 1), np.int64),
        start_of=np.full((nodes, node_blocks + 1), -1, np.int32),
        free=np.zeros((nodes, node_blocks // _WORD_BLOCKS + 1), np.int64),
        heap=np.zeros((nodes, 2 * node_blocks + 64), np.int64),
        counts=np.zeros((nodes, 2), np.int64),
    )
    for extents in free:
        for first, n_blocks in extents:
            put(memory, node_blocks, first, n_blocks, 0)
    return memory


@compiled_function
def _mark(free: Int64Array, start: int, end: int, is_free: bool) -> None:
    word = start // _WORD_BLOCKS
    while word * _WORD_BLOCKS < end:
        low = max(start - word * _WORD_BLOCKS, 0)
        high = min(end - word * _WORD_BLOCKS, _WORD_BLOCKS)
        bits = ((1 << (high - low)) - 1) << low
        if is_free:
            free[word] |= bits
        else:
            free[word] &= ~bits
        word += 1


@compiled_function
def _run_start(free: Int64Array, block: int) -> int:
    # The first block of the free ones that end with `block`.
    word = block // _WORD_BLOCKS
    taken = ~free[word] & ((1 << (block - word * _WORD_BLOCKS)) - 1)
    while not taken:
        word -= 1
        if word < 0:
            return 0
        taken = ~free[word] & _FULL
    start = word * _WORD_BLOCKS
    while taken:
        taken >>= 1
        start += 1
    return start


@compiled_function
def _pop(heap: Int64Array, n: int) -> int:
    # Remove the least of `n` keys; returns how many are left.
    n -= 1
    key = heap[n]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= n:
            break
        if child + 1 < n and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = key
    return n


@compiled_function
def _sift_up(heap: Int64Array, place: int, key: int) -> None:
    while place:
        parent = (place - 1) >> 1
        if heap[parent] <= key:
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = key


@compiled_function
def _push(memory: FreeMemory, node: int, start: int, stamp: int) -> None:
    heap, end_of, stamp_of = memory.heap[node], memory.end_of[node], memory.stamp_of[node]
    n = memory.counts[node, _N_KEYS]
    if n == len(heap):
        # A key for each extent takes half of the room at most.
        n = 0
        for other in range(len(end_of)):
            if end_of[other] and other != start:
                _sift_up(heap, n, other - (stamp_of[other] << _START_BITS))
                n += 1
    _sift_up(heap, n, start - (stamp << _START_BITS))
    memory.counts[node, _N_KEYS] = n + 1


@compiled_function
def _set_extent(memory: FreeMemory, node: int, start: int, end: int, stamp: int, hot: int) -> None:
    memory.end_of[node, start] = end
    memory.stamp_of[node, start] = stamp
    memory.hot_of[node, start] = hot
    memory.start_of[node, end] = start


@compiled_function
def put(memory: FreeMemory, node_blocks: int, first: int, n_blocks: int, stamp: int) -> None:
    """
    Add blocks of one node to the free ones; see `FreeExtents.put`.

    Parameters
    ----------
    memory : FreeMemory
        None of the blocks is free in it.
    node_blocks : int
        Blocks of one node.
    first, n_blocks : int
        The blocks, numbered on the host.
    stamp : int
        Extents with a higher one are used first.
    """
    node = first // node_blocks
    start = first - node * node_blocks
    end = start + n_blocks
    memory.counts[node, _N_FREE] += n_blocks
    _mark(memory.free[node], start, end, True)
    newest, hot, push = stamp, start, True
    above_end = memory.end_of[node, end]
    if above_end:
        memory.end_of[node, end] = 0
        if memory.stamp_of[node, end] > newest:
            newest, hot = memory.stamp_of[node, end], memory.hot_of[node, end]
        end = above_end
    below = memory.start_of[node, start]
    if below >= 0:
        memory.start_of[node, start] = -1
        start = below
        if memory.stamp_of[node, start] >= newest:
            newest, hot, push = memory.stamp_of[node, start], memory.hot_of[node, start], False
    _set_extent(memory, node, start, end, newest, hot)
    if push:
        _push(memory, node, start, newest)


@compiled_function
def _take(memory: FreeMemory, node: int, node_blocks: int, n_blocks: int, extents: Int64Array, n_extents: int) -> int:
    # As `FreeExtents.take`: appends rows (first, blocks) to `extents`, returns how many there are then.
    heap = memory.heap[node]
    memory.counts[node, _N_FREE] -= n_blocks
    while n_blocks:
        key = heap[0]
        start = key & _START_MASK
        end, stamp = memory.end_of[node, start], memory.stamp_of[node, start]
        memory.counts[node, _N_KEYS] = _pop(heap, memory.counts[node, _N_KEYS])
        if not end or start - (stamp << _START_BITS) != key:
            continue
        hot = memory.hot_of[node, start]
        taken = min(n_blocks, end - hot)
        rest = hot + taken
        memory.end_of[node, start] = 0
        memory.start_of[node, end] = -1
        if rest < end:
            _set_extent(memory, node, rest, end, stamp, rest)
            _push(memory, node, rest, stamp)
        if hot > start:
            # Older than the hot part; see `FreeExtents`.
            _set_extent(memory, node, start, hot, stamp - 1, start)
            _push(memory, node, start, stamp - 1)
        _mark(memory.free[node], hot, rest, False)
        extents[n_extents, 0], extents[n_extents, 1] = node * node_blocks + hot, taken
        n_extents += 1
        n_blocks -= taken
    return n_extents


@compiled_function
def emptiest_node(memory: FreeMemory) -> tuple[int, int]:
    """
    Return how much is free, and where most of it is.

    Parameters
    ----------
    memory : FreeMemory
        Of the host.

    Returns
    -------
    int
        Free blocks of all nodes.
    int
        The first of the nodes with the most.
    """
    total, best = 0, 0
    for node in range(len(memory.counts)):
        total += memory.counts[node, _N_FREE]
        if memory.counts[node, _N_FREE] > memory.counts[best, _N_FREE]:
            best = node
    return total, best


@compiled_function
def allocate(
    memory: FreeMemory, node_blocks: int, n_blocks: int, node: int, extents: Int64Array, n_extents: int
) -> int:
    """
    Reserve blocks; see `ExtentAllocator.allocate`.

    Parameters
    ----------
    memory : FreeMemory
        Where from.
    node_blocks : int
        Blocks of one node.
    n_blocks : int
        How many.
    node : int
        Of which node first; -1 takes the one with the most free blocks.
    extents : (k, 2) int64
        First block and number of blocks; gets a row for each extent, which must have room.
    n_extents : int
        Rows in use.

    Returns
    -------
    int
        Rows in use then; -1 if there is no room on the host, and then nothing changed.
    """
    total, fullest = emptiest_node(memory)
    if n_blocks > total:
        return -1
    if node < 0:
        node = fullest
    while True:
        taken = min(n_blocks, memory.counts[node, _N_FREE])
        n_extents = _take(memory, node, node_blocks, taken, extents, n_extents)
        n_blocks -= taken
        if not n_blocks:
            return n_extents
        node = (node + 1) % len(memory.counts)


@compiled_function
def allocate_block(memory: FreeMemory, node_blocks: int) -> int:
    """
    Reserve one block of the node with the most free ones.

    Parameters
    ----------
    memory : FreeMemory
        Where from.
    node_blocks : int
        Blocks of one node.

    Returns
    -------
    int
        Its number on the host; -1 if none is free.
    """
    extent = np.empty((1, 2), np.int64)
    if allocate(memory, node_blocks, 1, -1, extent, 0) < 0:
        return -1
    block: int = extent[0, 0]
    return block


@compiled_function
def take_block(memory: FreeMemory, node_blocks: int, block: int) -> bool:
    """
    Cut one block out of the extent that holds it; see `FreeExtents.take_block`.

    Parameters
    ----------
    memory : FreeMemory
        Where from.
    node_blocks : int
        Blocks of one node.
    block : int
        Its number on the host.

    Returns
    -------
    bool
        Whether it was free.
    """
    node = block // node_blocks
    place = block - node * node_blocks
    free = memory.free[node]
    if not (free[place // _WORD_BLOCKS] >> (place % _WORD_BLOCKS)) & 1:
        return False
    start = _run_start(free, place)
    end, stamp, hot = memory.end_of[node, start], memory.stamp_of[node, start], memory.hot_of[node, start]
    _mark(free, place, place + 1, False)
    memory.counts[node, _N_FREE] -= 1
    memory.end_of[node, start] = 0
    memory.start_of[node, end] = -1
    if hot < place:
        # The key of the whole extent stands for this part.
        _set_extent(memory, node, start, place, stamp, hot)
    elif start < place:
        _set_extent(memory, node, start, place, stamp - 1, start)
        _push(memory, node, start, stamp - 1)
    rest = place + 1
    if rest < end:
        _set_extent(memory, node, rest, end, stamp, max(hot, rest))
        _push(memory, node, rest, stamp)
    return True
