"""Events from an SNP guest's departure on: eviction inode by inode, `vm_destroy` before the last, grace periods."""

from __future__ import annotations

import numpy as np

from gmemgpu.lifecycle.admission import Placed
from gmemgpu.lifecycle.event_columns import END_OF_LIFE, EventColumns
from gmemgpu.lifecycle.guest import Guests, Inodes
from gmemgpu.lifecycle.guest_pages import Backing, cut, regular_cuts, running_sum, step_index
from gmemgpu.lifecycle.private_memory import PrivateExtents, contiguous
from gmemgpu.lifecycle.schedule import Faults, TeardownSchedule
from gmemgpu.lifecycle.split_folio import SplitFolios
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.units import PAGES_PER_REGION
from gmemgpu.workload.guest_memory import GuestMemory

__all__ = ["add_teardowns"]

# Order at equal times. Every inode has a slot for its beginning, one for each of its pieces and one for its end.
_SLOT = 8
_KERNEL_PAGES, _DESTROY, _EVICT_BEGIN, _UNUSE = 0, 1, 2, 3
_INVALIDATE, _RELEASE, _FREED, _MERGED = 0, 1, 2, 3
_EVICT_END, _INODE_FREE = 0, 1


def add_teardowns(
    events: EventColumns,
    private: PrivateExtents,
    guests: Guests,
    inodes: Inodes,
    schedule: TeardownSchedule,
    split: SplitFolios,
    faults: Faults,
    placed: Placed,
    backing: Backing,
    memory: GuestMemory,
) -> None:
    """
    Add what happens when admitted SNP guests depart.

    Parameters
    ----------
    events : EventColumns
        Gets the events.
    private : PrivateExtents
        Assigned memory.
    guests, inodes, schedule, split, faults : Guests, Inodes, TeardownSchedule, SplitFolios, Faults
        Of the same VMs.
    placed, backing : Placed, Backing
        Of the same VMs.
    memory : GuestMemory
        How guests use memory.
    """
    pieces = _granules(_split(private, schedule, split), guests, inodes, faults, memory)
    # Slots count pieces and two more for each inode before; inodes without pieces have theirs all the same.
    ids = np.arange(len(inodes.vm))
    begin_slot = np.searchsorted(pieces.inode, ids) + 2 * ids
    end_slot = np.searchsorted(pieces.inode, ids, side="right") + 2 * ids + 1
    piece_rank = END_OF_LIFE + _SLOT * (np.arange(len(pieces.low)) + 2 * pieces.inode + 1)
    begin_rank = END_OF_LIFE + _SLOT * begin_slot
    end_rank = END_OF_LIFE + _SLOT * end_slot

    evicted = np.flatnonzero(placed.admitted[inodes.vm])
    vm = inodes.vm[evicted]
    events.add(Kind.EVICT_BEGIN, schedule.begin_ns[evicted], begin_rank[evicted] + _EVICT_BEGIN, vm=vm, inode=evicted)
    events.add(Kind.EVICT_END, schedule.end_ns[evicted], end_rank[evicted] + _EVICT_END, vm=vm, inode=evicted)
    events.add(Kind.INODE_FREE, schedule.free_ns[evicted], end_rank[evicted] + _INODE_FREE, vm=vm, inode=evicted)
    last = evicted[inodes.is_last[evicted]]
    events.add(Kind.VM_DESTROY, schedule.begin_ns[last], begin_rank[last] + _DESTROY, vm=inodes.vm[last])
    _add_pieces(events, pieces, piece_rank, inodes, schedule, faults, backing)
    _add_merged(events, pieces, piece_rank, inodes, split, faults, placed, backing)
    _add_kernel_pages(events, begin_rank, last, inodes, schedule, placed)

    first = evicted[np.diff(vm, prepend=-1) != 0]
    low = guests.base[inodes.vm[first]]
    # What a DMA pin holds of the shared part stays in use until the pin is dropped.
    pins = faults.shared_pinned
    low, high, of = cut(low, low + guests.shared_pages[inodes.vm[first]], np.union1d(pins, pins + 1))
    unused_ns = schedule.begin_ns[first[of]]
    if len(pins):
        pin = np.maximum(step_index(pins, low), 0)
        unused_ns = np.where(pins[pin] == low, faults.shared_unpinned_ns[pin], unused_ns)
    pfn, npages, source = contiguous(low, high, backing)
    unused_ns, source = unused_ns[source], first[of[source]]
    events.add(
        Kind.UNUSE,
        unused_ns,
        begin_rank[source] + _UNUSE,
        pfn=pfn,
        npages=npages,
        vm=inodes.vm[source],
        folio_pages=1,
    )


def _split(private: PrivateExtents, schedule: TeardownSchedule, split: SplitFolios) -> PrivateExtents:
    # Extents as they are when their guest departs: split folios in pages.
    if not len(split.low):
        return private
    pieces = private.cut(split.borders)
    inside = split.at(pieces.low) >= 0
    return PrivateExtents(
        low=pieces.low,
        high=pieces.high,
        inode=pieces.inode,
        folio_pages=np.where(inside, 1, pieces.folio_pages),
        page_ns=np.where(inside, schedule.page_ns[pieces.inode], pieces.page_ns),
    )


