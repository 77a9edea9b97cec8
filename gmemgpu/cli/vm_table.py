"""VM tables on the command line: which column is which, and what was made of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gmemgpu.errors import Problem, SpecError

if TYPE_CHECKING:
    from gmemgpu.workload.spec import Workload

__all__ = ["MAP_HELP", "column_mapping", "table_counts", "table_lines", "rejected_warning"]

MAP_HELP = (
    "which column of the VM table is which, as in --map arrival=created_at or, where its cells do not say the unit, "
    "--map memory_mib=ram; may be repeated"
)
_MANY_REJECTED = 0.01


def column_mapping(texts: list[str]) -> dict[str, str]:
    """
    Parse what ``--map`` was given.

    Parameters
    ----------
    texts : list of str
        As in ``arrival=created_at``.

    Returns
    -------
    dict of str to str
        For ``vm_table.columns``.

    Raises
    ------
    SpecError
        With every text that maps nothing.
    """
    mapping: dict[str, str] = {}
    problems = []
    for text in texts:
        column, separator, name = (part.strip() for part in text.partition("="))
        if not (column and separator and name):
            problems.append(Problem(f"--map {text}", "maps nothing; write --map arrival=created_at"))
        mapping[column] = name
    if problems:
        raise SpecError(problems)
    return mapping


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
    return {"table": n_table, "drawn": workload.stock.vms if drawn else 0, "late": len(records) - len(in_time)}


def table_lines(workload: Workload, seed: int) -> list[str]:
    """
    List how a workload's VM table was read, and what was added to it.

    Parameters
    ----------
    workload : Workload
        With a VM table.
    seed : int
        Of the draws.

    Returns
    -------
    list of str
        For people.
    """
    from gmemgpu.units import format_duration_ns

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


def rejected_warning(admitted: int, rejected: int, n_drawn: int) -> str | None:
    """
    Warn of VMs that the host had no room for.

    Parameters
    ----------
    admitted, rejected : int
        VMs that it had room for, and others.
    n_drawn : int
        VMs that were drawn beside it.

    Returns
    -------
    str or None
        None if there are few.
    """
    asked = admitted + rejected
    if rejected <= _MANY_REJECTED * asked:
        return None
    remedies = ["take a larger one (--set host.name=big, or host.memory_bytes)"]
    if n_drawn:
        remedies.append("leave out those that were drawn (--set vm_table.stock=table)")
    remedies.append("or a share of the table (--set vm_table.thin.keep=0.1)")
    return (
        f"warning: {rejected:,} of {asked:,} VMs ({rejected / asked:.0%}) found no room on the host: "
        f"{', '.join(remedies)}"
    )
