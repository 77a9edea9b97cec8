"""Placed private memory as parts of one inode and one folio size each, cut where host memory is not contiguous."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.lifecycle.admission import Placed
from gmemgpu.lifecycle.guest import Guests, Inodes
from gmemgpu.lifecycle.guest_pages import Backing, cut, running_sum
from gmemgpu.lifecycle.schedule import TeardownSchedule
from gmemgpu.model.trace import BoolArray, Int64Array

__all__ = ["PrivateExtents", "backing_of", "private_extents", "contiguous"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrivateExtents:
    """
    Contiguous in guest and host memory, of one inode, in folios of one size.

    Parameters
    ----------
    low, high : (k,) int64
        On the line of guest pages; ascending, disjoint.
    inode : (k,) int64
        Whose.
    folio_pages : (k,) int64
        Size of its folios, in pages.
    page_ns : (k,) int64
        Conversion time of a page at teardown.
    """

    low: Int64Array
    high: Int64Array
    inode: Int64Array
    folio_pages: Int64Array
    page_ns: Int64Array

    def cut(self, points: Int64Array) -> PrivateExtents:
        """
        Return the extents cut at ascending points on the line of guest pages.

        Parameters
        ----------
        points : (m,) int64
            Ascending.

        Returns
        -------
        PrivateExtents
            The pieces, in the same order.
        """
        low, high, source = cut(self.low, self.high, points)
        return PrivateExtents(
            low=low,
            high=high,
            inode=self.inode[source],
            folio_pages=self.folio_pages[source],
            page_ns=self.page_ns[source],
        )

    def where(self, keep: BoolArray) -> PrivateExtents:
        """
        Return some of the extents.

        Parameters
        ----------
        keep : (k,) bool
            True for those to return.

        Returns
        -------
        PrivateExtents
            In the same order.
        """
        return PrivateExtents(
            low=self.low[keep],
            high=self.high[keep],
            inode=self.inode[keep],
            folio_pages=self.folio_pages[keep],
            page_ns=self.page_ns[keep],
        )


def backing_of(guests: Guests, placed: Placed) -> Backing:
    """
    Return where the placed VMs' pages lie.

    Parameters
    ----------
    guests : Guests
        Layout of the VMs' memory.
    placed : Placed
        Where VMs lie.

    Returns
    -------
    Backing
        In guest order.
    """
    place = running_sum(placed.extent_pages, placed.extent_vm) - placed.extent_pages
    return Backing(start=guests.base[placed.extent_vm] + place, pfn=placed.extent_pfn)


def private_extents(
    guests: Guests, inodes: Inodes, schedule: TeardownSchedule, placed: Placed, backing: Backing
) -> PrivateExtents:
    """
    Return the private memory that admitted SNP guests assign before they depart, or before the horizon.

    Parameters
    ----------
    guests, inodes, schedule, placed, backing : Guests, Inodes, TeardownSchedule, Placed, Backing
        Of the same VMs.

    Returns
    -------
    PrivateExtents
        Each within one physical extent.
    """
    inode = np.flatnonzero(placed.admitted[inodes.vm])
    end = schedule.high[inode]
    big_low = np.minimum(inodes.big_low[inode], end)
    big_high = np.maximum(schedule.big_high[inode], big_low)
    folio = guests.folio_pages[inodes.vm[inode]]
    page_ns, big_page_ns = schedule.page_ns[inode], schedule.big_page_ns[inode]
    ones = np.ones_like(folio)

    def interleave(head: Int64Array, middle: Int64Array, tail: Int64Array) -> Int64Array:
        return np.stack([head, middle, tail], axis=1).ravel()

    parts = PrivateExtents(
        low=interleave(inodes.low[inode], big_low, big_high),
        high=interleave(big_low, big_high, end),
        inode=interleave(inode, inode, inode),
        folio_pages=interleave(ones, folio, ones),
        page_ns=interleave(page_ns, big_page_ns, page_ns),
    )
    return parts.where(parts.low < parts.high).cut(backing.start)


def contiguous(low: Int64Array, high: Int64Array, backing: Backing) -> tuple[Int64Array, Int64Array, Int64Array]:
    """
    Return ranges of guest pages cut into contiguous host memory.

    Parameters
    ----------
    low, high : (n,) int64
        Ascending, disjoint, of placed VMs; empty ones give nothing.
    backing : Backing
        Where guest pages lie.

    Returns
    -------
    pfn, npages : (k,) int64
        Physical extents.
    source : (k,) int64
        The range that each belongs to.
    """
    kept = np.flatnonzero(low < high)
    low, high, source = cut(low[kept], high[kept], backing.start)
    return backing.pfn_at(low), high - low, kept[source]