def _granules(
    pieces: PrivateExtents, guests: Guests, inodes: Inodes, faults: Faults, memory: GuestMemory
) -> PrivateExtents:
    # A leaked page is a piece of its own; a folio is converted whole, even where the granule is smaller.
    pieces = pieces.cut(np.union1d(faults.leaked, faults.leaked + 1))
    step = np.maximum(memory.granule_pages // pieces.folio_pages, 1) * pieces.folio_pages
    return pieces.cut(regular_cuts(guests.base[inodes.vm[pieces.inode]], pieces.low, pieces.high, step))


def _add_pieces(
    events: EventColumns,
    pieces: PrivateExtents,
    rank: Int64Array,
    inodes: Inodes,
    schedule: TeardownSchedule,
    faults: Faults,
    backing: Backing,
) -> None:
    duration = (pieces.high - pieces.low) * pieces.page_ns
    end_ns = schedule.begin_ns[pieces.inode] + running_sum(duration, pieces.inode)
    pfn = backing.pfn_at(pieces.low)
    npages, vm = pieces.high - pieces.low, inodes.vm[pieces.inode]
    events.add(
        Kind.INVALIDATE,
        end_ns - duration,
        rank + _INVALIDATE,
        pfn=pfn,
        npages=npages,
        vm=vm,
        inode=pieces.inode,
        folio_pages=pieces.folio_pages,
    )
    leaked = np.isin(pieces.low, faults.leaked)
    # Its conversion failed: the page stays assigned, and no guest_memfd owns it any more.
    events.add(Kind.ASSIGN, end_ns[leaked], rank[leaked] + _RELEASE, pfn=pfn[leaked], npages=1, folio_pages=1)
    left = ~leaked
    events.add(
        Kind.RELEASE,
        end_ns[left],
        rank[left] + _RELEASE,
        pfn=pfn[left],
        npages=npages[left],
        vm=vm[left],
        inode=pieces.inode[left],
        folio_pages=pieces.folio_pages[left],
    )
    _add_freed(events, pieces, left, end_ns, rank, inodes, faults, backing)


def _add_freed(
    events: EventColumns,
    pieces: PrivateExtents,
    left: BoolArray,
    end_ns: Int64Array,
    rank: Int64Array,
    inodes: Inodes,
    faults: Faults,
    backing: Backing,
) -> None:
    low, high, source = pieces.low[left], pieces.high[left], np.flatnonzero(left)
    freed_ns = end_ns[source]
    if len(faults.pinned):
        # A pinned folio goes when its pin does, all of it but for pages that leaked.
        pin_low, pin_high = faults.pinned, faults.pinned + faults.pinned_pages
        low, high, at = cut(low, high, np.union1d(pin_low, pin_high))
        source, freed_ns = source[at], freed_ns[at]
        pin = np.maximum(step_index(pin_low, low), 0)
        held = (pin_low[pin] <= low) & (low < pin_high[pin])
        freed_ns = np.where(held, np.maximum(freed_ns, faults.unpinned_ns[pin]), freed_ns)
    inode = pieces.inode[source]
    events.add(
        Kind.FREED,
        freed_ns,
        rank[source] + _FREED,
        pfn=backing.pfn_at(low),
        npages=high - low,
        vm=inodes.vm[inode],
        inode=inode,
        folio_pages=pieces.folio_pages[source],
    )


def _add_merged(
    events: EventColumns,
    pieces: PrivateExtents,
    rank: Int64Array,
    inodes: Inodes,
    split: SplitFolios,
    faults: Faults,
    placed: Placed,
    backing: Backing,
) -> None:
    # A split folio is given back whole, some time after its last page was freed.
    vm = inodes.vm[split.inode]
    kept = placed.admitted[vm]
    low = split.low[kept]
    last_piece = step_index(pieces.low, low + PAGES_PER_REGION - 1)
    events.add(
        Kind.FREED,
        faults.merged_ns[kept],
        rank[last_piece] + _MERGED,
        pfn=backing.pfn_at(low),
        npages=PAGES_PER_REGION,
        vm=vm[kept],
        inode=split.inode[kept],
        folio_pages=PAGES_PER_REGION,
    )


def _add_kernel_pages(
    events: EventColumns,
    begin_rank: Int64Array,
    last: Int64Array,
    inodes: Inodes,
    schedule: TeardownSchedule,
    placed: Placed,
) -> None:
    # Context and VMSA pages are HV-owned again when the VM is destroyed, at the start of its last inode's eviction.
    inode = last[np.searchsorted(inodes.vm[last], placed.page_vm)]
    events.add(
        Kind.RELEASE,
        schedule.begin_ns[inode],
        begin_rank[inode] + _KERNEL_PAGES,
        pfn=placed.page_pfn,
        npages=1,
        vm=placed.page_vm,
        folio_pages=1,
    )
