"""Run-time conversions: a guest shares a small extent for a while and takes it back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.lifecycle.event_columns import END_OF_LIFE, RUN_TIME, EventColumns
from gmemgpu.lifecycle.guest import Guests, Inodes
from gmemgpu.lifecycle.guest_pages import Backing, step_index
from gmemgpu.lifecycle.launch import Launch
from gmemgpu.lifecycle.rare_event import poisson_points
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.vmtable.random_stream import NEVER_NS, Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.guest_memory import GuestMemory

__all__ = ["Conversions", "conversions_of", "add_conversions"]

_NS_PER_US = 1000
_STEP = 4
_SHARE, _USE, _BACK, _UNUSE = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conversions:
    """
    Extents shared for a while, by VM and then by time; a VM has at most one at a time.

    Parameters
    ----------
    vm, inode : (k,) int64
        Whose.
    low, npages : (k,) int64
        First page on the line of guest pages, and length; inside one block.
    begin_ns, end_ns : (k,) int64
        End is when the extent is private again, or the guest departs.
    returns : (k,) bool
        Whether it becomes private again before that.
    """

    vm: Int64Array
    inode: Int64Array
    low: Int64Array
    npages: Int64Array
    begin_ns: Int64Array
    end_ns: Int64Array
    returns: BoolArray


def conversions_of(
    guests: Guests, inodes: Inodes, launch: Launch, vms: VmTable, memory: GuestMemory, *, horizon_ns: int, seed: int
) -> Conversions:
    """
    Draw the run-time conversions of every SNP guest, from the end of its launch until it departs.

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
        Of the draws.

    Returns
    -------
    Conversions
        Of all SNP guests, admitted or not.
    """
    n = len(guests.n_pages)
    end = np.minimum(vms.departure_ns[:n], horizon_ns)
    start = guests.base + guests.shared_pages
    running = vms.snp[:n] & (launch.assigned_end > start)
    # The guests' running times, one after the other, make one line of microseconds: whole ns might not fit 63 bits.
    span_us = np.where(running, np.maximum(end - launch.booted_ns, 0), 0) // _NS_PER_US
    line = np.cumsum(span_us)
    length = int(line[-1]) if n and memory.conversions_per_s > 0 else 0
    mean_gap_us = 1e6 / memory.conversions_per_s if length else 1.0
    at = poisson_points(Stream(seed, Purpose.CONVERSION), length, mean_gap_us)
    vm = np.searchsorted(line, at, side="right").astype(np.int64)
    begin_ns = launch.booted_ns[vm] + (at - (line - span_us)[vm]) * _NS_PER_US

    k = len(vm)
    smallest, largest = memory.conversion_min_pages.bit_length() - 1, memory.conversion_max_pages.bit_length()
    size = 1 << Stream(seed, Purpose.CONVERSION_EXTENT, 0).integers(k, smallest, largest)
    place = Stream(seed, Purpose.CONVERSION_EXTENT, 1).uniform(k)
    hold = Stream(seed, Purpose.CONVERSION_EXTENT, 2).exponential(k) * memory.conversion_hold_ns
    # Aligned to its size in guest memory, so that it lies in one block, which is contiguous in host memory too.
    page = guests.shared_pages[vm] + np.floor(place * (launch.assigned_end - start)[vm]).astype(np.int64)
    low = guests.base[vm] + page // size * size
    npages = np.minimum(size, launch.assigned_end[vm] - low)

    follows = np.append(vm[1:] == vm[:-1], False) if k else np.zeros(0, np.bool_)
    limit = np.where(follows, np.append(begin_ns[1:], 0), end[vm])
    back_ns = begin_ns + np.rint(np.minimum(hold, NEVER_NS)).astype(np.int64)
    # A guest cannot share what it has not touched yet.
    there = launch.t_ns[step_index(launch.low, low + npages - 1)] < begin_ns if k else follows
    return Conversions(
        vm=vm[there],
        inode=step_index(inodes.low, low)[there],
        low=low[there],
        npages=npages[there],
        begin_ns=begin_ns[there],
        end_ns=np.minimum(back_ns, limit)[there],
        returns=(follows | (back_ns < limit))[there],
    )


def add_conversions(events: EventColumns, conversions: Conversions, admitted: BoolArray, backing: Backing) -> None:
    """
    Add the conversions of admitted guests.

    Parameters
    ----------
    events : EventColumns
        Gets the events.
    conversions : Conversions
        Of all guests.
    admitted : (n,) bool
        Whether each VM got in.
    backing : Backing
        Where guest pages lie.
    """
    kept = np.flatnonzero(admitted[conversions.vm])
    rank = RUN_TIME + _STEP * kept
    pfn = backing.pfn_at(conversions.low[kept])
    back = conversions.returns[kept]
    npages, vm, inode = conversions.npages[kept], conversions.vm[kept], conversions.inode[kept]
    begin_ns, end_ns = conversions.begin_ns[kept], conversions.end_ns[kept]
    # Part of a folio is converted: Linux would split the folio first, so its size is one page here.
    events.add(Kind.SHARE, begin_ns, rank + _SHARE, pfn=pfn, npages=npages, vm=vm, inode=inode, folio_pages=1)
    events.add(Kind.USE, begin_ns, rank + _USE, pfn=pfn, npages=npages, vm=vm, inode=inode, folio_pages=1)
    events.add(
        Kind.ASSIGN,
        end_ns[back],
        rank[back] + _BACK,
        pfn=pfn[back],
        npages=npages[back],
        vm=vm[back],
        inode=inode[back],
        folio_pages=1,
    )
    # A guest that departs meanwhile leaves it as it is: out of use before its memory goes.
    rank = np.where(back, rank + _UNUSE, END_OF_LIFE)
    events.add(Kind.UNUSE, end_ns, rank, pfn=pfn, npages=npages, vm=vm, inode=inode, folio_pages=1)
