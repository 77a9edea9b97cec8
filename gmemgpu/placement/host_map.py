"""What of a host's memory is for guests, and what is taken from the start: firmware, RMP, reserved extents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gmemgpu.errors import Problem, SpecError
from gmemgpu.model.host import Host
from gmemgpu.placement.allocator import Extent
from gmemgpu.units import (
    BLOCK_BYTES,
    PAGE_BYTES,
    PAGES_PER_BLOCK,
    PAGES_PER_REGION,
    format_bytes,
)
from gmemgpu.workload.guest_memory import GuestMemory

__all__ = ["HostMap", "map_host"]

_RMP_ENTRY_BYTES = 16
_FIRMWARE_PFN = 256  # 1 MiB, above the legacy area


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMap:
    """
    The physical map of a host before any guest.

    Parameters
    ----------
    node_blocks : int
        Blocks of one node.
    free : tuple (nodes) of tuple of Extent
        Blocks that guests may have, ascending.
    assigned : tuple of (pfn, npages)
        The RMP, firmware pages and assigned reserved extents.
    in_use : tuple of (pfn, npages)
        The host's own low memory.
    """

    node_blocks: int
    free: tuple[tuple[Extent, ...], ...]
    assigned: tuple[tuple[int, int], ...]
    in_use: tuple[tuple[int, int], ...]


def _rmp_extents(host: Host, segment_pages: int, problems: list[Problem]) -> list[tuple[int, int]]:
    extents = []
    holes = host.hole_spans()
    for start in range(0, host.pages, segment_pages):
        end = min(start + segment_pages, host.pages)
        if any(begin <= start and end <= stop for begin, stop in holes):
            continue  # nothing to keep an RMP of
        rmp_pages = -(-(end - start) * _RMP_ENTRY_BYTES // PAGE_BYTES)
        for begin, stop in reversed(holes):
            # The highest place between holes.
            if begin < end and stop > end - rmp_pages:
                end = begin
        if end - rmp_pages < start:
            problems.append(
                Problem("host.holes", f"leave no {rmp_pages} pages in one piece for the RMP of pages from {start}")
            )
        extents.append((end - rmp_pages, rmp_pages))
    return extents


def _touches_hole(host: Host, pfn: int, end: int) -> bool:
    return any(begin < end and pfn < stop for begin, stop in host.hole_spans())


def map_host(host: Host, memory: GuestMemory) -> HostMap:
    """
    Build the layout of a host: region 0 for firmware and Linux, the RMP at the top of its segments, reserved extents.

    Parameters
    ----------
    host : Host
        Its memory and nodes.
    memory : GuestMemory
        Names what is reserved.

    Returns
    -------
    HostMap
        Free blocks, and what Linux holds.

    Raises
    ------
    SpecError
        If nodes are no whole 2 MiB blocks, a reserved extent leaves the host, or a hole is where Linux or the RMP is.
    """
    problems: list[Problem] = []
    if host.memory_bytes % (host.nodes * BLOCK_BYTES):
        problems.append(
            Problem(
                "host.memory_bytes",
                f"{host.memory_bytes} does not give {host.nodes} nodes of whole 2 MiB blocks; use whole GiB per node",
            )
        )
    for i, extent in enumerate(memory.reserved):
        end = extent.start_bytes + extent.size_bytes
        if end > host.memory_bytes:
            problems.append(
                Problem(
                    f"memory.reserved[{i}]",
                    f"ends at {end}, past the host's {format_bytes(host.memory_bytes)}; move or shrink it",
                )
            )
    reserved = [
        (e.start_bytes // PAGE_BYTES, -(-(e.start_bytes + e.size_bytes) // PAGE_BYTES), e.assigned)
        for e in memory.reserved
    ]
    for i, (start, end, _) in enumerate(reserved):
        if _touches_hole(host, start, end):
            problems.append(Problem(f"memory.reserved[{i}]", "touches one of the host's holes; move or shrink it"))
    low = (0, min(PAGES_PER_REGION, host.pages))
    if _touches_hole(host, *low):
        problems.append(Problem("host.holes", "one touches the first GiB, which firmware and Linux have; move it up"))
    rmp = _rmp_extents(host, memory.rmp_segment_bytes // PAGE_BYTES, problems)
    if problems:
        raise SpecError(problems)
    firmware = [(_FIRMWARE_PFN, memory.firmware_pages)] if memory.firmware_pages else []
    taken = [low, *host.holes, *rmp, *((start, end - start) for start, end, _ in reserved)]
    return HostMap(
        node_blocks=host.pages // host.nodes // PAGES_PER_BLOCK,
        free=_free_blocks(host, taken),
        assigned=(*firmware, *rmp, *((start, end - start) for start, end, assigned in reserved if assigned)),
        in_use=(low,),
    )


def _free_blocks(host: Host, taken: Sequence[tuple[int, int]]) -> tuple[tuple[Extent, ...], ...]:
    # A block with a taken page is no guest's.
    node_blocks = host.pages // host.nodes // PAGES_PER_BLOCK
    taken_blocks = sorted((pfn // PAGES_PER_BLOCK, -(-(pfn + n) // PAGES_PER_BLOCK)) for pfn, n in taken)
    nodes = []
    for first in range(0, node_blocks * host.nodes, node_blocks):
        at, end = first, first + node_blocks
        free: list[Extent] = []
        for start, stop in taken_blocks:
            if start >= end or stop <= at:
                continue
            if start > at:
                free.append((at, start - at))
            at = min(stop, end)
        if at < end:
            free.append((at, end - at))
        nodes.append(tuple(free))
    return tuple(nodes)
