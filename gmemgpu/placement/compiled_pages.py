"""`KernelPages` as compiled code: the same pages in the same order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmemgpu.compiled import compiled_function
from gmemgpu.model.trace import Int32Array, Int64Array
from gmemgpu.placement.compiled_extents import FreeMemory, allocate_block, put, take_block
from gmemgpu.placement.extent_allocator import ATTEMPTS
from gmemgpu.placement.kernel_pages import FIRST_SLOT
from gmemgpu.units import PAGES_PER_BLOCK

__all__ = ["CommonBlocks", "common_blocks", "with_room", "allocate_packed", "free_packed", "allocate_scattered"]

_SLOTS = PAGES_PER_BLOCK - FIRST_SLOT
_NEXT, _BEFORE, _N_USED, _N_LEFT = range(4)
_FIRST, _LAST, _SPARE = range(3)


class CommonBlocks(NamedTuple):
    """
    Blocks that hold pages of several guests; those with room are a list, in the order in which they got it.

    Parameters
    ----------
    row_of : (n_blocks,) int32
        Row of each common block below.
    block : (k,) int64
        Its number on the host.
    row : (k, 4) int32
        The next and the one before in the list, -1 at its ends; pages in use; free slots.
    slots : (k, 511) int16
        The free slots, the next one last.
    spare : (k,) int32
        Rows not in use, the next one last.
    ends : (3,) int32
        First and last of the list, and the number of spare rows.
    """

    row_of: Int32Array
    block: Int64Array
    row: Int32Array
    slots: NDArray[np.int16]
    spare: Int32Array
    ends: Int32Array


def common_blocks(n_blocks: int) -> CommonBlocks:
    """
    Build an empty list for a host.

    Parameters
    ----------
    n_blocks : int
        Of the host.

    Returns
    -------
    CommonBlocks
        Without room: see `with_room`.
    """
    return CommonBlocks(
        row_of=np.zeros(n_blocks, np.int32),
        block=np.zeros(0, np.int64),
        row=np.zeros((0, 4), np.int32),
        slots=np.zeros((0, _SLOTS), np.int16),
        spare=np.zeros(0, np.int32),
        ends=np.array([-1, -1, 0], np.int32),
    )


def with_room(blocks: CommonBlocks, n: int) -> CommonBlocks:
    """
    Return common blocks with room for more of them.

    Parameters
    ----------
    blocks : CommonBlocks
        Not to be used any more.
    n : int
        How many are to be begun at most.

    Returns
    -------
    CommonBlocks
        The same list.
    """
    old, n_spare = len(blocks.block), int(blocks.ends[_SPARE])
    more = max(n, old)
    blocks.ends[_SPARE] += more

    def longer(array: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([array, np.zeros((more, *array.shape[1:]), array.dtype)])

    spare = np.zeros(old + more, np.int32)
    spare[: n_spare + more] = [*blocks.spare[:n_spare], *range(old, old + more)]
    return blocks._replace(block=longer(blocks.block), row=longer(blocks.row), slots=longer(blocks.slots), spare=spare)


@compiled_function
def _append(blocks: CommonBlocks, k: int) -> None:
    last = blocks.ends[_LAST]
    blocks.row[k, _NEXT], blocks.row[k, _BEFORE] = -1, last
    if last >= 0:
        blocks.row[last, _NEXT] = k
    else:
        blocks.ends[_FIRST] = k
    blocks.ends[_LAST] = k


@compiled_function
def _unlink(blocks: CommonBlocks, k: int) -> None:
    after, before = blocks.row[k, _NEXT], blocks.row[k, _BEFORE]
    if before >= 0:
        blocks.row[before, _NEXT] = after
    else:
        blocks.ends[_FIRST] = after
    if after >= 0:
        blocks.row[after, _BEFORE] = before
    else:
        blocks.ends[_LAST] = before


@compiled_function
def _begin_block(blocks: CommonBlocks, memory: FreeMemory, node_blocks: int) -> bool:
    block = allocate_block(memory, node_blocks)
    if block < 0:
        return False
    blocks.ends[_SPARE] -= 1
    k = blocks.spare[blocks.ends[_SPARE]]
    blocks.row_of[block], blocks.block[k] = k, block
    blocks.row[k, _N_USED], blocks.row[k, _N_LEFT] = 0, _SLOTS
    for i in range(_SLOTS):
        blocks.slots[k, i] = PAGES_PER_BLOCK - 1 - i
    _append(blocks, k)
    return True


@compiled_function
def free_packed(blocks: CommonBlocks, memory: FreeMemory, node_blocks: int, pfns: Int64Array) -> None:
    """
    Take pages back; a block without pages returns to the free memory.

    Parameters
    ----------
    blocks : CommonBlocks
        Those of the pages.
    memory : FreeMemory
        Of the same host.
    node_blocks : int
        Blocks of one node.
    pfns : (n,) int64
        What `allocate_packed` gave out, or a part of it.
    """
    for pfn in pfns:
        block = pfn // PAGES_PER_BLOCK
        k = blocks.row_of[block]
        blocks.row[k, _N_USED] -= 1
        n_left = blocks.row[k, _N_LEFT]
        if blocks.row[k, _N_USED]:
            blocks.slots[k, n_left] = pfn - block * PAGES_PER_BLOCK
            blocks.row[k, _N_LEFT] = n_left + 1
            if not n_left:
                _append(blocks, k)
            continue
        if n_left:
            _unlink(blocks, k)
        blocks.spare[blocks.ends[_SPARE]] = k
        blocks.ends[_SPARE] += 1
        put(memory, node_blocks, block, 1, 0)


@compiled_function
def allocate_packed(blocks: CommonBlocks, memory: FreeMemory, node_blocks: int, pfns: Int64Array) -> bool:
    """
    Reserve pages in common blocks, each filled before another is begun.

    Parameters
    ----------
    blocks : CommonBlocks
        With spare rows for all the blocks that may be begun.
    memory : FreeMemory
        Of the same host.
    node_blocks : int
        Blocks of one node.
    pfns : (n,) int64
        Gets the pages.

    Returns
    -------
    bool
        Whether there was room; if not, what was reserved is free again.
    """
    for i in range(len(pfns)):
        if blocks.ends[_FIRST] < 0 and not _begin_block(blocks, memory, node_blocks):
            free_packed(blocks, memory, node_blocks, pfns[:i])
            return False
        k = blocks.ends[_FIRST]
        n_left = blocks.row[k, _N_LEFT] - 1
        pfns[i] = blocks.block[k] * PAGES_PER_BLOCK + blocks.slots[k, n_left]
        blocks.row[k, _N_LEFT] = n_left
        blocks.row[k, _N_USED] += 1
        if not n_left:
            _unlink(blocks, k)
    return True


@compiled_function
def allocate_scattered(memory: FreeMemory, node_blocks: int, draws: Int64Array, n_drawn: int, pfns: Int64Array) -> int:
    """
    Reserve pages in a random free block each; see `ExtentAllocator.allocate_at_random`.

    Parameters
    ----------
    memory : FreeMemory
        Of the host.
    node_blocks : int
        Blocks of one node.
    draws : (k,) int64
        Uniform draws from [0, 2**62), as many as it may take: `ATTEMPTS` a page.
    n_drawn : int
        How many are spent.
    pfns : (n,) int64
        Gets the pages.

    Returns
    -------
    int
        How many are spent then; -1 if too few blocks are free, and then nothing changed.
    """
    n_free = 0
    for node in range(len(memory.counts)):
        n_free += memory.counts[node, 0]
    if len(pfns) > n_free:
        return -1
    n_all = node_blocks * len(memory.counts)
    for i in range(len(pfns)):
        block = -1
        for _ in range(ATTEMPTS):
            drawn = draws[n_drawn] % n_all
            n_drawn += 1
            if take_block(memory, node_blocks, drawn):
                block = drawn
                break
        if block < 0:
            block = allocate_block(memory, node_blocks)
        pfns[i] = block * PAGES_PER_BLOCK + FIRST_SLOT
    return n_drawn
