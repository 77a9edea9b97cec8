"""How large a trace will be, roughly: from parameters alone, so that every machine cuts a sweep into the same parts."""

from __future__ import annotations

import math

from gmemgpu.units import NS_PER_S
from gmemgpu.workload.spec import Workload

__all__ = ["expected_trace_s"]

# Seen in traces of the presets, where an allocator gives a guest few pieces; "scatter" makes one of each 2 MiB block.
_EVENTS_PER_SNP_VM = 30
_EVENTS_PER_PLAIN_VM = 2
_EVENTS_PER_SCATTERED_VM = 3_000
_EVENTS_PER_CONVERSION = 5
_POLICY_S = 0.0015
"""Of one policy on an empty trace, by the NumPy engine; `_EVENT_S` more for each event."""
_EVENT_S = 2e-7
_DAY_NS = 86_400 * NS_PER_S


def expected_trace_s(workload: Workload, n_policies: int, n_arrivals: float | None = None) -> float:
    """
    Estimate how long one core takes for a trace and its policies, to a factor of a few.

    Infinite for a VM table that is not thinned to a rate, unless the number of arrivals is given.
    """
    if workload.event is not None:
        return (_POLICY_S + _EVENT_S * sum(event.times for event in workload.event)) * n_policies
    vms = workload.n_stock + (_arrivals(workload) if n_arrivals is None else n_arrivals)
    memory, share = workload.memory, workload.snp.share
    conversions = memory.conversions_per_s * workload.n_stock * share * workload.horizon_ns / NS_PER_S
    per_vm = share * _EVENTS_PER_SNP_VM + (1.0 - share) * _EVENTS_PER_PLAIN_VM
    # A displaced block cuts what lies in order around it.
    scattered = 1.0 if memory.placement == "scatter" else min(1.0, 2.0 * memory.displaced)
    per_vm = max(per_vm, scattered * _EVENTS_PER_SCATTERED_VM * workload.sizes.scale)
    return (_POLICY_S + _EVENT_S * (vms * per_vm + conversions * _EVENTS_PER_CONVERSION)) * n_policies


def _arrivals(workload: Workload) -> float:
    if workload.vm_table is None:
        return workload.expected_arrivals
    thin = workload.vm_table.thin
    if thin is None or thin.arrivals_per_day is None:
        # A whole file may come here: one seed is enough for a task.
        return math.inf
    return thin.arrivals_per_day * workload.horizon_ns / _DAY_NS
