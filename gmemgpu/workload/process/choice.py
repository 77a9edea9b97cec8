"""The arrival processes that a workload may name."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

from gmemgpu.workload.process.autoscale import Autoscale
from gmemgpu.workload.process.gang_eviction import GangEviction
from gmemgpu.workload.process.last_big_vm import LastBigVm
from gmemgpu.workload.process.maintenance import Maintenance
from gmemgpu.workload.process.night_batch import NightBatch
from gmemgpu.workload.process.plain import FixedRate, NoArrivals, Poisson, WeibullGap
from gmemgpu.workload.process.rhythm import Rhythm

__all__ = ["Arrivals"]


def _with_default(value: Any) -> Any:
    return {"process": "batches", **value} if isinstance(value, dict) else value


Arrivals: TypeAlias = Annotated[
    Annotated[
        Rhythm
        | WeibullGap
        | Poisson
        | FixedRate
        | NoArrivals
        | NightBatch
        | GangEviction
        | Maintenance
        | Autoscale
        | LastBigVm,
        Field(discriminator="process"),
    ],
    BeforeValidator(_with_default),
]
"""Any of the processes; ``process`` names which, batches if left out."""
