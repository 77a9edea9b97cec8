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

    def expected_arrivals(self, horizon_ns: int, n_stock: int, balanced_per_s: float) -> float:
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

    def expected_arrivals(self, horizon_ns: int, n_stock: int, balanced_per_s: float) -> float:
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
    vms_per_s: Positive | None = Field(
        default=None, le=10_000, description="Arrivals a second; as many as `running` asks for if left out."
    )

    @property
    def is_balanced(self) -> bool:
        """Whether there is no rate of its own."""
        return self.vms_per_s is None

    def expected_arrivals(self, horizon_ns: int, n_stock: int, balanced_per_s: float) -> float:
        """Return rate times time."""
        return (self.vms_per_s or balanced_per_s) * horizon_ns / NS_PER_S

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock and the arrivals."""
        per_s = self.vms_per_s or given.balanced_per_s
        at_ns = np.zeros(0, np.int64)
        if per_s:
            at_ns = renewal_times(
                given.horizon_ns, lambda n: Stream(given.seed, Purpose.ARRIVAL_GAP).exponential(n) / per_s
            )
        stock = running_vms(given.tenants, given.seed, given.n_stock)
        return concatenate(
            [stock, vms_of_batches(given.tenants, given.seed, at_ns, np.ones(len(at_ns), dtype=np.int64))]
        )


class WeibullGap(BatchProcess):
    """Batches with independent Weibull gaps: bursts of bursts, as jobs start pods."""

    process: Literal["weibull_gaps"] = Field(description="Batches with independent Weibull gaps.")
    gap_scale_ns: DurationNs | None = Field(
        default=None, ge=1_000_000, description="Scale of the gaps; such as `running` asks for if left out."
    )
    gap_shape: float = Field(
        default=0.418,
        ge=0.1,
        description="Shape of the gaps: cold starts of Huawei's serverless platform; 1 is Poisson.",
    )

    @property
    def is_balanced(self) -> bool:
        """Whether there is no rate of its own."""
        return self.gap_scale_ns is None

    def expected_batches(self, horizon_ns: int, batches_per_s: float) -> float:
        """Return the time divided by the mean gap."""
        scale_s = self._scale_s(batches_per_s)
        return horizon_ns / NS_PER_S / (scale_s * math.gamma(1.0 + 1.0 / self.gap_shape)) if scale_s else 0.0

    def _scale_s(self, batches_per_s: float) -> float:
        # 0 if none is to come. math.gamma may differ between machines in the last digit, microseconds do not.
        if self.gap_scale_ns is not None:
            return self.gap_scale_ns / NS_PER_S
        if not batches_per_s:
            return 0.0
        return max(1, round(1e6 / (batches_per_s * math.gamma(1.0 + 1.0 / self.gap_shape)))) / 1e6

    def times(self, seed: int, horizon_ns: int, batches_per_s: float) -> Int64Array:
        """Draw the times of batches."""
        scale_s = self._scale_s(batches_per_s)
        if not scale_s:
            return np.zeros(0, np.int64)
        return renewal_times(
            horizon_ns, lambda n: Stream(seed, Purpose.ARRIVAL_GAP).weibull(n, scale_s, self.gap_shape)
        )
