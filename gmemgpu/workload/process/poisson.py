"""Single VMs at a constant rate."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gmemgpu.fields import Positive
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.arrival import renewal_times
from gmemgpu.vmtable.assemble import concatenate
from gmemgpu.vmtable.random_stream import Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import running_vms, vms_of_batches
from gmemgpu.workload.process.process import Process, Setting

__all__ = ["Poisson"]


class Poisson(Process):
    """Independent arrivals, each a tenant of its own."""

    process: Literal["poisson"] = Field(description="Single VMs at a constant rate.")
    vms_per_s: Positive = Field(le=10_000, description="Arrivals a second.")

    def expected_arrivals(self, horizon_ns: int, n_stock: int) -> float:
        """Multiply rate and time."""
        return self.vms_per_s * horizon_ns / NS_PER_S

    def draw(self, setting: Setting) -> VmTable:
        """Draw the stock and the arrivals."""
        at_ns = renewal_times(
            setting.horizon_ns, lambda n: Stream(setting.seed, Purpose.ARRIVAL_GAP).exponential(n) / self.vms_per_s
        )
        stock = running_vms(setting.tenants, setting.seed, setting.n_stock)
        return concatenate(
            [stock, vms_of_batches(setting.tenants, setting.seed, at_ns, np.ones(len(at_ns), dtype=np.int64))]
        )
