"""How large a trace will be, roughly, from the parameters of its workload."""

from __future__ import annotations

import math

from gmemgpu.units import NS_PER_S
from gmemgpu.workload.spec import Workload

__all__ = ["expected_arrivals", "expected_events", "expected_trace_s"]

_EVENTS_PER_SNP_VM = 30
_EVENTS_PER_PLAIN_VM = 2
_EVENTS_PER_CONVERSION = 5
"""Seen in traces of the presets, where an allocator gives a guest few pieces."""
_EVENTS_PER_SCATTERED_VM = 3_000
"""With random placement each 2 MiB block is a piece of its own."""
_TRACE_S = 0.0015
"""Of one policy on an empty trace, by the NumPy engine."""
_EVENT_S = 2e-7
"""Of one policy for each event."""
_DAY_S = 86_400


def expected_arrivals(workload: Workload) -> float:
    """
    Estimate how many VMs come before the horizon.

    Returns
    -------
    float
        Good to a factor of two or so; infinite for a VM table that is not thinned to a rate.
    """
    if workload.vm_table is None:
        return workload.arrivals.expected_arrivals(workload.horizon_ns, workload.stock.vms)
    thin = workload.vm_table.thin
    per_day = thin.arrivals_per_day if thin is not None else None
    # Without a rate a whole file may come here: one seed is enough for a task.
    return math.inf if per_day is None else per_day * workload.horizon_ns / (_DAY_S * NS_PER_S)


def expected_events(workload: Workload) -> float:
    """Estimate how many events a workload's trace has; good to a factor of a few."""
    vms = workload.stock.vms + expected_arrivals(workload)
    share = workload.snp.share
    conversions = workload.memory.conversions_per_s * workload.stock.vms * share * workload.horizon_ns / NS_PER_S
    if workload.memory.placement == "scatter":
        return vms * _EVENTS_PER_SCATTERED_VM * workload.sizes.scale + conversions * _EVENTS_PER_CONVERSION
    per_vm = share * _EVENTS_PER_SNP_VM + (1.0 - share) * _EVENTS_PER_PLAIN_VM
    return vms * per_vm + conversions * _EVENTS_PER_CONVERSION


def expected_trace_s(workload: Workload, n_policies: int) -> float:
    """Estimate how long one core takes for a trace and its policies; good to a factor of a few, as events are."""
    return (_TRACE_S + _EVENT_S * expected_events(workload)) * n_policies
