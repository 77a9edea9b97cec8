"""From a placement's name to its allocator."""

from __future__ import annotations

from gmemgpu.placement.allocator import Allocator
from gmemgpu.placement.extent_allocator import ExtentAllocator
from gmemgpu.placement.host_map import HostMap
from gmemgpu.placement.pool_1g import Pool1G
from gmemgpu.placement.scatter import Scatter
from gmemgpu.vmtable.random_stream import Stream
from gmemgpu.workload.guest_memory import GuestMemory

__all__ = ["build_allocator"]


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
