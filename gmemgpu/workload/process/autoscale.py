"""Every day a service grows by many VMs, one after another, and shrinks again in the evening."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from gmemgpu.fields import DurationNs
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.assemble import concatenate, vm_table
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import running_vms, vms_of_batches
from gmemgpu.workload.process.process import ArrivalInput, Process

__all__ = ["Autoscale"]

_HOUR_NS = 3600 * NS_PER_S
_DAY_NS = 24 * _HOUR_NS


class Autoscale(Process):
    """A permanent stock, and VMs added each morning and removed each evening, the oldest first. Figures assumed."""

    process: Literal["autoscale"] = Field(description="VMs are added every morning and removed every evening.")
    grow_at_ns: DurationNs = Field(default=8 * _HOUR_NS, lt=_DAY_NS, description="Time of day of the first addition.")
    shrink_at_ns: DurationNs = Field(default=18 * _HOUR_NS, lt=_DAY_NS, description="Of the first removal.")
    vms: int = Field(default=40, ge=1, le=100_000, description="VMs added and removed.")
    step_ns: DurationNs = Field(default=5 * NS_PER_S, description="Between one VM and the next, both ways.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shrink_at_ns <= self.grow_at_ns:
            raise ValueError(
                f"shrink_at_ns {self.shrink_at_ns} is not after grow_at_ns {self.grow_at_ns}; VMs end on their day"
            )
        return self

    def expected_arrivals(self, horizon_ns: int, n_stock: int) -> float:
        """Return the days, of which the last may be partial, times a day's VMs."""
        return float(-(-horizon_ns // _DAY_NS) * self.vms)

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock and every day's additions."""
        days = np.arange(0, given.horizon_ns, _DAY_NS, dtype=np.int64)[:, np.newaxis]
        steps = np.arange(self.vms) * self.step_ns
        arrival = (days + self.grow_at_ns + steps).ravel()
        departure = (days + self.shrink_at_ns + steps).ravel()
        comes = arrival < given.horizon_ns
        arrival, departure = arrival[comes], departure[comes]
        stock = running_vms(given.tenants, given.seed, given.n_stock, "never")
        # Days overlap if the steps take longer than a day; rows follow the time.
        order = np.argsort(arrival, kind="stable")
        drawn = vms_of_batches(given.tenants, given.seed, arrival[order], np.ones(len(arrival), dtype=np.int64))
        additions = vm_table(
            arrival_ns=drawn.arrival_ns,
            departure_ns=departure[order],
            memory_bytes=drawn.memory_bytes,
            vcpus=drawn.vcpus,
            snp=drawn.snp,
            batch=drawn.batch,
            gmems=drawn.gmems,
        )
        return concatenate([stock, additions])
