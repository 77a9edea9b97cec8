"""Batches with independent Weibull gaps: bursts of bursts, as jobs start pods."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gmemgpu.model.trace import Int64Array
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.arrival import renewal_times
from gmemgpu.vmtable.random_stream import Purpose, Stream
from gmemgpu.workload.process.process import BatchProcess
from gmemgpu.workload.quantity import DurationNs
from gmemgpu.workload.section import Positive

__all__ = ["WeibullGap"]


class WeibullGap(BatchProcess):
    """Independent gaps between batches."""

    process: Literal["weibull_gaps"]
    gap_scale_ns: DurationNs = Field(default=17_700_000_000, gt=0, description="Scale of the gaps. Assumed.")
    gap_shape: Positive = Field(
        default=0.418, description="Shape of the gaps: cold starts of Huawei's serverless platform; 1 is Poisson."
    )

    def times(self, seed: int, horizon_ns: int) -> Int64Array:
        """Draw when batches arrive."""
        scale_s = self.gap_scale_ns / NS_PER_S
        return renewal_times(
            horizon_ns, lambda n: Stream(seed, Purpose.ARRIVAL_GAP).weibull(n, scale_s, self.gap_shape)
        )
