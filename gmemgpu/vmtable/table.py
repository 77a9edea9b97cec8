"""A VM table in memory: one row a VM, sorted by arrival."""

from __future__ import annotations

from dataclasses import dataclass

from gmemgpu.model.trace import BoolArray, Int32Array, Int64Array

__all__ = ["VmTable"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VmTable:
    """
    Virtual machines that ask one host for room.

    Parameters
    ----------
    arrival_ns : (n,) int64
        Ascending; 0 for the stock.
    departure_ns : (n,) int64
        When teardown begins, after arrival; at or past the horizon if never.
    memory_bytes : (n,) int64
        Guest memory; placement rounds it up to whole 2 MiB blocks.
    vcpus : (n,) int32
        Virtual CPUs.
    snp : (n,) bool
        Whether the VM is a confidential guest.
    stock : (n,) bool
        Whether it was running before t = 0: its memory is in place at once.
    node : (n,) int32
        Preferred NUMA node; -1 lets placement choose.
    gmems : (n,) int32
        Number of guest_memfds of an SNP guest; at least 1.
    folio_pages : (n,) int32
        Backing, 1, 512 or 262144 pages; 0 takes the workload's.
    batch : (n,) int64
        Tenant batch; VMs of one arrived together.
    """

    arrival_ns: Int64Array
    departure_ns: Int64Array
    memory_bytes: Int64Array
    vcpus: Int32Array
    snp: BoolArray
    stock: BoolArray
    node: Int32Array
    gmems: Int32Array
    folio_pages: Int32Array
    batch: Int64Array

    def __len__(self) -> int:
        return len(self.arrival_ns)
