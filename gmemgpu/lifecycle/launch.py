"""When private pages are assigned: unit by unit, in guest order, through launch or as the guest touches them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.lifecycle.guest import Guests
from gmemgpu.lifecycle.guest_pages import cut, regular_cuts
from gmemgpu.lifecycle.rare_event import beta_quantile
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import PAGE_BYTES, PAGES_PER_REGION
from gmemgpu.vmtable.exact_math import FloatArray, exact_log
from gmemgpu.vmtable.random_stream import NEVER_NS, Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.guest_memory import GuestMemory

__all__ = ["Launch", "launch_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Launch:
    """
    Units of private memory, each assigned at once.

    Parameters
    ----------
    low, high : (k,) int64
        The unit on the line of guest pages; ascending, disjoint.
    t_ns : (k,) int64
        When the guest gets to its first page.
    booted_ns : (n,) int64
        When each VM's launch is over.
    assigned_end : (n,) int64
        Where, on the line of guest pages, each VM's assigned private part ends when the VM departs, or at the horizon.
    """

    low: Int64Array
    high: Int64Array
    t_ns: Int64Array
    booted_ns: Int64Array
    assigned_end: Int64Array


def launch_of(guests: Guests, vms: VmTable, memory: GuestMemory, *, horizon_ns: int, seed: int) -> Launch:
    """
    Compute what each SNP guest assigns when.

    Parameters
    ----------
    guests : Guests
        Of the same VMs.
    vms : VmTable
        The VM table.
    memory : GuestMemory
        How guests use memory.
    horizon_ns : int
        End of the trace.
    seed : int
        Draws the touched shares.

    Returns
    -------
    Launch
        Of all SNP guests, admitted or not.

    Notes
    -----
    Units depend on the guest alone, not on its place in host memory, so that teardown times are known before placement.
    The stock has run long enough to be through with its launch.
    """
    n = len(guests.n_pages)
    arrival, stock = vms.arrival_ns[:n], vms.stock[:n]
    start = guests.base + guests.shared_pages
    private = np.where(vms.snp[:n], guests.n_pages - guests.shared_pages, 0)
    lazy = memory.touched == "lazy"
    touched = _touched_pages(vms, private, memory, seed) if lazy else private

    vm = np.flatnonzero(touched)
    unit_pages = min(memory.ramp_unit_bytes // PAGE_BYTES, memory.granule_pages) if lazy else memory.granule_pages
    # A folio is assigned whole.
    step = np.maximum(unit_pages // guests.folio_pages, 1) * guests.folio_pages
    low = start[vm]
    # The last unit touched is taken whole: cut the private part, then drop the units that begin past the touched one.
    low, high, source = cut(low, low + private[vm], regular_cuts(guests.base[vm], low, low + private[vm], step[vm]))
    vm = vm[source]
    place = low - start[vm]
    keep = place < touched[vm]
    vm, low, high, place = vm[keep], low[keep], high[keep], place[keep]

    if lazy:
        delay = _ramp_delay_ns(place, vm, touched, guests, memory)
        booted = np.full(n, memory.ramp_boot_ns, np.int64)
    else:
        gib, rest = np.divmod(guests.n_pages, PAGES_PER_REGION)
        per_gib = memory.launch_per_gib_ns
        booted = memory.launch_base_ns + gib * per_gib + rest * per_gib // PAGES_PER_REGION
        delay = np.rint(booted[vm] * (place / private[vm])).astype(np.int64)
    t_ns = arrival[vm] + np.where(stock[vm], 0, delay)

    end = np.minimum(vms.departure_ns[:n], horizon_ns)
    assigned_end = start.copy()
    reached = t_ns < end[vm]
    np.maximum.at(assigned_end, vm[reached], high[reached])
    return Launch(
        low=low[reached],
        high=high[reached],
        t_ns=t_ns[reached],
        booted_ns=arrival + np.where(stock, 0, booted),
        assigned_end=assigned_end,
    )


def _touched_pages(vms: VmTable, private: Int64Array, memory: GuestMemory, seed: int) -> Int64Array:
    snp = np.flatnonzero(vms.snp[: len(private)])
    share = beta_quantile(Stream(seed, Purpose.TOUCHED).uniform(len(snp)), memory.touched_alpha, memory.touched_beta)
    touched = np.zeros_like(private)
    touched[snp] = np.ceil(share * private[snp]).astype(np.int64)
    return np.minimum(touched, private)


def _ramp_delay_ns(
    place: Int64Array, vm: Int64Array, touched: Int64Array, guests: Guests, memory: GuestMemory
) -> Int64Array:
    # Evenly through boot, then an exponential approach to the touched share.
    boot = memory.ramp_boot_base_bytes // PAGE_BYTES + np.rint(guests.n_pages * memory.ramp_boot_fraction)
    boot = np.minimum(boot, touched)[vm]
    while_booting = memory.ramp_boot_ns * (place / np.maximum(boot, 1))
    left = 1.0 - (place - boot) / np.maximum(touched[vm] - boot, 1)
    later: FloatArray = memory.ramp_boot_ns - memory.ramp_constant_ns * exact_log(np.clip(left, 1e-18, 1.0))
    delay = np.where(place < boot, while_booting, later)
    return np.rint(np.minimum(delay, NEVER_NS)).astype(np.int64)
