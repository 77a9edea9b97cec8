"""When each inode is evicted and each block returns: known before placement, as it depends on the guest alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.lifecycle.guest import Guests, Inodes
from gmemgpu.lifecycle.guest_pages import running_sum
from gmemgpu.lifecycle.launch import Launch
from gmemgpu.lifecycle.rare_event import hits
from gmemgpu.lifecycle.split_folio import SplitFolios
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import PAGES_PER_REGION
from gmemgpu.vmtable.random_stream import NEVER_NS, Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.guest_memory import GuestMemory

__all__ = ["TeardownSchedule", "Faults", "schedule_of", "faults_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TeardownSchedule:
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
    split_end_ns : (k,) int64
        When the last page of each split folio is converted.
    """

    high: Int64Array
    big_high: Int64Array
    page_ns: Int64Array
    big_page_ns: Int64Array
    begin_ns: Int64Array
    end_ns: Int64Array
    free_ns: Int64Array
    destroy_ns: Int64Array
    split_end_ns: Int64Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Faults:
    """
    Pages that leave late or never.

    Parameters
    ----------
    leaked : (k,) int64
        Pages that stay assigned, on the line of guest pages, ascending.
    pinned : (l,) int64
        First pages of folios that a DMA pin holds, likewise; some may have leaked.
    pinned_pages : (l,) int64
        Pages of each such folio.
    unpinned_ns : (l,) int64
        When each pin is dropped.
    shared_pinned, shared_unpinned_ns : (j,) int64
        The same of pages of guests' shared parts.
    merged_ns : (k,) int64
        When each split folio is whole again; `NEVER_NS` if one of its pages leaked.
    """

    leaked: Int64Array
    pinned: Int64Array
    pinned_pages: Int64Array
    unpinned_ns: Int64Array
    shared_pinned: Int64Array
    shared_unpinned_ns: Int64Array
    merged_ns: Int64Array


def schedule_of(
    guests: Guests,
    inodes: Inodes,
    launch: Launch,
    split: SplitFolios,
    vms: VmTable,
    memory: GuestMemory,
    *,
    horizon_ns: int,
    seed: int,
) -> TeardownSchedule:
    """
    Compute the teardown times of every SNP guest: its inodes one after another, each page at its folio's cost.

    Parameters
    ----------
    guests, inodes, launch, split : Guests, Inodes, Launch, SplitFolios
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
    TeardownSchedule
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
    n_split_pages = np.bincount(split.inode, minlength=len(vm)) * PAGES_PER_REGION
    n_big: Int64Array = np.maximum(big_high - inodes.big_low, 0) - n_split_pages
    duration = (high - inodes.low - n_big) * page_ns + n_big * big_page_ns
    departure = np.minimum(vms.departure_ns[:n], horizon_ns)
    # The inodes of a VM are evicted one after another.
    end_ns = departure[vm] + running_sum(duration, vm)
    begin_ns = end_ns - duration
    grace = Stream(seed, Purpose.RCU).lognormal(len(vm), float(memory.rcu_median_ns), memory.rcu_sigma)
    grace_ns = np.maximum(np.rint(np.minimum(grace, NEVER_NS)).astype(np.int64), memory.rcu_min_ns)
    of = split.inode
    split_end_ns = begin_ns[of] + (inodes.big_low - inodes.low)[of] * page_ns[of]
    split_end_ns += PAGES_PER_REGION * ((split.n_split + 1) * page_ns[of] + split.n_whole * big_page_ns[of])
    destroy_ns = departure.copy()
    destroy_ns[vm[inodes.is_last]] = begin_ns[inodes.is_last]
    return TeardownSchedule(
        high=high,
        big_high=big_high,
        page_ns=page_ns,
        big_page_ns=big_page_ns,
        begin_ns=begin_ns,
        end_ns=end_ns,
        free_ns=end_ns + grace_ns,
        destroy_ns=destroy_ns,
        split_end_ns=split_end_ns,
    )


def faults_of(
    guests: Guests,
    inodes: Inodes,
    schedule: TeardownSchedule,
    split: SplitFolios,
    memory: GuestMemory,
    *,
    horizon_ns: int,
    seed: int,
) -> Faults:
    """
    Draw which pages of departing guests leak and which folios are pinned.

    Parameters
    ----------
    guests, inodes, schedule, split : Guests, Inodes, TeardownSchedule, SplitFolios
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
    big = (page >= inodes.big_low[inode]) & (page < schedule.big_high[inode]) & (split.at(page) < 0)
    folio_pages = np.where(big, guests.folio_pages[inodes.vm[inode]], 1)
    is_head = (page - inodes.big_low[inode]) % folio_pages == 0
    # Some of these pages leaked as well. They never go, pinned or not; the pin holds the rest of a larger folio.
    held = is_head & (page < schedule.high[inode]) & (schedule.begin_ns[inode] < horizon_ns)
    unpinned_ns = schedule.begin_ns[inode[held]] + delay_ns[held]
    shared_pinned, shared_unpinned_ns = _shared_pins(guests, inodes, schedule, memory, horizon_ns, seed)
    return Faults(
        leaked=leaked,
        pinned=page[held],
        pinned_pages=folio_pages[held],
        unpinned_ns=unpinned_ns,
        shared_pinned=shared_pinned,
        shared_unpinned_ns=shared_unpinned_ns,
        merged_ns=_merged_ns(split, schedule, leaked, page[held], unpinned_ns, memory.merge_ns),
    )


def _shared_pins(
    guests: Guests, inodes: Inodes, schedule: TeardownSchedule, memory: GuestMemory, horizon_ns: int, seed: int
) -> tuple[Int64Array, Int64Array]:
    # Pages of guests' shared parts that a DMA pin holds, and until when.
    line = np.cumsum(guests.shared_pages)
    length = int(line[-1]) if len(line) else 0
    number = hits(Stream(seed, Purpose.SHARED_PIN), length, memory.shared_pinned_share)
    delay = Stream(seed, Purpose.SHARED_PIN_DELAY).lognormal(len(number), float(memory.pin_median_ns), memory.pin_sigma)
    vm = np.searchsorted(line, number, side="right").astype(np.int64)
    first = np.searchsorted(inodes.vm, vm)
    held = schedule.begin_ns[first] < horizon_ns
    page = guests.base[vm] + number - (line - guests.shared_pages)[vm]
    unpinned_ns = schedule.begin_ns[first] + np.rint(np.minimum(delay, NEVER_NS)).astype(np.int64)
    return page[held], unpinned_ns[held]


def _merged_ns(
    split: SplitFolios,
    schedule: TeardownSchedule,
    leaked: Int64Array,
    pinned: Int64Array,
    unpinned_ns: Int64Array,
    merge_ns: int,
) -> Int64Array:
    freed_ns = schedule.split_end_ns.copy()
    of = split.at(pinned)
    np.maximum.at(freed_ns, of[of >= 0], unpinned_ns[of >= 0])
    merged_ns = np.minimum(freed_ns, NEVER_NS - merge_ns) + merge_ns
    of = split.at(leaked)
    merged_ns[of[of >= 0]] = NEVER_NS
    return merged_ns
