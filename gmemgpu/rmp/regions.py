"""What is known of each region of a host: how many pages are assigned, to whom, and which one comes first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.model.trace import Int16Array, Int32Array, Int64Array
from gmemgpu.rmp.image import WORDS_PER_REGION, Words
from gmemgpu.rmp.scan import RegionScan
from gmemgpu.units import PAGES_PER_BLOCK, PAGES_PER_REGION

__all__ = ["OWNERS_KEPT", "Ownership", "Regions", "first_pages", "no_regions"]

OWNERS_KEPT = 8
"""Owners that are named of a region; of the rest only their pages are counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Ownership:
    """
    Whose the assigned pages of each region are; arrays have a row for each region.

    Parameters
    ----------
    large : (n,) int32
        Pages assigned by entries of 2 MiB.
    firmware : (n,) int32
        Pages of ASID 0: firmware's, and those of the RMP itself.
    vmsa : (n,) int32
        Guests' pages that hold a VMSA; 0 where the layout does not tell.
    first_asid : (n,) int64
        Owner of the first assigned page, -1 for none.
    asid : (n, 8) int64
        The owners with the most pages, most first, then by ASID; -1 for none.
    pages : (n, 8) int32
        Their pages.
    """

    large: Int32Array
    firmware: Int32Array
    vmsa: Int32Array
    first_asid: Int64Array
    asid: Int64Array
    pages: Int32Array


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """
    What files tell of a host's regions, from that of address 0 on.

    Parameters
    ----------
    scan : RegionScan
        Assigned pages and first assigned block.
    known : (n,) int32
        Pages that a file tells of; 0 where none does.
    first_pfn : (n,) int64
        First assigned page, -1 for none.
    owners : Ownership or None
        None if files do not tell.
    """

    scan: RegionScan
    known: Int32Array
    first_pfn: Int64Array
    owners: Ownership | None

    def __len__(self) -> int:
        return len(self.known)


def no_regions(n: int, *, owned: bool) -> Regions:
    """
    Return regions of which nothing is assigned and nothing is known, to be filled.

    Parameters
    ----------
    n : int
        How many.
    owned : bool
        Whether there is room for owners.

    Returns
    -------
    Regions
        Writable.
    """
    owners = None
    if owned:
        owners = Ownership(
            large=np.zeros(n, np.int32),
            firmware=np.zeros(n, np.int32),
            vmsa=np.zeros(n, np.int32),
            first_asid=np.full(n, -1, np.int64),
            asid=np.full((n, OWNERS_KEPT), -1, np.int64),
            pages=np.zeros((n, OWNERS_KEPT), np.int32),
        )
    scan = RegionScan(np.zeros(n, np.int32), np.full(n, -1, np.int16))
    return Regions(scan, np.zeros(n, np.int32), np.full(n, -1, np.int64), owners)


def first_pages(words: Words, first: Int16Array) -> Int32Array:
    """
    Find the first assigned page of each region.

    Parameters
    ----------
    words : (n, 4096) uint64
        Images, as of `gmemgpu.rmp.image.rmp_image`.
    first : (n,) int16
        First assigned block of each, -1 for none.

    Returns
    -------
    (n,) int32
        Page within the region, -1 for none.
    """
    per_block = WORDS_PER_REGION * PAGES_PER_BLOCK // PAGES_PER_REGION
    rows = np.flatnonzero(first >= 0)
    block = words.reshape(-1, WORDS_PER_REGION // per_block, per_block)[rows, first[rows]]
    word = (block != 0).argmax(axis=1)
    value = block[np.arange(len(rows)), word]
    # What is below the lowest set bit, counted.
    bit = np.bitwise_count(~value & (value - np.uint64(1)))
    found = np.full(len(first), -1, np.int32)
    found[rows] = first[rows].astype(np.int32) * PAGES_PER_BLOCK + word * 64 + bit
    return found
