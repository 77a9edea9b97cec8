"""How large a trace will be, roughly, from the parameters of its workload."""

from __future__ import annotations

import math

from gmemgpu.units import NS_PER_S
from gmemgpu.workload.process.fixed_rate import FixedRate
from gmemgpu.workload.process.poisson import Poisson
from gmemgpu.workload.process.process import BatchProcess
from gmemgpu.workload.process.rhythm import Rhythm
from gmemgpu.workload.process.weibull_gap import WeibullGap
from gmemgpu.workload.spec import Workload

__all__ = ["expected_arrivals", "expected_events"]

_EVENTS_PER_SNP_VM = 30
_EVENTS_PER_PLAIN_VM = 2
_EVENTS_PER_CONVERSION = 5
"""Seen in traces of the presets, where an allocator gives a guest few pieces."""
_EVENTS_PER_SCATTERED_VM = 3_000
"""With random placement each 2 MiB block is a piece of its own."""
_DAY_S = 86_400


def expected_arrivals(workload: Workload) -> float:
    """
    Estimate how many VMs come before the horizon.

    Returns
    -------
    float
        Good to a factor of two or so; of processes without a rate, the stock once a day.
    """
    seconds = workload.horizon_ns / NS_PER_S
    arrivals = workload.arrivals
    if workload.vm_table is not None:
        thin = workload.vm_table.thin
        per_day = thin.arrivals_per_day if thin is not None else None
        # Without a rate a whole file may come here: one seed is enough for a task.
        return math.inf if per_day is None else per_day * seconds / _DAY_S
    match arrivals:
        case Poisson(vms_per_s=rate):
            return rate * seconds
        case FixedRate(interval_ns=interval_ns, batch_vms=batch_vms):
            return workload.horizon_ns / interval_ns * batch_vms
        case Rhythm(batches_per_day=per_day):
            return per_day * seconds / _DAY_S * _vms_per_batch(arrivals)
        case WeibullGap(gap_scale_ns=scale_ns, gap_shape=shape):
            return workload.horizon_ns / (scale_ns * math.gamma(1.0 + 1.0 / shape)) * _vms_per_batch(arrivals)
        case _:
            return workload.stock.vms * max(1.0, seconds / _DAY_S)


def _vms_per_batch(process: BatchProcess) -> float:
    weights = [math.pow(k, -process.zipf_exponent) for k in range(1, process.zipf_max + 1)]
    mean = sum(k * weight for k, weight in enumerate(weights, 1)) / sum(weights)
    return 1.0 + process.p_coloc * (mean - 1.0)


def expected_events(workload: Workload) -> float:
    """Estimate how many events a workload's trace has; good to a factor of a few."""
    vms = workload.stock.vms + expected_arrivals(workload)
    share = workload.snp.share
    conversions = workload.memory.conversions_per_s * workload.stock.vms * share * workload.horizon_ns / NS_PER_S
    if workload.memory.placement == "scatter":
        return vms * _EVENTS_PER_SCATTERED_VM * workload.sizes.scale + conversions * _EVENTS_PER_CONVERSION
    per_vm = share * _EVENTS_PER_SNP_VM + (1.0 - share) * _EVENTS_PER_PLAIN_VM
    return vms * per_vm + conversions * _EVENTS_PER_CONVERSION
