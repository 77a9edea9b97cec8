"""The host's pages, one array element each: who owns a page, and whether it is in use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from gmemgpu.model.trace import BoolArray, Int32Array
from gmemgpu.units import PAGES_PER_BLOCK, PAGES_PER_REGION

__all__ = ["HostPages", "RegionCount", "NOTHING"]

HV_OWNED = -2
"""Owner of a page that is not assigned."""
# An assigned page has its inode as owner, or -1 if no guest_memfd owns it.


class RegionCount(NamedTuple):
    """What a count of one region's pages finds (MODEL.md section 4)."""

    assigned_pages: int
    """A_r."""
    gmem_pages: int
    """G_r: those of them that an inode owns."""
    first_block: int
    """first_r, 0…511; -1 if no page is assigned."""
    evicting_pages: int
    """E_r: assigned pages of inodes between ``evict_begin`` and ``evict_end``."""
    in_use_pages: int
    """U_r: pages in use that are HV-owned."""


NOTHING = RegionCount(0, 0, -1, 0, 0)
"""A region before anything happens: all pages HV-owned and out of use."""


class HostPages:
    """
    Page arrays of a host, a region's made when it is first touched.

    The pages that a partial last region lacks are there, but no extent of a valid trace reaches them.
    """

    def __init__(self) -> None:
        self._owner: dict[int, Int32Array] = {}
        self._in_use: dict[int, BoolArray] = {}

    def assign(self, pfn: int, npages: int, inode: int) -> None:
        """Give the extent to an inode, or to nobody's (-1); the last ``assign`` of a page owns it."""
        for region, begin, end in self._parts(pfn, npages):
            self._owner[region][begin:end] = inode

    def clear(self, pfn: int, npages: int) -> None:
        """Make the extent HV-owned, whoever owned it: ``release`` and ``share``."""
        for region, begin, end in self._parts(pfn, npages):
            self._owner[region][begin:end] = HV_OWNED

    def set_in_use(self, pfn: int, npages: int, in_use: bool) -> None:
        """Take the extent into use or out of it; independent of who owns it."""
        for region, begin, end in self._parts(pfn, npages):
            self._in_use[region][begin:end] = in_use

    def count(self, region: int, evicting: Iterable[int]) -> RegionCount:
        """Count one region's pages anew; `evicting` are the inodes that are being evicted."""
        if region not in self._owner:
            return NOTHING
        owner = self._owner[region]
        assigned = owner != HV_OWNED
        assigned_pages = int(np.count_nonzero(assigned))
        return RegionCount(
            assigned_pages=assigned_pages,
            gmem_pages=int(np.count_nonzero(owner >= 0)),
            first_block=int(np.argmax(assigned)) // PAGES_PER_BLOCK if assigned_pages else -1,
            evicting_pages=sum(int(np.count_nonzero(owner == inode)) for inode in evicting),
            in_use_pages=int(np.count_nonzero(self._in_use[region] & ~assigned)),
        )

    # (region, first, one past the last page within the region) for each region of the extent; makes its arrays.
    def _parts(self, pfn: int, npages: int) -> list[tuple[int, int, int]]:
        parts = []
        stop = pfn + npages
        while pfn < stop:
            region, begin = divmod(pfn, PAGES_PER_REGION)
            end = min(PAGES_PER_REGION, begin + stop - pfn)
            if region not in self._owner:
                self._owner[region] = np.full(PAGES_PER_REGION, HV_OWNED, np.int32)
                self._in_use[region] = np.zeros(PAGES_PER_REGION, np.bool_)
            parts.append((region, begin, end))
            pfn += end - begin
        return parts
