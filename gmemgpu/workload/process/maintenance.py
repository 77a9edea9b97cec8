"""A host is emptied: confidential guests cannot migrate and stop together, the others leave one by one."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from gmemgpu.fields import DurationNs
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.assemble import concatenate, vm_table
from gmemgpu.vmtable.random_stream import NEVER_NS, Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import running_vms, vms_of_batches
from gmemgpu.workload.process.process import ArrivalInput, Process

__all__ = ["Maintenance"]

_MINUTE_NS = 60 * NS_PER_S


class Maintenance(Process):
    """
    The stock ends at a maintenance event, and as many VMs come back after it.

    That SNP guests stop where others migrate is documented for GCP; the times are assumed.
    """

    process: Literal["maintenance"] = Field(description="A host is emptied once and filled again.")
    begin_ns: DurationNs = Field(default=60 * _MINUTE_NS, description="When maintenance begins.")
    snp_within_ns: DurationNs = Field(default=_MINUTE_NS, description="SNP guests stop within this, uniform.")
    plain_from_ns: DurationNs = Field(default=10 * _MINUTE_NS, description="The first others leave this much later.")
    plain_to_ns: DurationNs = Field(default=60 * _MINUTE_NS, description="The last others leave this much later.")
    refill_from_ns: DurationNs = Field(default=120 * _MINUTE_NS, description="When the first VM comes.")
    refill_to_ns: DurationNs = Field(default=180 * _MINUTE_NS, description="When the last VM comes; uniform between.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (("plain_from_ns", "plain_to_ns"), ("refill_from_ns", "refill_to_ns")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} {getattr(self, low)} is above {high} {getattr(self, high)}; swap them")
        return self

    def expected_arrivals(self, horizon_ns: int, n_stock: int, balanced_per_s: float) -> float:
        """Return one VM for each that leaves."""
        return float(n_stock)

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock, its end, and the refill, which outlasts the horizon."""
        n = given.n_stock
        stock = running_vms(given.tenants, given.seed, n, "never")
        ends = Stream(given.seed, Purpose.END)
        width = np.where(stock.snp, self.snp_within_ns, self.plain_to_ns - self.plain_from_ns)
        start = np.where(stock.snp, 0, self.plain_from_ns)
        after = np.floor(ends.uniform(n) * width).astype(np.int64)
        stock.departure_ns[:] = np.maximum(self.begin_ns + start + after, 1)

        come = Stream(given.seed, Purpose.REFILL).integers(n, self.refill_from_ns, self.refill_to_ns + 1)
        come = np.sort(come)
        come = come[come < given.horizon_ns]
        refill = vms_of_batches(given.tenants, given.seed, come, np.ones(len(come), dtype=np.int64))
        stays = vm_table(
            arrival_ns=refill.arrival_ns,
            departure_ns=NEVER_NS,
            memory_bytes=refill.memory_bytes,
            vcpus=refill.vcpus,
            snp=refill.snp,
            batch=refill.batch,
            gmems=refill.gmems,
        )
        return concatenate([stock, stays])
