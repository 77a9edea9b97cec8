"""From a workload and a seed to a VM table."""

from __future__ import annotations

from gmemgpu.errors import Problem, SpecError
from gmemgpu.vmtable.assemble import concatenate
from gmemgpu.vmtable.replay import replay, with_kinds
from gmemgpu.vmtable.table import VmTable
from gmemgpu.vmtable.tenant import Tenants, running_vms
from gmemgpu.workload.process.process import ArrivalInput
from gmemgpu.workload.spec import Workload

__all__ = ["draw_vm_table", "tenants_of"]


def tenants_of(workload: Workload) -> Tenants:
    """
    Collect the distributions that a workload's VMs are drawn from.

    Parameters
    ----------
    workload : Workload
        Lifetimes, sizes and the share of confidential guests.

    Returns
    -------
    Tenants
        Ready to be drawn from.

    Raises
    ------
    TraceError
        If a lifetime distribution is a file that cannot be read.
    """
    return Tenants(
        lifetime=workload.lifetime.distribution(),
        copy_probability=workload.lifetime.copy_probability,
        copy_sigma=workload.lifetime.copy_sigma,
        plain_sizes=workload.sizes.mix(workload.sizes.plain),
        snp_sizes=workload.sizes.mix(workload.sizes.snp),
        size_copy_probability=workload.sizes.copy_probability,
        snp_share=workload.snp.share,
        gmems=workload.snp.gmems,
    )


def draw_vm_table(workload: Workload, seed: int) -> VmTable:
    """
    Draw the VMs of a workload, or read those of its VM table.

    Parameters
    ----------
    workload : Workload
        Arrivals, or a VM table in place of them.
    seed : int
        0 to 2**64 - 1; the same seed draws the same integers on every machine.

    Returns
    -------
    VmTable
        The stock, then everything that arrives before the horizon.

    Raises
    ------
    SpecError
        If the seed is out of range.
    TraceError
        With every problem of a file that the workload reads.
    """
    if not 0 <= seed < 1 << 64:
        raise SpecError(Problem("seed", f"{seed} is outside 0 to {(1 << 64) - 1}"))
    if workload.vm_table is not None:
        return _replayed(workload, seed)
    tenants = tenants_of(workload)
    given = ArrivalInput(
        seed=seed,
        horizon_ns=workload.horizon_ns,
        n_stock=workload.n_stock,
        balanced_per_s=workload.running / tenants.lifetime.mean_s,
        tenants=tenants,
        sizes=workload.sizes,
    )
    return workload.arrivals.draw(given)


def _replayed(workload: Workload, seed: int) -> VmTable:
    source = workload.vm_table
    assert source is not None
    whole = source.read(workload.host.host)
    if whole.hosts:
        # A tenant is confidential on all hosts or on none, so this is drawn before one host's VMs are picked.
        whole = with_kinds(whole, seed, workload.snp.share)
    records = source.of_host(whole, seed)
    records = records.select(records.arrival_ns < workload.horizon_ns)
    drawn = source.draws_stock(records)
    if drawn:
        records = records.select(~records.running)
    table = replay(records, seed, snp_share=workload.snp.share, gmems=workload.snp.gmems)
    if not drawn:
        return table
    return concatenate([running_vms(tenants_of(workload), seed, workload.n_stock), table])
