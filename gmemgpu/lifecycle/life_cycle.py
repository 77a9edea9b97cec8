"""From a VM table to a trace: every VM placed, launched, run and torn down (MODEL.md section 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.lifecycle.admission import Placed
from gmemgpu.lifecycle.arriving import Admission
from gmemgpu.lifecycle.conversion import add_conversions, conversions_of
from gmemgpu.lifecycle.event_columns import ARRIVAL, END_OF_LIFE, EventColumns
from gmemgpu.lifecycle.guest import Guests, Inodes, displaced_of, guests_of, inodes_of
from gmemgpu.lifecycle.guest_pages import Backing, step_index
from gmemgpu.lifecycle.launch import Launch, launch_of
from gmemgpu.lifecycle.private_memory import PrivateExtents, backing_of, contiguous, private_extents
from gmemgpu.lifecycle.returns import returns_of
from gmemgpu.lifecycle.schedule import faults_of, schedule_of
from gmemgpu.lifecycle.snp_times import arrives_before, snp_times
from gmemgpu.lifecycle.split_folio import split_folios
from gmemgpu.lifecycle.teardown import add_teardowns
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Int64Array, Trace
from gmemgpu.placement.choice import compiled_pays, has_compiled
from gmemgpu.placement.host_map import HostMap, map_host
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.guest_memory import GuestMemory
from gmemgpu.workload.snp_life import SnpLife

__all__ = ["GeneratedTrace", "trace_from_vms"]

_SLOT = 4
_KERNEL_PAGES, _USE, _ASSIGN = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedTrace:
    """
    A trace, and how the host coped with its VMs.

    Parameters
    ----------
    trace : Trace
        VM ids are rows of the VM table; inode ids count the SNP guests' guest_memfds in its order.
    admitted, rejected : int
        VMs that arrived before the horizon: those that found room and those that did not.
    extents : int
        Contiguous pieces of host memory that the admitted VMs got in all: `admitted` of them on an unfragmented host.
    running_vm_ns, running_snp_vm_ns : int
        Time that admitted VMs ran between warm-up and horizon, from arrival to departure, summed over all of them and
        over SNP guests alone: divided by that time it is how many ran on average.
    """

    trace: Trace
    admitted: int
    rejected: int
    extents: int
    running_vm_ns: int = 0
    running_snp_vm_ns: int = 0


def trace_from_vms(
    vms: VmTable,
    host: Host,
    memory: GuestMemory,
    *,
    horizon_ns: int,
    warmup_ns: int,
    seed: int,
    snp_life: SnpLife | None = None,
    compiled: bool | None = None,
) -> GeneratedTrace:
    """
    Build the trace of the memory of VMs.

    Parameters
    ----------
    vms : VmTable
        Who arrives and departs when.
    host : Host
        Of whole 2 MiB blocks per node.
    memory : GuestMemory
        How guests use memory.
    horizon_ns : int
        Nothing happens at or after it.
    warmup_ns : int
        Goes into the trace unchanged.
    seed : int
        What is drawn for a VM depends on the seed and the VM table, not on placement.
    snp_life : SnpLife or None, default None
        When SNP is shut down and initialized, and KVM unloaded; None leaves them as they are.
    compiled : bool or None, default None
        Whether compiled code places the VMs, where there is any for the placement; None leaves it to `compiled_pays`.
        The trace is the same.

    Returns
    -------
    GeneratedTrace
        The trace, and what became of the VMs.

    Raises
    ------
    SpecError
        If host, VM table and memory do not fit each other.

    Notes
    -----
    An eager guest's memory is assigned through its launch, in guest order, granule after granule; a guest that departs
    during launch has assigned only a part. Teardown times depend on the guest alone, so they are computed for the whole
    table at once; only who lies where needs a loop over time.
    """
    host_map = map_host(host, memory)
    n = int(np.searchsorted(vms.arrival_ns, horizon_ns))
    guests = guests_of(vms, memory, n)
    inodes = inodes_of(guests, vms, memory, seed)
    launch = launch_of(guests, vms, memory, horizon_ns=horizon_ns, seed=seed)
    conversions = conversions_of(guests, inodes, launch, vms, memory, horizon_ns=horizon_ns, seed=seed)
    split = split_folios(conversions, guests, inodes)
    schedule = schedule_of(guests, inodes, launch, split, vms, memory, horizon_ns=horizon_ns, seed=seed)
    faults = faults_of(guests, inodes, schedule, split, memory, horizon_ns=horizon_ns, seed=seed)

    n_kernel_pages = np.where(vms.snp[:n], memory.context_pages + vms.vcpus[:n].astype(np.int64), 0)
    admission = Admission(
        vms=vms,
        n_blocks=guests.n_blocks,
        n_kernel_pages=n_kernel_pages,
        returns=returns_of(guests, inodes, schedule, split, faults, vms, n_kernel_pages, horizon_ns=horizon_ns),
        displaced=displaced_of(guests, memory, seed),
        host_map=host_map,
        memory=memory,
        seed=seed,
        compiled=compiled_pays(memory, n) if compiled is None else compiled and has_compiled(memory),
    )
    events = EventColumns(horizon_ns)
    if snp_life is None:
        placed = admission.place()
    else:
        arrives = arrives_before(snp_life, vms, n)
        placed = admission.place(arrives)
        times = snp_times(snp_life, schedule.destroy_ns[placed.admitted], vms.snp[:n][placed.admitted])
        times.add_to(events)
        if times.init_ns is not None:
            # Who came before is placed as before, whoever comes now.
            placed = admission.place(arrives | (vms.arrival_ns[:n] >= times.init_ns))

    backing = backing_of(guests, placed)
    private = private_extents(guests, inodes, schedule, placed, backing)
    _add_host(events, host_map)
    _add_arrivals(events, private, guests, inodes, launch, vms, placed, backing)
    _add_ordinary(events, vms, placed)
    add_conversions(events, conversions, placed.admitted, backing)
    add_teardowns(events, private, guests, inodes, schedule, split, faults, placed, backing, memory)
    admitted = int(np.count_nonzero(placed.admitted))
    ran_ns = np.minimum(vms.departure_ns[:n], horizon_ns) - np.maximum(vms.arrival_ns[:n], warmup_ns)
    ran_ns[(ran_ns < 0) | ~placed.admitted] = 0
    return GeneratedTrace(
        trace=events.build(host, warmup_ns),
        admitted=admitted,
        rejected=n - admitted,
        extents=len(placed.extent_vm),
        # As Python's integers: ten thousand VMs of eleven days are more than 63 bits hold.
        running_vm_ns=sum(ran_ns.tolist()),
        running_snp_vm_ns=sum(ran_ns[vms.snp[:n]].tolist()),
    )


def _add_host(events: EventColumns, host_map: HostMap) -> None:
    for kind, extents in ((Kind.ASSIGN, host_map.assigned), (Kind.USE, host_map.in_use)):
        pfn, npages = np.array(extents, dtype=np.int64).reshape(-1, 2).T
        events.add(kind, np.zeros_like(pfn), END_OF_LIFE - 1, pfn=pfn, npages=npages, folio_pages=1)


def _add_arrivals(
    events: EventColumns,
    private: PrivateExtents,
    guests: Guests,
    inodes: Inodes,
    launch: Launch,
    vms: VmTable,
    placed: Placed,
    backing: Backing,
) -> None:
    vm = placed.page_vm
    events.add(
        Kind.ASSIGN,
        vms.arrival_ns[vm],
        ARRIVAL + _SLOT * vm + _KERNEL_PAGES,
        pfn=placed.page_pfn,
        npages=1,
        vm=vm,
        folio_pages=1,
    )
    guest = np.flatnonzero(placed.admitted & vms.snp[: len(placed.admitted)])
    low = guests.base[guest]
    pfn, npages, source = contiguous(low, low + guests.shared_pages[guest], backing)
    vm = guest[source]
    events.add(Kind.USE, vms.arrival_ns[vm], ARRIVAL + _SLOT * vm + _USE, pfn=pfn, npages=npages, vm=vm, folio_pages=1)
    pieces = private.cut(launch.low)
    vm = inodes.vm[pieces.inode]
    events.add(
        Kind.ASSIGN,
        launch.t_ns[step_index(launch.low, pieces.low)],
        ARRIVAL + _SLOT * vm + _ASSIGN,
        pfn=backing.pfn_at(pieces.low),
        npages=pieces.high - pieces.low,
        vm=vm,
        inode=pieces.inode,
        folio_pages=pieces.folio_pages,
    )


def _add_ordinary(events: EventColumns, vms: VmTable, placed: Placed) -> None:
    extent = np.flatnonzero(~vms.snp[placed.extent_vm])
    vm = placed.extent_vm[extent]
    where: dict[str, Int64Array] = {"pfn": placed.extent_pfn[extent], "npages": placed.extent_pages[extent], "vm": vm}
    events.add(Kind.USE, vms.arrival_ns[vm], ARRIVAL + _SLOT * vm + _USE, folio_pages=1, **where)
    events.add(Kind.UNUSE, vms.departure_ns[vm], END_OF_LIFE, folio_pages=1, **where)
