"""One very large confidential guest ends on a host where nothing else happens afterwards."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gmemgpu.fields import DurationNs, SizeBytes
from gmemgpu.units import GIB, NS_PER_S
from gmemgpu.vmtable.assemble import concatenate, vm_table
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import running_vms
from gmemgpu.workload.process.process import ArrivalInput, Process

__all__ = ["LastBigVm"]


class LastBigVm(Process):
    """A permanent stock and one more VM, placed after it. Figures assumed."""

    process: Literal["last_big_vm"] = Field(description="One very large confidential guest ends on a quiet host.")
    big_memory_bytes: SizeBytes = Field(default=512 * GIB, gt=0, description="Memory of the large guest.")
    big_vcpus: int = Field(default=64, ge=1, le=4096, description="Its vCPUs.")
    big_end_ns: DurationNs = Field(default=1800 * NS_PER_S, gt=0, description="When it ends.")

    def expected_arrivals(self, horizon_ns: int, n_stock: int) -> float:
        """Return 1: the large guest."""
        return 1.0

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock and add the large guest."""
        big = vm_table(
            arrival_ns=[0],
            departure_ns=self.big_end_ns,
            memory_bytes=self.big_memory_bytes,
            vcpus=self.big_vcpus,
            snp=True,
            batch=0,
            stock=True,
            gmems=given.tenants.gmems,
        )
        return concatenate([running_vms(given.tenants, given.seed, given.n_stock, "never"), big])
