"""What was made of a VM table, for people: how it was read, and what was added to it and left out."""

from __future__ import annotations

from gmemgpu.units import format_duration_ns
from gmemgpu.workload.spec import Workload

__all__ = ["table_counts", "table_lines"]


def table_counts(workload: Workload, seed: int) -> dict[str, int]:
    """
    Count where the VMs of a workload with a VM table come from.

    Parameters
    ----------
    workload : Workload
        With a VM table.
    seed : int
        Of the draws.

    Returns
    -------
    dict of str to int
        ``table``: that come from the table; ``drawn``: that are drawn as stock; ``late``: of the table, past the
        horizon.
    """
    source = workload.vm_table
    assert source is not None
    records = source.for_host(workload.host.host, seed)
    in_time = records.select(records.arrival_ns < workload.horizon_ns)
    drawn = source.draws_stock(in_time)
    n_table = int((~in_time.running).sum()) if drawn else len(in_time)
    return {"table": n_table, "drawn": workload.n_stock if drawn else 0, "late": len(records) - len(in_time)}


def table_lines(workload: Workload, seed: int, *, all_hosts: bool = False) -> list[str]:
    """
    List how a workload's VM table was read, and what was added to it.

    Parameters
    ----------
    workload : Workload
        With a VM table.
    seed : int
        Of the draws.
    all_hosts : bool
        Whether the VMs of all its hosts are counted, whichever the workload takes.

    Returns
    -------
    list of str
        For people.
    """
    if all_hosts and workload.vm_table is not None and workload.vm_table.host is not None:
        whole = workload.vm_table.model_copy(update={"host": "*"})
        workload = workload.model_copy(update={"vm_table": whole})
    source = workload.vm_table
    assert source is not None
    records = source.read(workload.host.host)
    counts = table_counts(workload, seed)
    drawn = f", {counts['drawn']:,} drawn as stock (vm_table.stock=table leaves them out)" if counts["drawn"] else ""
    lines = [*records.notes, f"{source.path}: {counts['table']:,} VMs of the table{drawn}"]
    if counts["late"]:
        horizon = format_duration_ns(workload.horizon_ns)
        lines.append(f"{source.path}: {counts['late']:,} VMs come after the horizon of {horizon} (horizon_ns)")
    lines.extend(f"{source.path}: skipped {reason}" for reason in records.skipped)
    return lines
