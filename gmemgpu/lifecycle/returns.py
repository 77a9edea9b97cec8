"""From teardown times to what the allocator gets back when."""

from __future__ import annotations

import numpy as np

from gmemgpu.lifecycle.admission import GivenBack
from gmemgpu.lifecycle.guest import Guests, Inodes
from gmemgpu.lifecycle.guest_pages import cut, step_index
from gmemgpu.lifecycle.schedule import Faults, TeardownSchedule
from gmemgpu.lifecycle.split_folio import SplitFolios
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import PAGES_PER_BLOCK
from gmemgpu.vmtable.table import VmTable

__all__ = ["returns_of"]


def returns_of(
    guests: Guests,
    inodes: Inodes,
    schedule: TeardownSchedule,
    split: SplitFolios,
    faults: Faults,
    vms: VmTable,
    n_kernel_pages: Int64Array,
    *,
    horizon_ns: int,
) -> GivenBack:
    """
    Return when all VMs' memory goes back, as though all got in.

    An inode's blocks return at its `evict_end`, a block with a pinned folio when the pin is dropped, if that is later,
    those of a split folio when it is merged, and one with a leaked page never; an ordinary guest's at its departure;
    kernel pages at `vm_destroy`.

    Parameters
    ----------
    guests, inodes, schedule, split, faults : Guests, Inodes, TeardownSchedule, SplitFolios, Faults
        Of the same VMs.
    vms : VmTable
        The VM table.
    n_kernel_pages : (n,) int64
        Context and VMSA pages of each VM.
    horizon_ns : int
        Later returns do not matter.

    Returns
    -------
    GivenBack
        In no order of time, none at or after the horizon.
    """
    n = len(guests.n_blocks)
    with_pages = np.flatnonzero(n_kernel_pages)
    ordinary = np.flatnonzero(~vms.snp[:n])
    vm, first, end, t_ns = _inode_returns(guests, inodes, schedule, split, faults)
    rows = [
        (schedule.destroy_ns[with_pages], with_pages, np.full(len(with_pages), -1), np.full(len(with_pages), -1)),
        (t_ns, vm, first, end),
        (schedule.destroy_ns[ordinary], ordinary, np.zeros_like(ordinary), guests.n_blocks[ordinary]),
    ]
    t_ns, vm, first, end = (np.concatenate(column).astype(np.int64) for column in zip(*rows, strict=True))
    keep = t_ns < horizon_ns
    return GivenBack(t_ns=t_ns[keep], vm=vm[keep], first_block=first[keep], end_block=end[keep])


def _inode_returns(
    guests: Guests, inodes: Inodes, schedule: TeardownSchedule, split: SplitFolios, faults: Faults
) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    # Blocks of all guests on one line, as pages are, cut around those that are held back.
    base = guests.base // PAGES_PER_BLOCK
    leaked = np.unique(faults.leaked // PAGES_PER_BLOCK)
    pinned = np.concatenate([faults.pinned, faults.shared_pinned]) // PAGES_PER_BLOCK
    held = np.union1d(leaked, pinned)
    vm = inodes.vm
    borders = np.union1d(np.union1d(held, held + 1), split.borders // PAGES_PER_BLOCK)
    low, high, inode = cut(base[vm] + inodes.first_block, base[vm] + inodes.end_block, borders)
    t_ns = schedule.end_ns[inode]
    if len(split.low):
        of = split.at(low * PAGES_PER_BLOCK)
        t_ns = np.where(of >= 0, np.maximum(t_ns, faults.merged_ns[of]), t_ns)
    if len(held):
        unpinned_ns = np.zeros(len(held), np.int64)
        np.maximum.at(
            unpinned_ns, np.searchsorted(held, pinned), np.concatenate([faults.unpinned_ns, faults.shared_unpinned_ns])
        )
        which = np.maximum(step_index(held, low), 0)
        t_ns = np.where(held[which] == low, np.maximum(t_ns, unpinned_ns[which]), t_ns)
    keep = (low < high) & ~np.isin(low, leaked)
    vm = vm[inode[keep]]
    return vm, low[keep] - base[vm], high[keep] - base[vm], t_ns[keep]
