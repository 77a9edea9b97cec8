"""Every day a service grows by many VMs and shrinks in the evening, one by one; others work in its room at night."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from gmemgpu.fields import DurationNs, Share
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.assemble import concatenate, vm_table
from gmemgpu.vmtable.random_stream import Purpose, Stream
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import running_vms, vms_of_batches
from gmemgpu.workload.process.process import ArrivalInput, Process

__all__ = ["Autoscale"]

_HOUR_NS = 3600 * NS_PER_S
_DAY_NS = 24 * _HOUR_NS


class Autoscale(Process):
    """
    A permanent stock, and VMs added each morning and removed each evening, the oldest first. Figures assumed.

    Ordinary VMs may take the room of those that were removed, until the next morning.
    """

    process: Literal["autoscale"] = Field(description="VMs are added every morning and removed every evening.")
    grow_at_ns: DurationNs = Field(default=8 * _HOUR_NS, lt=_DAY_NS, description="Time of day of the first addition.")
    shrink_at_ns: DurationNs = Field(default=18 * _HOUR_NS, lt=_DAY_NS, description="Of the first removal.")
    vms: int = Field(default=40, ge=1, le=100_000, description="VMs added and removed.")
    step_ns: DurationNs = Field(default=5 * NS_PER_S, description="Between one VM and the next, both ways.")
    service_snp_share: Share = Field(default=1.0, description="Share of the added VMs that are SNP guests.")
    backfill_share: Share = Field(
        default=0.0, description="Share of the removed VMs whose room an ordinary VM takes until the next morning."
    )
    backfill_after_ns: DurationNs = Field(
        default=60 * NS_PER_S, lt=_DAY_NS // 4, description="When it comes, after the removal."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shrink_at_ns <= self.grow_at_ns:
            raise ValueError(
                f"shrink_at_ns {self.shrink_at_ns} is not after grow_at_ns {self.grow_at_ns}; VMs end on their day"
            )
        return self

    def expected_arrivals(self, horizon_ns: int, n_stock: int, balanced_per_s: float) -> float:
        """Return the days, of which the last may be partial, times a day's VMs and those that take their room."""
        return float(-(-horizon_ns // _DAY_NS) * self.vms * (1.0 + self.backfill_share))

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock, every day's additions, and who works at night."""
        days = np.arange(0, given.horizon_ns, _DAY_NS, dtype=np.int64)[:, np.newaxis]
        steps = np.arange(self.vms) * self.step_ns
        arrival = (days + self.grow_at_ns + steps).ravel()
        departure = (days + self.shrink_at_ns + steps).ravel()
        comes = arrival < given.horizon_ns
        arrival, departure = arrival[comes], departure[comes]
        stock = running_vms(given.tenants, given.seed, given.n_stock, "never")
        # Days overlap if the steps take longer than a day; rows follow the time.
        order = np.argsort(arrival, kind="stable")
        service = replace(given.tenants, snp_share=self.service_snp_share)
        drawn = vms_of_batches(service, given.seed, arrival[order], np.ones(len(arrival), dtype=np.int64))
        additions = vm_table(
            arrival_ns=drawn.arrival_ns,
            departure_ns=departure[order],
            memory_bytes=drawn.memory_bytes,
            vcpus=drawn.vcpus,
            snp=drawn.snp,
            batch=drawn.batch,
            gmems=drawn.gmems,
        )
        return concatenate([stock, additions, self._backfill(given, departure)])

    def _backfill(self, given: ArrivalInput, removed_ns: Int64Array) -> VmTable:
        # One place of the day after the other, so that a longer horizon only adds.
        n = len(removed_ns)
        comes = Stream(given.seed, Purpose.REFILL).below(n, self.backfill_share)
        arrival = removed_ns + self.backfill_after_ns
        comes &= arrival < given.horizon_ns
        mix = given.tenants.plain_sizes
        size = mix.pick(Stream(given.seed, Purpose.NIGHT_SIZE).uniform(n))[comes]
        until_morning_ns = _DAY_NS - self.shrink_at_ns + self.grow_at_ns
        return vm_table(
            arrival_ns=arrival[comes],
            departure_ns=np.maximum(removed_ns + until_morning_ns, arrival + 1)[comes],
            memory_bytes=mix.memory_bytes[size],
            vcpus=mix.vcpus[size],
            snp=False,
            batch=np.arange(np.count_nonzero(comes)),
        )
