"""The usual arrivals, and every night one large batch that ends together."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from gmemgpu.fields import DurationNs, Share, Sigma
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.assemble import concatenate, end_after, vm_table
from gmemgpu.vmtable.random_stream import Purpose, Stream, seconds_to_ns
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.process.process import ArrivalInput
from gmemgpu.workload.process.rhythm import Rhythm

__all__ = ["NightBatch"]

_DAY_NS = 86_400 * NS_PER_S


class NightBatch(Rhythm):
    """`Rhythm` with a nightly job. All its figures are assumed."""

    # The tag that distinguishes it from its base.
    process: Literal["night_batch"] = Field(  # type: ignore[assignment]
        description="As batches, and every night a large batch that ends together."
    )
    night_at_ns: DurationNs = Field(default=2 * 3600 * NS_PER_S, lt=_DAY_NS, description="Time of day of the batch.")
    night_min_vms: int = Field(default=50, ge=1, le=100_000, description="Least VMs of the batch, uniform.")
    night_max_vms: int = Field(default=100, ge=1, le=100_000, description="Most VMs of the batch.")
    night_snp_share: Share = Field(default=1.0, description="Chance that a night's batch is confidential.")
    night_size: str = Field(default="vm_2_8", description="Mix of its sizes.")
    night_median_ns: DurationNs = Field(default=1800 * NS_PER_S, description="Its run time, lognormal: median.")
    night_sigma: Sigma = Field(default=0.5, description="Spread of the run time from night to night.")
    night_end_within_ns: DurationNs = Field(
        default=300 * NS_PER_S, description="Its VMs end within this time after the run time, uniform."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.night_min_vms > self.night_max_vms:
            raise ValueError(
                f"night_min_vms {self.night_min_vms} is above night_max_vms {self.night_max_vms}; swap them"
            )
        return self

    def expected_arrivals(self, horizon_ns: int, n_stock: int, balanced_per_s: float) -> float:
        """Add the nights' batches to the usual arrivals."""
        per_night = (self.night_min_vms + self.night_max_vms) / 2
        return super().expected_arrivals(horizon_ns, n_stock, balanced_per_s) + per_night * horizon_ns / _DAY_NS

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the usual arrivals and one batch a night."""
        nights_ns = np.arange(self.night_at_ns, given.horizon_ns, _DAY_NS, dtype=np.int64)
        n = len(nights_ns)
        n_vms = Stream(given.seed, Purpose.GANG).integers(n, self.night_min_vms, self.night_max_vms + 1)
        median_s = self.night_median_ns / NS_PER_S
        run_s = Stream(given.seed, Purpose.NIGHT_LIFETIME).lognormal(n, median_s, self.night_sigma)
        confidential = Stream(given.seed, Purpose.OWN_SNP).below(n, self.night_snp_share)

        night = np.repeat(np.arange(n), n_vms)
        late_s = Stream(given.seed, Purpose.END).uniform(len(night)) * (self.night_end_within_ns / NS_PER_S)
        mix = given.sizes.mix(self.night_size)
        size = mix.pick(Stream(given.seed, Purpose.NIGHT_SIZE).uniform(len(night)))
        batch = vm_table(
            arrival_ns=nights_ns[night],
            departure_ns=end_after(nights_ns[night], seconds_to_ns(run_s[night] + late_s)),
            memory_bytes=mix.memory_bytes[size],
            vcpus=mix.vcpus[size],
            snp=confidential[night],
            batch=night,
            gmems=given.tenants.gmems,
        )
        return concatenate([super().draw(given), batch])
