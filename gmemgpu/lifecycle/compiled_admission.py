"""`place_vms` as compiled code, over the free extents of a host: the same VMs admitted, in the same places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gmemgpu.compiled import compiled_function
from gmemgpu.lifecycle.admission import GivenBack, Placed
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.placement.compiled_displaced import allocate_displaced
from gmemgpu.placement.compiled_extents import FreeMemory, allocate, free_memory, put
from gmemgpu.placement.compiled_pages import (
    CommonBlocks,
    allocate_packed,
    allocate_scattered,
    common_blocks,
    free_packed,
    with_room,
)
from gmemgpu.placement.displaced import Displaced
from gmemgpu.placement.extent_allocator import ATTEMPTS
from gmemgpu.placement.host_map import HostMap
from gmemgpu.units import PAGES_PER_BLOCK
from gmemgpu.vmtable.random_stream import Stream
from gmemgpu.workload.guest_memory import GuestMemory

__all__ = ["place_vms_compiled"]

_STEP, _N_EXTENTS, _N_PAGES, _N_DRAWN, _STAMP, _N_PLACED = range(6)


class _Vms(NamedTuple):
    # What VMs want, in order of arrival, and what goes back when; see `place_vms`.
    n_blocks: Int64Array
    n_pages: Int64Array
    node: Int64Array
    first_displaced: Int64Array
    displaced: Int64Array
    return_vm: Int64Array
    return_first: Int64Array
    return_end: Int64Array
    order: Int64Array


class _Outcome(NamedTuple):
    # Of each VM: whether it is admitted, its first extent and how many, its first page; and all pages.
    admitted: BoolArray
    first_extent: Int64Array
    n_extents: Int64Array
    first_page: Int64Array
    page_pfn: Int64Array


@compiled_function
def _put_part(
    vms: _Vms,
    outcome: _Outcome,
    extents: Int64Array,
    memory: FreeMemory,
    node_blocks: int,
    stamp: int,
    at: int,
    displaced: bool,
) -> None:
    # Of the blocks that return `at` gives back those that are displaced, or those that are not.
    vm, first, end = vms.return_vm[at], vms.return_first[at], vms.return_end[at]
    next_displaced, end_displaced = vms.first_displaced[vm], vms.first_displaced[vm + 1]
    place = 0
    for i in range(outcome.first_extent[vm], outcome.first_extent[vm] + outcome.n_extents[vm]):
        low, high = max(first, place), min(end, place + extents[i, 1])
        is_displaced = next_displaced < end_displaced and vms.displaced[next_displaced] == place
        if is_displaced:
            next_displaced += 1
        if low < high and is_displaced == displaced:
            put(memory, node_blocks, extents[i, 0] + low - place, high - low, stamp)
        place += extents[i, 1]


@compiled_function
def _give_back(
    vms: _Vms,
    outcome: _Outcome,
    extents: Int64Array,
    memory: FreeMemory,
    node_blocks: int,
    common: CommonBlocks,
    packed: bool,
    stamp: int,
    at: int,
) -> None:
    vm = vms.return_vm[at]
    if vms.return_first[at] < 0:
        pfns = outcome.page_pfn[outcome.first_page[vm] : outcome.first_page[vm] + vms.n_pages[vm]]
        if packed:
            free_packed(common, memory, node_blocks, pfns)
        else:
            for pfn in pfns:
                put(memory, node_blocks, pfn // PAGES_PER_BLOCK, 1, 0)
        return
    _put_part(vms, outcome, extents, memory, node_blocks, stamp, at, False)
    if vms.first_displaced[vm] < vms.first_displaced[vm + 1]:
        _put_part(vms, outcome, extents, memory, node_blocks, 0, at, True)


@compiled_function
def _play(
    vms: _Vms,
    outcome: _Outcome,
    extents: Int64Array,
    memory: FreeMemory,
    node_blocks: int,
    common: CommonBlocks,
    draws: Int64Array,
    places: Int64Array,
    packed: bool,
    newest_first: bool,
    at: Int64Array,
) -> None:
    # Goes on from step `at[_STEP]`, to the end or to the first arrival for which there may be too little room in
    # `extents`, `common`, `draws` or `places`.
    n_returns = len(vms.return_vm)
    for step in range(at[_STEP], len(vms.order)):
        at[_STEP] = step
        which = vms.order[step]
        if which < n_returns:
            if outcome.admitted[vms.return_vm[which]]:
                if newest_first and vms.return_first[which] >= 0:
                    at[_STAMP] += 2
                _give_back(vms, outcome, extents, memory, node_blocks, common, packed, at[_STAMP], which)
            continue
        vm = which - n_returns
        n_pages, n_extents, n_drawn = vms.n_pages[vm], at[_N_EXTENTS], at[_N_DRAWN]
        displaced = vms.displaced[vms.first_displaced[vm] : vms.first_displaced[vm + 1]]
        if n_extents + vms.n_blocks[vm] > len(extents) or at[_N_PLACED] + ATTEMPTS * len(displaced) > len(places):
            return
        pfns = outcome.page_pfn[at[_N_PAGES] : at[_N_PAGES] + n_pages]
        if packed:
            if n_pages > common.ends[2]:
                return
            if not allocate_packed(common, memory, node_blocks, pfns):
                continue
        else:
            if n_drawn + ATTEMPTS * n_pages > len(draws):
                return
            n_drawn = allocate_scattered(memory, node_blocks, draws, n_drawn, pfns)
            if n_drawn < 0:
                continue
            at[_N_DRAWN] = n_drawn
        if len(displaced):
            upto, at[_N_PLACED] = allocate_displaced(
                memory,
                node_blocks,
                vms.n_blocks[vm],
                vms.node[vm],
                displaced,
                places,
                at[_N_PLACED],
                extents,
                n_extents,
            )
        else:
            upto = allocate(memory, node_blocks, vms.n_blocks[vm], vms.node[vm], extents, n_extents)
        if upto < 0:
            if packed:
                free_packed(common, memory, node_blocks, pfns)
            else:
                for pfn in pfns:
                    put(memory, node_blocks, pfn // PAGES_PER_BLOCK, 1, 0)
            continue
        outcome.admitted[vm] = True
        outcome.first_extent[vm], outcome.n_extents[vm] = n_extents, upto - n_extents
        outcome.first_page[vm] = at[_N_PAGES]
        at[_N_EXTENTS] = upto
        at[_N_PAGES] += n_pages
    at[_STEP] = len(vms.order)


def _more(left: Int64Array, stream: Stream, n: int) -> Int64Array:
    drawn = stream.raw(max(n, 1 << 16)) >> np.uint64(2)
    return np.concatenate([left, drawn.astype(np.int64)])


def place_vms_compiled(
    arrival_ns: Int64Array,
    n_blocks: Int64Array,
    n_kernel_pages: Int64Array,
    node: Int64Array,
    returns: GivenBack,
    *,
    host_map: HostMap,
    memory: GuestMemory,
    stream: Stream,
    displaced: Displaced,
    displaced_stream: Stream,
) -> Placed:
    """
    Play arrivals and returns in the order of time; at equal times returns go first.

    Parameters
    ----------
    arrival_ns, n_blocks, n_kernel_pages, node : (n,) int64
        VMs, ascending by arrival.
    returns : GivenBack
        Of all VMs as though all got in.
    host_map : HostMap
        Its free blocks are handed out.
    memory : GuestMemory
        Of placement first_fit or lifo.
    stream : Stream
        Draws where single pages lie.
    displaced : Displaced
        Blocks that lie at random.
    displaced_stream : Stream
        Draws where those lie.

    Returns
    -------
    Placed
        The same as `place_vms` gives with an `ExtentAllocator`.
    """
    n, node_blocks = len(arrival_ns), host_map.node_blocks
    order = np.argsort(np.concatenate([returns.t_ns, arrival_ns]), kind="stable")
    vms = _Vms(
        n_blocks,
        n_kernel_pages,
        node,
        displaced.first,
        displaced.block,
        returns.vm,
        returns.first_block,
        returns.end_block,
        order,
    )
    n_displaced = np.diff(displaced.first)
    page_pfn = np.zeros(int(n_kernel_pages.sum()), np.int64)
    outcome = _Outcome(
        admitted=np.zeros(n, np.bool_),
        first_extent=np.zeros(n, np.int64),
        n_extents=np.zeros(n, np.int64),
        first_page=np.zeros(n, np.int64),
        page_pfn=page_pfn,
    )
    free = free_memory(node_blocks, host_map.free)
    common = common_blocks(node_blocks * len(host_map.free))
    extents, draws, places = np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    packed, newest_first = memory.vmsa == "packed", memory.placement == "lifo"
    at = np.zeros(6, np.int64)
    while at[_STEP] < len(order):
        vm = max(int(order[at[_STEP]]) - len(returns.vm), 0)
        n_extents, n_pages = int(at[_N_EXTENTS]), int(n_kernel_pages[vm])
        if n_extents + n_blocks[vm] > len(extents):
            more = np.empty((max(int(n_blocks[vm]), 2 * n, n_extents // 2), 2), np.int64)
            extents = np.concatenate([extents[:n_extents], more])
        if packed and n_pages > common.ends[2]:
            common = with_room(common, n_pages)
        if not packed and at[_N_DRAWN] + ATTEMPTS * n_pages > len(draws):
            draws = _more(draws[at[_N_DRAWN] :], stream, max(ATTEMPTS * n_pages, 16 * int(n_kernel_pages.max())))
            at[_N_DRAWN] = 0
        if at[_N_PLACED] + ATTEMPTS * n_displaced[vm] > len(places):
            places = _more(places[at[_N_PLACED] :], displaced_stream, ATTEMPTS * int(n_displaced[vm]))
            at[_N_PLACED] = 0
        _play(vms, outcome, extents, free, node_blocks, common, draws, places, packed, newest_first, at)
    n_got_pages = np.where(outcome.admitted, n_kernel_pages, 0)
    extents = extents[: at[_N_EXTENTS]]
    return Placed(
        admitted=outcome.admitted,
        extent_vm=np.repeat(np.arange(n), outcome.n_extents),
        extent_pfn=extents[:, 0] * PAGES_PER_BLOCK,
        extent_pages=extents[:, 1] * PAGES_PER_BLOCK,
        page_vm=np.repeat(np.arange(n), n_got_pages),
        page_pfn=page_pfn[: at[_N_PAGES]],
    )
