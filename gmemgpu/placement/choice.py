"""From a placement's name to its allocator."""

from __future__ import annotations

import sys

from gmemgpu.placement.allocator import Allocator
from gmemgpu.placement.extent_allocator import ExtentAllocator
from gmemgpu.placement.host_map import HostMap
from gmemgpu.placement.pool_1g import Pool1G
from gmemgpu.placement.scatter import Scatter
from gmemgpu.vmtable.random_stream import Stream
from gmemgpu.workload.guest_memory import GuestMemory

__all__ = ["build_allocator", "has_compiled", "compiled_pays"]

_COMPILED_PAYS_FROM_VMS = 1_000
"""One VM takes 18 µs without compiled code; what is compiled already is loaded in 0.1 s, once a process."""


def build_allocator(host_map: HostMap, memory: GuestMemory, stream: Stream) -> Allocator:
    """
    Build the allocator that a workload asks for.

    Parameters
    ----------
    host_map : HostMap
        Its free blocks are the allocator's.
    memory : GuestMemory
        Names the placement.
    stream : Stream
        Source of the choices of a random placement.

    Returns
    -------
    Allocator
        Over the free blocks of the map.
    """
    if memory.placement == "scatter":
        return Scatter(host_map.node_blocks, host_map.free, stream)
    if memory.placement == "pool_1g":
        return Pool1G(host_map.node_blocks, host_map.free, share=memory.snp_pool)
    # "lifo" is what a buddy allocator's hot lists do; "first_fit" is a freshly booted host.
    return ExtentAllocator(host_map.node_blocks, host_map.free, newest_first=memory.placement == "lifo")


def has_compiled(memory: GuestMemory) -> bool:
    """
    Return whether there is compiled code for a placement.

    Parameters
    ----------
    memory : GuestMemory
        Names the placement.

    Returns
    -------
    bool
        True for placements over free extents.
    """
    return memory.placement in ("first_fit", "lifo")


def compiled_pays(memory: GuestMemory, n_vms: int) -> bool:
    """
    Return whether compiled code is to place the VMs of a workload. It never changes a trace.

    Parameters
    ----------
    memory : GuestMemory
        Names the placement.
    n_vms : int
        How many arrive.

    Returns
    -------
    bool
        Whether there is such code, there are enough VMs, and Numba is loaded, as a compiled engine does. To load it
        for a trace alone would save little, and to compile, once a user, costs more than the largest preset takes.
    """
    return has_compiled(memory) and n_vms >= _COMPILED_PAYS_FROM_VMS and "numba" in sys.modules
