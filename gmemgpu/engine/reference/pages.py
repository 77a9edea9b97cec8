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
    """
    What a count of one region's pages finds (MODEL.md section 4).

    Parameters
    ----------
    assigned_pages, gmem_pages : int
        A_r, and G_r: those of them that an inode owns.
    first_block : int
        Lowest block with an assigned page, 0…511; -1 if no page is assigned.
    evicting_pages : int
        E_r: assigned pages of inodes between ``evict_begin`` and ``evict_end``.
    in_use_pages : int
        U_r: pages in use that are HV-owned.
    """

    assigned_pages: int
    gmem_pages: int
    first_block: int
    evicting_pages: int
    in_use_pages: int


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
        """
        Assign the extent; the last ``assign`` of a page owns it.

        Parameters
        ----------
        pfn, npages : int
            First page and length of the extent.
        inode : int
            Owner; -1 if no guest_memfd owns the pages.
        """
        for region, begin, end in self._parts(pfn, npages):
            self._owner[region][begin:end] = inode

    def clear(self, pfn: int, npages: int) -> None:
        """
        Clear the assignment of the extent, whoever owned it: ``release`` and ``share``.

        Parameters
        ----------
        pfn, npages : int
            First page and length of the extent.
        """
        for region, begin, end in self._parts(pfn, npages):
            self._owner[region][begin:end] = HV_OWNED

    def set_in_use(self, pfn: int, npages: int, in_use: bool) -> None:
        """
        Set whether the extent is in use; independent of who owns it.

        Parameters
        ----------
        pfn, npages : int
            First page and length of the extent.
        in_use : bool
            True for ``use``, False for ``unuse``.
        """
        for region, begin, end in self._parts(pfn, npages):
            self._in_use[region][begin:end] = in_use

    def count(self, region: int, evicting: Iterable[int]) -> RegionCount:
        """
        Count one region's pages anew.

        Parameters
        ----------
        region : int
            Index of the region.
        evicting : iterable of int
            Inodes that are being evicted.

        Returns
        -------
        RegionCount
            Pages of the region as they are now.
        """
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
