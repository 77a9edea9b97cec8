"""VMs against the host's free memory, one after another: who gets in, and where its blocks and pages lie."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.placement.allocator import Allocator, Extent
from gmemgpu.placement.displaced import Displaced
from gmemgpu.placement.extent_allocator import ExtentAllocator
from gmemgpu.placement.kernel_pages import KernelPages
from gmemgpu.units import PAGES_PER_BLOCK
from gmemgpu.vmtable.random_stream import Stream

__all__ = ["GivenBack", "Placed", "place_vms", "endless_draws"]

_CHUNK = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenBack:
    """
    What goes back to the allocator when; ties in the order given.

    Parameters
    ----------
    t_ns : (k,) int64
        When.
    vm : (k,) int64
        Whose; index into the VM table.
    first_block, end_block : (k,) int64
        Blocks counted within the VM; -1, -1 for its kernel pages.
    """

    t_ns: Int64Array
    vm: Int64Array
    first_block: Int64Array
    end_block: Int64Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """
    Where the VMs that got in lie.

    Parameters
    ----------
    admitted : (n,) bool
        Whether each VM got in.
    extent_vm, extent_pfn, extent_pages : (k,) int64
        Physical extents in guest order, VM after VM.
    page_vm, page_pfn : (l,) int64
        Kernel pages: context pages and VMSAs.
    """

    admitted: BoolArray
    extent_vm: Int64Array
    extent_pfn: Int64Array
    extent_pages: Int64Array
    page_vm: Int64Array
    page_pfn: Int64Array


def endless_draws(stream: Stream) -> Iterator[int]:
    """
    Draw uniform integers from [0, 2**62), without end.

    Parameters
    ----------
    stream : Stream
        Source of the draws.

    Yields
    ------
    int
        The next one.
    """
    while True:
        yield from (stream.raw(_CHUNK) >> np.uint64(2)).tolist()


def place_vms(
    arrival_ns: Int64Array,
    n_blocks: Int64Array,
    n_kernel_pages: Int64Array,
    node: Int64Array,
    snp: BoolArray,
    returns: GivenBack,
    *,
    allocator: Allocator,
    kernel_pages: KernelPages,
    displaced: Displaced,
    displaced_draws: Iterator[int],
) -> Placed:
    """
    Play arrivals and returns in the order of time; at equal times returns go first.

    Parameters
    ----------
    arrival_ns, n_blocks, n_kernel_pages, node : (n,) int64
        VMs, ascending by arrival.
    snp : (n,) bool
        Whether each is a confidential guest.
    returns : GivenBack
        Of all VMs as though all got in. A block that never returns is in none.
    allocator : Allocator
        Places guests' memory.
    kernel_pages : KernelPages
        Over the same allocator.
    displaced : Displaced
        Blocks that lie at random; an `ExtentAllocator` alone has VMs with such.
    displaced_draws : iterator of int
        Endless uniform draws from [0, 2**62), for where they lie.

    Returns
    -------
    Placed
        VMs without room are not admitted.
    """
    n, n_returns = len(arrival_ns), len(returns.t_ns)
    t_ns = np.concatenate([returns.t_ns, arrival_ns])
    order = np.argsort(t_ns, kind="stable")  # returns come first in the input, so at equal times too
    admitted = np.zeros(n, np.bool_)
    n_extents, n_pages = [0] * n, [0] * n
    extent_first, extent_blocks, page_pfn = array("q"), array("q"), array("q")
    extents_of: dict[int, list[Extent]] = {}
    pages_of: dict[int, list[int]] = {}
    n_left = (np.bincount(returns.vm, minlength=n) if n_returns else np.zeros(n, np.int64)).tolist()

    return_vm, return_first, return_end = (
        column.tolist() for column in (returns.vm, returns.first_block, returns.end_block)
    )
    displaced_first, displaced_block = displaced.first.tolist(), displaced.block.tolist()
    vm_blocks, vm_pages, vm_node, vm_snp = (column.tolist() for column in (n_blocks, n_kernel_pages, node, snp))
    for step in order.tolist():
        if step >= n_returns:
            vm = step - n_returns
            pages = kernel_pages.allocate(vm_pages[vm])
            if pages is None:
                continue
            places = displaced_block[displaced_first[vm] : displaced_first[vm + 1]]
            if places:
                assert isinstance(allocator, ExtentAllocator)
                extents = allocator.allocate_displaced(vm_blocks[vm], vm_node[vm], places, displaced_draws)
            else:
                extents = allocator.allocate(vm_blocks[vm], vm_node[vm], snp=vm_snp[vm])
            if extents is None:
                kernel_pages.free(pages)
                continue
            admitted[vm] = True
            n_extents[vm] = len(extents)
            extent_first.extend([first for first, _ in extents])
            extent_blocks.extend([length for _, length in extents])
            n_pages[vm] = len(pages)
            page_pfn.extend(pages)
            if n_left[vm]:
                extents_of[vm] = extents
                pages_of[vm] = pages
            continue
        vm = return_vm[step]
        if vm not in extents_of:
            continue
        first, end = return_first[step], return_end[step]
        if first < 0:
            kernel_pages.free(pages_of.pop(vm))
        elif places := displaced_block[displaced_first[vm] : displaced_first[vm + 1]]:
            part, cold = _part_and_displaced(extents_of[vm], first, end, set(places))
            allocator.free(part)
            allocator.free_cold(cold)
        elif end - first == vm_blocks[vm]:
            allocator.free(extents_of[vm])
        else:
            allocator.free(_part(extents_of[vm], first, end))
        n_left[vm] -= 1
        if not n_left[vm]:
            del extents_of[vm]

    def column(values: array[int]) -> Int64Array:
        return np.array(values, dtype=np.int64)

    return Placed(
        admitted=admitted,
        extent_vm=np.repeat(np.arange(n), n_extents),
        extent_pfn=column(extent_first) * PAGES_PER_BLOCK,
        extent_pages=column(extent_blocks) * PAGES_PER_BLOCK,
        page_vm=np.repeat(np.arange(n), n_pages),
        page_pfn=column(page_pfn),
    )


def _part(extents: list[Extent], first: int, end: int) -> list[Extent]:
    # The VM's blocks first ≤ i < end, as extents of the host.
    part = []
    at = 0
    for start, length in extents:
        low, high = max(first, at), min(end, at + length)
        if low < high:
            part.append((start + low - at, high - low))
        at += length
    return part


def _part_and_displaced(
    extents: list[Extent], first: int, end: int, places: set[int]
) -> tuple[list[Extent], list[int]]:
    # As `_part`, displaced blocks apart: they draw no guest to where they lay, or each would displace others.
    part, cold = [], []
    at = 0
    for start, length in extents:
        low, high = max(first, at), min(end, at + length)
        if at in places:
            cold += [start] if low < high else []
        elif low < high:
            part.append((start + low - at, high - low))
        at += length
    return part, cold
