"""Arrivals that know no time of day: none, at equal intervals, at random, and batches with Weibull gaps."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field

from gmemgpu.fields import DurationNs, Positive
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.arrival import fixed_times, renewal_times
from gmemgpu.vmtable.assemble import concatenate
from gmemgpu.vmtable.random_stream import Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import running_vms, vms_of_batches
from gmemgpu.workload.process.process import ArrivalInput, BatchProcess, Process

__all__ = ["NoArrivals", "FixedRate", "Poisson", "WeibullGap"]


class NoArrivals(Process):
    """Only the stock."""

    process: Literal["none"] = Field(description="Nobody arrives.")

    def expected_arrivals(self, horizon_ns: int, n_stock: int) -> float:
        """Return 0."""
        return 0.0

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock."""
        return running_vms(given.tenants, given.seed, given.n_stock)


class FixedRate(Process):
    """A batch of the same number of VMs at every whole multiple of an interval, for controlled experiments."""

    process: Literal["fixed"] = Field(description="Equal batches at equal intervals.")
    interval_ns: DurationNs = Field(gt=0, description="Between batches; the first comes after one interval.")
    batch_vms: int = Field(default=1, ge=1, le=100_000, description="VMs of each batch.")

    def expected_arrivals(self, horizon_ns: int, n_stock: int) -> float:
        """Return the number of intervals times the VMs of a batch."""
        return horizon_ns / self.interval_ns * self.batch_vms

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock and the arrivals."""
        at_ns = fixed_times(given.horizon_ns, self.interval_ns)
        stock = running_vms(given.tenants, given.seed, given.n_stock)
        arrivals = vms_of_batches(given.tenants, given.seed, at_ns, np.full(len(at_ns), self.batch_vms))
        return concatenate([stock, arrivals])


class Poisson(Process):
    """Independent arrivals at a constant rate, each a tenant of its own."""

    process: Literal["poisson"] = Field(description="Single VMs at a constant rate.")
    vms_per_s: Positive = Field(le=10_000, description="Arrivals a second.")

    def expected_arrivals(self, horizon_ns: int, n_stock: int) -> float:
        """Return rate times time."""
        return self.vms_per_s * horizon_ns / NS_PER_S

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock and the arrivals."""
        at_ns = renewal_times(
            given.horizon_ns, lambda n: Stream(given.seed, Purpose.ARRIVAL_GAP).exponential(n) / self.vms_per_s
        )
        stock = running_vms(given.tenants, given.seed, given.n_stock)
        return concatenate(
            [stock, vms_of_batches(given.tenants, given.seed, at_ns, np.ones(len(at_ns), dtype=np.int64))]
        )


class WeibullGap(BatchProcess):
    """Batches with independent Weibull gaps: bursts of bursts, as jobs start pods."""

    process: Literal["weibull_gaps"] = Field(description="Batches with independent Weibull gaps.")
    gap_scale_ns: DurationNs = Field(default=17_700_000_000, ge=1_000_000, description="Scale of the gaps. Assumed.")
    gap_shape: float = Field(
        default=0.418,
        ge=0.1,
        description="Shape of the gaps: cold starts of Huawei's serverless platform; 1 is Poisson.",
    )

    def expected_batches(self, horizon_ns: int) -> float:
        """Return the time divided by the mean gap."""
        return horizon_ns / (self.gap_scale_ns * math.gamma(1.0 + 1.0 / self.gap_shape))

    def times(self, seed: int, horizon_ns: int) -> Int64Array:
        """Draw the times of batches."""
        scale_s = self.gap_scale_ns / NS_PER_S
        return renewal_times(
            horizon_ns, lambda n: Stream(seed, Purpose.ARRIVAL_GAP).weibull(n, scale_s, self.gap_shape)
        )
