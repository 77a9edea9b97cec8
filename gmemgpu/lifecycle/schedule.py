"""When each inode is evicted and each block returns: known before placement, as it depends on the guest alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.lifecycle.guest import Guests, Inodes
from gmemgpu.lifecycle.guest_pages import running_sum
from gmemgpu.lifecycle.launch import Launch
from gmemgpu.lifecycle.rare_event import hits
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import PAGES_PER_REGION
from gmemgpu.vmtable.random_stream import NEVER_NS, Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.guest_memory import GuestMemory

__all__ = ["Schedule", "Faults", "schedule_of", "faults_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """
    Teardown times; index = inode id, but for `destroy_ns`.

    Parameters
    ----------
    high : (m,) int64
        End of the inode's assigned pages on the line of guest pages.
    big_high : (m,) int64
        End of those in big folios.
    page_ns, big_page_ns : (m,) int64
        Conversion time of a page in 4 KiB folios and in big ones.
    begin_ns, end_ns : (m,) int64
        `evict_begin` and `evict_end`.
    free_ns : (m,) int64
        `inode_free`.
    destroy_ns : (n,) int64
        `vm_destroy` of each SNP guest; of an ordinary one its departure.
    """

    high: Int64Array
    big_high: Int64Array
    page_ns: Int64Array
    big_page_ns: Int64Array
    begin_ns: Int64Array
    end_ns: Int64Array
    free_ns: Int64Array
    destroy_ns: Int64Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Faults:
    """
    Private pages that leave late or never.

    Parameters
    ----------
    leaked : (k,) int64
        Pages that stay assigned, on the line of guest pages, ascending.
    pinned : (l,) int64
        First pages of folios that a DMA pin holds, likewise.
    pinned_pages : (l,) int64
        Pages of each such folio.
    unpinned_ns : (l,) int64
        When each pin is dropped.
    """

    leaked: Int64Array
    pinned: Int64Array
    pinned_pages: Int64Array
    unpinned_ns: Int64Array


def schedule_of(
    guests: Guests, inodes: Inodes, launch: Launch, vms: VmTable, memory: GuestMemory, *, horizon_ns: int, seed: int
) -> Schedule:
    """
    Compute the teardown times of every SNP guest: its inodes one after another, each page at its folio's cost.

    Parameters
    ----------
    guests, inodes, launch : Guests, Inodes, Launch
        Of the same VMs.
    vms : VmTable
        The VM table.
    memory : GuestMemory
        How guests use memory.
    horizon_ns : int
        End of the trace.
    seed : int
        Draws conversion speeds and grace periods.

    Returns
    -------
    Schedule
        Of all SNP guests, admitted or not.
    """
    n, vm = len(guests.n_pages), inodes.vm
    snp = np.flatnonzero(vms.snp[:n])
    factor = np.ones(n)
    factor[snp] = Stream(seed, Purpose.CONVERT_FACTOR).lognormal(len(snp), 1.0, memory.convert_sigma)
    big_ns = np.where(guests.folio_pages == PAGES_PER_REGION, memory.convert_1g_ns, memory.convert_2m_ns)
    # No guest's conversion takes longer than NEVER_NS: past every horizon, and sums stay within 63 bits.
    longest = NEVER_NS // np.maximum(guests.n_pages, 1)
    page_ns = np.minimum(np.rint(memory.convert_4k_ns * factor), longest).astype(np.int64)[vm]
    big_page_ns = np.minimum(np.rint(big_ns * factor), longest).astype(np.int64)[vm]

    high = np.clip(launch.assigned_end[vm], inodes.low, inodes.high)
    big_high = np.minimum(inodes.big_high, high)
    n_big: Int64Array = np.maximum(big_high - inodes.big_low, 0)
    duration = (high - inodes.low - n_big) * page_ns + n_big * big_page_ns
    departure = np.minimum(vms.departure_ns[:n], horizon_ns)
    # The inodes of a VM are evicted one after another.
    end_ns = departure[vm] + running_sum(duration, vm)
    begin_ns = end_ns - duration
    grace = Stream(seed, Purpose.RCU).lognormal(len(vm), float(memory.rcu_median_ns), memory.rcu_sigma)
    grace_ns = np.maximum(np.rint(np.minimum(grace, NEVER_NS)).astype(np.int64), memory.rcu_min_ns)
    destroy_ns = departure.copy()
    destroy_ns[vm[inodes.is_last]] = begin_ns[inodes.is_last]
    return Schedule(
        high=high,
        big_high=big_high,
        page_ns=page_ns,
        big_page_ns=big_page_ns,
        begin_ns=begin_ns,
        end_ns=end_ns,
        free_ns=end_ns + grace_ns,
        destroy_ns=destroy_ns,
    )


def faults_of(
    guests: Guests, inodes: Inodes, schedule: Schedule, memory: GuestMemory, *, horizon_ns: int, seed: int
) -> Faults:
    """
    Draw which pages of departing guests leak and which folios are pinned.

    Parameters
    ----------
    guests, inodes, schedule : Guests, Inodes, Schedule
        Of the same VMs.
    memory : GuestMemory
        How guests use memory.
    horizon_ns : int
        End of the trace.
    seed : int
        Of the draws.

    Returns
    -------
    Faults
        Of all SNP guests, admitted or not.
    """
    # Every private page has its number, torn down or not: what a longer trace adds does not move earlier faults.
    line = np.cumsum(inodes.high - inodes.low)
    length = int(line[-1]) if len(line) else 0
    starts = line - (inodes.high - inodes.low)

    def pages_hit(purpose: Purpose, chance: float) -> tuple[Int64Array, Int64Array]:
        numbers = hits(Stream(seed, purpose), length, chance)
        inode = np.searchsorted(line, numbers, side="right").astype(np.int64)
        return inodes.low[inode] + numbers - starts[inode], inode

    leaked, inode = pages_hit(Purpose.LEAK, memory.leak_per_page)
    leaked = leaked[(leaked < schedule.high[inode]) & (schedule.begin_ns[inode] < horizon_ns)]

    # A folio is pinned if its first page is drawn: the same chance for folios of any size.
    page, inode = pages_hit(Purpose.PIN, memory.pinned_share)
    delay = Stream(seed, Purpose.PIN_DELAY).lognormal(len(page), float(memory.pin_median_ns), memory.pin_sigma)
    delay_ns = np.rint(np.minimum(delay, NEVER_NS)).astype(np.int64)
    big = (page >= inodes.big_low[inode]) & (page < schedule.big_high[inode])
    folio_pages = np.where(big, guests.folio_pages[inodes.vm[inode]], 1)
    is_head = (page - inodes.big_low[inode]) % folio_pages == 0
    # A page that leaked is not freed: only the rest of a larger folio can be pinned.
    goes = (folio_pages > 1) | ~np.isin(page, leaked)
    held = is_head & goes & (page < schedule.high[inode]) & (schedule.begin_ns[inode] < horizon_ns)
    return Faults(
        leaked=leaked,
        pinned=page[held],
        pinned_pages=folio_pages[held],
        unpinned_ns=schedule.begin_ns[inode[held]] + delay_ns[held],
    )
