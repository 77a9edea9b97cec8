"""Arrivals like clockwork: for experiments in which nothing but one thing may vary."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gmemgpu.fields import DurationNs
from gmemgpu.vmtable.arrival import fixed_times
from gmemgpu.vmtable.assemble import concatenate
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import running_vms, vms_of_batches
from gmemgpu.workload.process.process import Process, Setting

__all__ = ["FixedRate"]


class FixedRate(Process):
    """A batch of the same number of VMs at every whole multiple of an interval."""

    process: Literal["fixed"] = Field(description="Equal batches at equal intervals.")
    interval_ns: DurationNs = Field(gt=0, description="Between batches; the first comes after one interval.")
    batch_vms: int = Field(default=1, ge=1, le=100_000, description="VMs of each batch.")

    def expected_arrivals(self, horizon_ns: int, n_stock: int) -> float:
        """Count the intervals."""
        return horizon_ns / self.interval_ns * self.batch_vms

    def draw(self, setting: Setting) -> VmTable:
        """Draw the stock and the arrivals."""
        at_ns = fixed_times(setting.horizon_ns, self.interval_ns)
        stock = running_vms(setting.tenants, setting.seed, setting.n_stock)
        arrivals = vms_of_batches(setting.tenants, setting.seed, at_ns, np.full(len(at_ns), self.batch_vms))
        return concatenate([stock, arrivals])
