"""One very large confidential guest ends, ordinary guests move into its memory, and no other guest ends afterwards."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gmemgpu.fields import DurationNs, Share, SizeBytes
from gmemgpu.units import GIB, NS_PER_S
from gmemgpu.vmtable.assemble import concatenate, vm_table
from gmemgpu.vmtable.random_stream import NEVER_NS, Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import running_vms
from gmemgpu.workload.process.process import ArrivalInput, Process

__all__ = ["LastBigVm"]

_USUAL_BYTES = 6 * GIB
"""Mean size of an arriving VM of Azure 2017."""


class LastBigVm(Process):
    """A permanent stock, one more VM placed after it, and ordinary ones that follow it. Figures assumed."""

    process: Literal["last_big_vm"] = Field(description="One very large confidential guest ends on a quiet host.")
    big_memory_bytes: SizeBytes = Field(default=512 * GIB, gt=0, description="Memory of the large guest.")
    big_vcpus: int = Field(default=64, ge=1, le=4096, description="Its vCPUs.")
    big_end_ns: DurationNs = Field(default=1800 * NS_PER_S, gt=0, description="When it ends.")

    refill_share: Share = Field(
        default=1.0, description="Share of its memory that ordinary guests, which never end, take after it."
    )
    refill_within_ns: DurationNs = Field(
        default=1800 * NS_PER_S, gt=0, description="They come within this after its end, uniform."
    )

    def expected_arrivals(self, horizon_ns: int, n_stock: int, balanced_per_s: float) -> float:
        """Return the large guest, and as many of the usual size as take its memory."""
        return 1.0 + self.refill_share * self.big_memory_bytes / _USUAL_BYTES

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock, and add the large guest and who follows it."""
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
        stock = running_vms(given.tenants, given.seed, given.n_stock, "never")
        return concatenate([stock, big, self._refill(given)])

    def _refill(self, given: ArrivalInput) -> VmTable:
        # Sizes of ordinary guests until they add up to what is wanted; a longer horizon only adds to the end.
        wanted, mix = self.refill_share * self.big_memory_bytes, given.tenants.plain_sizes
        n = 64
        while True:
            size = mix.pick(Stream(given.seed, Purpose.SIZE).uniform(n))
            total = np.cumsum(mix.memory_bytes[size])
            if total[-1] >= wanted:
                break
            n *= 2
        size = size[: np.searchsorted(total, wanted)]
        delay = Stream(given.seed, Purpose.REFILL).integers(len(size), 0, self.refill_within_ns)
        arrival = self.big_end_ns + np.sort(delay)
        comes = arrival < given.horizon_ns
        return vm_table(
            arrival_ns=arrival[comes],
            departure_ns=NEVER_NS,
            memory_bytes=mix.memory_bytes[size][comes],
            vcpus=mix.vcpus[size][comes],
            snp=False,
            batch=np.arange(np.count_nonzero(comes)),
        )
