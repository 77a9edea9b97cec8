"""From a workload and a seed to a trace."""

from __future__ import annotations

from gmemgpu.lifecycle.life_cycle import GeneratedTrace, trace_from_vms
from gmemgpu.workload.draw import draw_vm_table
from gmemgpu.workload.spec import Workload

__all__ = ["generate"]


def generate(workload: Workload, seed: int, *, compiled: bool | None = None) -> GeneratedTrace:
    """
    Generate the trace of a workload.

    Parameters
    ----------
    workload : Workload
        Host, arrivals, lifetimes, sizes and memory behaviour; or a trace that it writes out.
    seed : int
        0 to 2**64 - 1.
    compiled : bool or None, default None
        Whether compiled code places VMs, which needs Numba; None where that is loaded and there are enough VMs.
        The trace is the same.

    Returns
    -------
    GeneratedTrace
        The trace, and how many VMs the host took and refused.

    Raises
    ------
    TraceError
        With every problem of a file that the workload reads.
    SpecError
        If its memory side is impossible on its host.
    """
    if workload.event is not None:
        return GeneratedTrace(trace=workload.written(), admitted=0, rejected=0, extents=0)
    return trace_from_vms(
        draw_vm_table(workload, seed),
        workload.host.host,
        workload.memory,
        horizon_ns=workload.horizon_ns,
        warmup_ns=workload.warmup_ns,
        seed=seed,
        snp_life=workload.snp_life,
        compiled=compiled,
    )
