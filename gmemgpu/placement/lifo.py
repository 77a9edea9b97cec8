"""Placement as a buddy allocator's hot lists do it: what was freed last is used first."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.placement.allocator import Extent
from gmemgpu.placement.extent_allocator import ExtentAllocator

__all__ = ["lifo"]


def lifo(node_blocks: int, free: Sequence[Sequence[Extent]]) -> ExtentAllocator:
    """
    Give an allocator that reuses the most recently freed blocks first, and at first takes the lowest.

    Parameters as of `ExtentAllocator`.
    """
    return ExtentAllocator(node_blocks, free, newest_first=True)
