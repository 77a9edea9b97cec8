"""What each guest's memory is made of, before it is known where it lies: shared part, inodes, folios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.errors import Problem, SpecError
from gmemgpu.lifecycle.guest_pages import offsets_within
from gmemgpu.lifecycle.rare_event import binomial, hits
from gmemgpu.model.trace import Int64Array
from gmemgpu.placement.displaced import Displaced, no_displaced
from gmemgpu.units import BLOCK_BYTES, PAGES_PER_BLOCK, PAGES_PER_REGION
from gmemgpu.vmtable.random_stream import Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.guest_memory import FOLIO_PAGES_BY_NAME, GuestMemory

__all__ = ["Guests", "Inodes", "guests_of", "inodes_of", "displaced_of"]

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Guests:
    """
    Every VM that arrives before the horizon; index = row of the VM table = VM id.

    Parameters
    ----------
    n_blocks : (n,) int64
        Memory in whole blocks.
    n_pages : (n,) int64
        The same in pages.
    base : (n,) int64
        Number of the VM's first page on the line of all guest pages.
    shared_pages : (n,) int64
        Length of the shared part, which comes first: Linux puts swiotlb low. 0 for ordinary guests.
    folio_pages : (n,) int64
        Backing asked for.
    """

    n_blocks: Int64Array
    n_pages: Int64Array
    base: Int64Array
    shared_pages: Int64Array
    folio_pages: Int64Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inodes:
    """
    The guest_memfds of SNP guests, ascending by VM; index = inode id.

    A guest's blocks are divided evenly. Private pages of an inode are [low, high), of which [big_low, big_high) lie in
    folios of the guest's `folio_pages` and all others in 4 KiB ones. All are numbers on the line of guest pages.

    Parameters
    ----------
    vm : (m,) int64
        Whose.
    first_block, end_block : (m,) int64
        The inode's blocks, counted within the VM; shared ones included.
    low, big_low, big_high, high : (m,) int64
        Bounds as above, in pages.
    is_last : (m,) bool
        Whether this is the last inode of its VM.
    """

    vm: Int64Array
    first_block: Int64Array
    end_block: Int64Array
    low: Int64Array
    big_low: Int64Array
    big_high: Int64Array
    high: Int64Array
    is_last: np.ndarray


def guests_of(vms: VmTable, memory: GuestMemory, n: int) -> Guests:
    """
    Return the layout of the first `n` VMs of a table.

    Parameters
    ----------
    vms : VmTable
        The VM table.
    memory : GuestMemory
        How guests use memory.
    n : int
        VMs from its top.

    Returns
    -------
    Guests
        One entry a VM.

    Raises
    ------
    SpecError
        If a VM asks for 1 GiB folios and placement gives no whole regions.
    """
    n_blocks = -(-vms.memory_bytes[:n] // BLOCK_BYTES)
    wanted = np.rint(vms.memory_bytes[:n] * memory.shared_fraction).astype(np.int64)
    shared_bytes = np.clip(wanted, memory.shared_min_bytes, memory.shared_max_bytes)
    shared_blocks = np.where(vms.snp[:n], np.minimum(-(-shared_bytes // BLOCK_BYTES), n_blocks), 0)
    named = vms.folio_pages[:n].astype(np.int64)
    folio_pages = np.where(named == 0, FOLIO_PAGES_BY_NAME[memory.folio], named)
    if memory.placement != "pool_1g":
        rows = np.flatnonzero((folio_pages == PAGES_PER_REGION) & vms.snp[:n])
        if rows.size:
            raise SpecError(
                Problem(
                    f"VM table: row {row}, column folio_pages",
                    f'1 GiB folios cannot be had from placement "{memory.placement}"; use placement "pool_1g"',
                )
                for row in rows[:_SHOWN].tolist()
            )
    n_pages = n_blocks * PAGES_PER_BLOCK
    return Guests(
        n_blocks=n_blocks,
        n_pages=n_pages,
        base=np.cumsum(n_pages) - n_pages,
        shared_pages=shared_blocks * PAGES_PER_BLOCK,
        folio_pages=folio_pages,
    )


def inodes_of(guests: Guests, vms: VmTable, memory: GuestMemory, seed: int) -> Inodes:
    """
    Return the SNP guests' private memory, divided among inodes and folios.

    Parameters
    ----------
    guests : Guests
        Of the same VMs.
    vms : VmTable
        The VM table.
    memory : GuestMemory
        How guests use memory.
    seed : int
        Draws how many 2 MiB folios each guest gets.

    Returns
    -------
    Inodes
        One entry an inode.
    """
    n = len(guests.n_pages)
    snp = np.flatnonzero(vms.snp[:n])
    gmems = np.maximum(vms.gmems[snp].astype(np.int64), 1)
    vm = np.repeat(snp, gmems)
    place, of = offsets_within(gmems), np.repeat(gmems, gmems)
    first_block = guests.n_blocks[vm] * place // of
    end_block = guests.n_blocks[vm] * (place + 1) // of
    base, private = guests.base[vm], guests.base[vm] + guests.shared_pages[vm]
    high = np.maximum(base + end_block * PAGES_PER_BLOCK, private)
    low = np.maximum(base + first_block * PAGES_PER_BLOCK, private)

    # 2 MiB folios come first, one after the other, until no more can be had.
    private_blocks = guests.n_blocks[snp] - guests.shared_pages[snp] // PAGES_PER_BLOCK
    n_big = np.zeros(n, np.int64)
    n_big[snp] = binomial(Stream(seed, Purpose.THP), private_blocks, memory.folio_2m_success)
    big_high = np.clip(private + n_big[vm] * PAGES_PER_BLOCK, low, high)
    big_low = low.copy()
    # Whole regions are 1 GiB folios. A pool's extents begin with a region, so the guest's own GiBs are the host's.
    region_low = base + -(-(low - base) // PAGES_PER_REGION) * PAGES_PER_REGION
    region_high = base + (high - base) // PAGES_PER_REGION * PAGES_PER_REGION
    folio = guests.folio_pages[vm]
    huge = folio == PAGES_PER_REGION
    some = huge & (region_low < region_high)
    big_low = np.where(some, region_low, big_low)
    big_high = np.where(some, region_high, big_high)
    none = (folio == 1) | (huge & ~some)
    return Inodes(
        vm=vm,
        first_block=first_block,
        end_block=end_block,
        low=low,
        big_low=big_low,
        big_high=np.where(none, low, big_high),
        high=high,
        is_last=place == of - 1,
    )


def displaced_of(guests: Guests, memory: GuestMemory, seed: int) -> Displaced:
    """
    Draw which blocks of each guest lie at random.

    Parameters
    ----------
    guests : Guests
        All of them.
    memory : GuestMemory
        How guests use memory.
    seed : int
        Of the draws.

    Returns
    -------
    Displaced
        None where the placement puts all blocks at random.
    """
    n_blocks = guests.n_blocks
    if memory.placement == "scatter" or not memory.displaced:
        return no_displaced(len(n_blocks))
    ends = np.concatenate([[0], np.cumsum(n_blocks)])
    number = hits(Stream(seed, Purpose.DISPLACED), int(ends[-1]), memory.displaced)
    first = np.searchsorted(number, ends)
    return Displaced(first=first, block=number - np.repeat(ends[:-1], np.diff(first)))
