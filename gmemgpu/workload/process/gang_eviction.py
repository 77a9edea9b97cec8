"""Spot slots that lose their VM one by one and, now and then, all within seconds; each is filled again."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gmemgpu.fields import DurationNs, NonNegative, Sigma
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.arrival import rhythmic_times
from gmemgpu.vmtable.assemble import concatenate, vm_table
from gmemgpu.vmtable.batch import snp_by_batch
from gmemgpu.vmtable.random_stream import Purpose, Stream, seconds_to_ns
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import running_vms
from gmemgpu.workload.process.process import ArrivalInput, Process

__all__ = ["GangEviction"]


class GangEviction(Process):
    """
    As many slots as there is stock, each with one VM or waiting for the next.

    The mechanism is seen in published spot traces (gangs of 16 lost within one 5-minute step); figures are assumed.
    """

    process: Literal["gang_eviction"] = Field(
        description="Slots that lose their VM, now and then all together, and are filled again."
    )
    gangs_per_week: NonNegative = Field(default=2.0, le=10_000, description="Evictions of all slots at once, Poisson.")
    gang_within_ns: DurationNs = Field(default=30 * NS_PER_S, description="A gang's VMs end within this, uniform.")
    refill_median_ns: DurationNs = Field(
        default=120 * NS_PER_S, ge=NS_PER_S, description="From a slot's loss to its next VM, lognormal: median."
    )
    refill_sigma: Sigma = Field(default=0.5, description="Spread of the same.")

    def expected_arrivals(self, horizon_ns: int, n_stock: int, balanced_per_s: float) -> float:
        """Count the refills after gangs; those after a life that ended by itself are left out."""
        return n_stock * self.gangs_per_week * horizon_ns / (7 * 86_400 * NS_PER_S)

    def draw(self, given: ArrivalInput) -> VmTable:
        """Draw the stock, its losses and refills."""
        gangs = rhythmic_times(given.seed, given.horizon_ns, per_day=self.gangs_per_week / 7)
        within_s = self.gang_within_ns / NS_PER_S
        stock = running_vms(given.tenants, given.seed, given.n_stock)
        arrivals: list[int] = []
        departures: list[int] = []
        for slot in range(given.n_stock):
            lag = Stream(given.seed, Purpose.GANG, slot).uniform(len(gangs))
            evictions = gangs + seconds_to_ns(lag * within_s)
            first = _end(0, int(stock.departure_ns[slot]), gangs, evictions)
            stock.departure_ns[slot] = first
            for arrival, departure in self._refills(given, slot, first, gangs, evictions):
                arrivals.append(arrival)
                departures.append(departure)
        n = len(arrivals)
        batch = np.arange(n)
        order = np.argsort(np.array(arrivals, dtype=np.int64), kind="stable")
        snp = snp_by_batch(given.seed, batch, given.tenants.snp_share)
        u = Stream(given.seed, Purpose.SIZE).uniform(n)
        plain, confidential = given.tenants.plain_sizes, given.tenants.snp_sizes
        p, c = plain.pick(u), confidential.pick(u)
        refills = vm_table(
            arrival_ns=np.array(arrivals, dtype=np.int64)[order],
            departure_ns=np.array(departures, dtype=np.int64)[order],
            memory_bytes=np.where(snp, confidential.memory_bytes[c], plain.memory_bytes[p]),
            vcpus=np.where(snp, confidential.vcpus[c], plain.vcpus[p]),
            snp=snp,
            batch=batch,
            gmems=given.tenants.gmems,
        )
        return concatenate([stock, refills])

    def _refills(
        self, given: ArrivalInput, slot: int, free_from_ns: int, gangs: Int64Array, evictions: Int64Array
    ) -> list[tuple[int, int]]:
        # Arrival and departure of every VM that the slot gets after it is first free.
        n = 64
        while True:
            gaps = seconds_to_ns(
                Stream(given.seed, Purpose.REFILL, slot).lognormal(
                    n, self.refill_median_ns / NS_PER_S, self.refill_sigma
                )
            )
            lives = seconds_to_ns(
                given.tenants.lifetime.draw_s(
                    n,
                    Stream(given.seed, Purpose.LIFETIME_COMPONENT, slot),
                    Stream(given.seed, Purpose.LIFETIME, slot),
                )
            )
            vms: list[tuple[int, int]] = []
            end = free_from_ns
            for gap, life in zip(gaps.tolist(), lives.tolist(), strict=True):
                arrival = end + gap
                if arrival >= given.horizon_ns:
                    return vms
                end = _end(arrival, arrival + max(life, 1000), gangs, evictions)
                vms.append((arrival, end))
            n *= 2


def _end(arrival_ns: int, own_end_ns: int, gangs: Int64Array, evictions: Int64Array) -> int:
    # A gang takes the VMs that run when it strikes; each goes at its own moment after that, or earlier by itself.
    next_gang = int(np.searchsorted(gangs, arrival_ns, side="right"))
    return own_end_ns if next_gang == len(gangs) else min(own_end_ns, int(evictions[next_gang]))
