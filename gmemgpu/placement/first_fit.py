"""Placement on a freshly booted host: the lowest free blocks of the node."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.placement.allocator import Extent
from gmemgpu.placement.extent_allocator import ExtentAllocator

__all__ = ["first_fit"]


def first_fit(node_blocks: int, free: Sequence[Sequence[Extent]]) -> ExtentAllocator:
    """Give an allocator that always takes the lowest free blocks; parameters as of `ExtentAllocator`."""
    return ExtentAllocator(node_blocks, free, newest_first=False)
