"""A workload: everything that, with a seed, makes a trace."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from gmemgpu.fields import DurationNs, Section, Share
from gmemgpu.model.trace import Trace
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.random_stream import NEVER_NS
from gmemgpu.workload.guest_memory import GuestMemory
from gmemgpu.workload.host_choice import HostChoice
from gmemgpu.workload.lifetime_choice import LifetimeChoice
from gmemgpu.workload.process.choice import Arrivals
from gmemgpu.workload.process.rhythm import Rhythm
from gmemgpu.workload.size_choice import SizeChoice
from gmemgpu.workload.snp_life import SnpLife
from gmemgpu.workload.vm_table_source import VmTableSource
from gmemgpu.workload.written_event import WrittenEvent, written_problems, written_trace

__all__ = ["Workload", "Stock", "Snp"]

_DAY_NS = 86_400 * NS_PER_S
_MAX_ARRIVALS = 100_000_000
"""A table of so many VMs takes several GiB, their trace far more."""
_BESIDE_EVENTS = {"host", "horizon_ns", "warmup_ns", "event"}
"""The keys that mean something where a trace is written out."""


_UNREAD_MEAN_S = 3600.0


class Stock(Section):
    """What runs at t = 0."""

    vms: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="Running VMs, long-lived ones as on any old host; as many as `running` says if left out.",
    )


class Snp(Section):
    """Which guests are confidential."""

    share: Share = Field(
        default=0.2, description="Share of tenants whose VMs are SNP guests. Nothing is published; sweep it."
    )
    gmems: int = Field(default=1, ge=1, le=1024, description="guest_memfds of each, one per memory backend. Assumed.")


class Workload(Section):
    """
    Tenants' VMs on one host over a time.

    Durations and sizes are integers of the unit that the key names, or text such as "8 d" and "1.5 TiB".
    """

    preset: str = Field(default="", description="Name of the preset that it comes from; empty if from none.")
    host: HostChoice = Field(default=HostChoice(), description='A table, or a name: host = "pod".')
    horizon_ns: DurationNs = Field(default=8 * _DAY_NS, gt=0, le=NEVER_NS // 2, description="Length of the trace.")
    warmup_ns: DurationNs = Field(default=0, description="Metrics count from here on.")
    running: int = Field(
        default=110,
        ge=0,
        le=1_000_000,
        description="VMs that run in the long run: as many come as end, by their mean lifetime, where arrivals have no "
        "rate of their own. So many also run at t = 0 if `stock` does not say otherwise.",
    )
    stock: Stock = Field(default=Stock(), description="What runs at t = 0.")
    snp: Snp = Field(default=Snp(), description="Which guests are confidential.")
    arrivals: Arrivals = Field(default=Rhythm(process="batches"), description="When VMs come: a process.")
    lifetime: LifetimeChoice = Field(default=LifetimeChoice(), description="How long VMs live.")
    sizes: SizeChoice = Field(default=SizeChoice(), description="How large VMs are.")
    memory: GuestMemory = Field(default=GuestMemory(), description="How guests take, convert and give back memory.")
    snp_life: SnpLife | None = Field(
        default=None, description="When SNP is shut down and initialized again, and KVM unloaded; never by default."
    )
    vm_table: VmTableSource | None = Field(default=None, description="A file to replay in place of arrivals.")
    event: tuple[WrittenEvent, ...] | None = Field(
        default=None, description="A trace written out, in place of VMs: tables; [] for one in which nothing happens."
    )

    @field_validator("host", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def n_stock(self) -> int:
        """VMs that run at t = 0, where no table says who does."""
        return self.running if self.stock.vms is None else self.stock.vms

    @property
    def expected_arrivals(self) -> float:
        """VMs that come before the horizon, by the parameters alone: lives that a file holds are taken for an hour."""
        mean_s = 1.0
        if self.arrivals.is_balanced:
            mean_s = _UNREAD_MEAN_S if self.lifetime.is_file else self.lifetime.mean_s
        return self.arrivals.expected_arrivals(self.horizon_ns, self.n_stock, self.running / mean_s)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        wrong = []
        if self.warmup_ns >= self.horizon_ns:
            wrong.append(f"warmup_ns {self.warmup_ns} leaves nothing before horizon_ns {self.horizon_ns}; shorten it")
        for key in ("shutdown_ns", "kvm_unload_ns", "init_ns"):
            time_ns = getattr(self.snp_life, key, None)
            if time_ns is not None and time_ns >= self.horizon_ns:
                wrong.append(f"snp_life.{key} {time_ns} is not before horizon_ns {self.horizon_ns}; move one of them")
        night_size = getattr(self.arrivals, "night_size", None)
        if night_size is not None and night_size not in self.sizes.known:
            wrong.append(f'arrivals.night_size "{night_size}" is no mix; known: {", ".join(self.sizes.known)}')
        expected = 0.0 if self.vm_table else self.expected_arrivals
        if expected > _MAX_ARRIVALS:
            wrong.append(
                f"arrivals brings about {expected:.2g} VMs before horizon_ns {self.horizon_ns}, more than "
                f"{_MAX_ARRIVALS:.0e}; let fewer come or shorten horizon_ns"
            )
        if self.event is not None:
            wrong.extend(
                f"{key} means nothing beside event; remove it" for key in sorted(self.model_fields_set - _BESIDE_EVENTS)
            )
            wrong.extend(map(str, written_problems(self.event, self.host.host, horizon_ns=self.horizon_ns)))
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def written(self) -> Trace:
        """Return the trace of `event`; without events if there are none."""
        return written_trace(self.event or (), self.host.host, horizon_ns=self.horizon_ns, warmup_ns=self.warmup_ns)
