"""What a scan finds on a host at one time: free regions, and how little keeps the others from being free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.rmp.scan import RegionScan
from gmemgpu.units import BLOCKS_PER_REGION, PAGES_PER_BLOCK, PAGES_PER_REGION

__all__ = ["RmpSummary", "summarize"]

_BYTES_PER_BLOCK = 64
"""RMP bytes that RMPOPT reads for each block: one cache line of entries of 2 MiB granularity (MODEL.md section 7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RmpSummary:
    """
    The RMP at one time.

    Parameters
    ----------
    regions, assigned_pages : int
        All regions, and the assigned pages of all.
    free : int
        Regions with no assigned page: what RMPOPT can optimize.
    busy_page, busy_block, busy_percent : int
        Busy regions with at most 1 page, at most 512 pages, at most 1 % of their pages assigned; each counts the ones
        before too.
    first_block_median : int or None
        Block, 0…511, of the median busy region: how far RMPOPT reads until it fails. None if no region is busy.
    pass_bytes : int
        Bytes of the RMP that one scanner reads in a pass over all regions, no bit being set.
    """

    regions: int
    assigned_pages: int
    free: int
    busy_page: int
    busy_block: int
    busy_percent: int
    first_block_median: int | None
    pass_bytes: int


def summarize(scan: RegionScan, hole_regions: Sequence[int] = ()) -> RmpSummary:
    """
    Compute the summary of a scan.

    Parameters
    ----------
    scan : RegionScan
        Of all regions of a host.
    hole_regions : sequence of int
        Those that are nobody's, and not counted.

    Returns
    -------
    RmpSummary
        Counts over all regions.
    """
    holes = np.array(hole_regions, np.intp)
    scan = RegionScan(np.delete(scan.assigned, holes), np.delete(scan.first, holes))
    busy = scan.assigned > 0
    first = np.sort(scan.first[busy])

    def at_most(pages: int) -> int:
        return int((busy & (scan.assigned <= pages)).sum())

    blocks = np.where(busy, scan.first.astype(np.int64) + 1, BLOCKS_PER_REGION)
    return RmpSummary(
        regions=len(busy),
        assigned_pages=int(scan.assigned.sum(dtype=np.int64)),
        free=int((~busy).sum()),
        busy_page=at_most(1),
        busy_block=at_most(PAGES_PER_BLOCK),
        busy_percent=at_most(PAGES_PER_REGION // 100),
        first_block_median=int(first[(len(first) - 1) // 2]) if len(first) else None,
        pass_bytes=int(blocks.sum()) * _BYTES_PER_BLOCK,
    )
