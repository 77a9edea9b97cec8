"""Batches with independent Weibull gaps: bursts of bursts, as jobs start pods."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from gmemgpu.fields import DurationNs
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.arrival import renewal_times
from gmemgpu.vmtable.random_stream import Purpose, Stream
from gmemgpu.workload.process.process import BatchProcess

__all__ = ["WeibullGap"]


class WeibullGap(BatchProcess):
    """Independent gaps between batches."""

    process: Literal["weibull_gaps"] = Field(description="Batches with independent Weibull gaps.")
    gap_scale_ns: DurationNs = Field(default=17_700_000_000, ge=1_000_000, description="Scale of the gaps. Assumed.")
    gap_shape: float = Field(
        default=0.418,
        ge=0.1,
        description="Shape of the gaps: cold starts of Huawei's serverless platform; 1 is Poisson.",
    )

    def expected_batches(self, horizon_ns: int) -> float:
        """Divide the time by the mean gap."""
        return horizon_ns / (self.gap_scale_ns * math.gamma(1.0 + 1.0 / self.gap_shape))

    def times(self, seed: int, horizon_ns: int) -> Int64Array:
        """Draw when batches arrive."""
        scale_s = self.gap_scale_ns / NS_PER_S
        return renewal_times(
            horizon_ns, lambda n: Stream(seed, Purpose.ARRIVAL_GAP).weibull(n, scale_s, self.gap_shape)
        )
