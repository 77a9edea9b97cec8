"""What the traces of a group say, whatever the policy: the VMs that they brought, and how many of them ran."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gmemgpu.metrics.columns import Columns
from gmemgpu.report.grouping import Codes, group_sums

__all__ = ["TRACE_FIGURE_COLUMNS", "TraceFigures", "merged_figures", "trace_figures"]

TRACE_FIGURE_COLUMNS = ("admitted", "rejected", "horizon_ns", "warmup_ns", "running_vm_ns", "running_snp_vm_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFigures:
    """
    Sums over traces.

    Parameters
    ----------
    admitted, rejected : int
        VMs that found room on the host, and that did not; together those that were drawn.
    counted_ns : float
        Time from warm-up to horizon.
    running_vm_ns, running_snp_vm_ns : float
        Time that VMs, and SNP guests among them, ran in it.
    """

    admitted: int
    rejected: int
    counted_ns: float
    running_vm_ns: float
    running_snp_vm_ns: float

    @property
    def mean_running(self) -> float:
        """VMs that ran on average."""
        return self.running_vm_ns / self.counted_ns

    @property
    def mean_running_snp(self) -> float:
        """SNP guests that ran on average."""
        return self.running_snp_vm_ns / self.counted_ns


def merged_figures(figures: Iterable[TraceFigures]) -> TraceFigures:
    """
    Compute the sums over several groups.

    Parameters
    ----------
    figures : iterable of TraceFigures
        At least one.

    Returns
    -------
    TraceFigures
        Of all their traces.
    """
    of = list(figures)
    return TraceFigures(
        admitted=sum(one.admitted for one in of),
        rejected=sum(one.rejected for one in of),
        counted_ns=sum(one.counted_ns for one in of),
        running_vm_ns=sum(one.running_vm_ns for one in of),
        running_snp_vm_ns=sum(one.running_snp_vm_ns for one in of),
    )


def trace_figures(columns: Columns, trace: Codes, n_traces: int, group: Codes, n_groups: int) -> list[TraceFigures]:
    """
    Compute the figures of each group of rows.

    Parameters
    ----------
    columns : Columns
        Of a store; a trace has a row for each policy, of which the first will do.
    trace : (n_rows,) int32
        Of each row.
    n_traces : int
        How many there are.
    group : (n_rows,) int32
        Of each row.
    n_groups : int
        How many there are.

    Returns
    -------
    list of TraceFigures
        By group.
    """
    first = np.empty(n_traces, np.int64)
    first[trace[::-1]] = np.arange(len(trace))[::-1]
    group = group[first]

    def sums(name: str) -> list[float]:
        found: list[float] = group_sums(columns[name][first], group, n_groups).tolist()
        return found

    of: dict[str, list[float]] = {name: sums(name) for name in TRACE_FIGURE_COLUMNS}
    return [
        TraceFigures(
            admitted=int(of["admitted"][i]),
            rejected=int(of["rejected"][i]),
            counted_ns=of["horizon_ns"][i] - of["warmup_ns"][i],
            running_vm_ns=of["running_vm_ns"][i],
            running_snp_vm_ns=of["running_snp_vm_ns"][i],
        )
        for i in range(n_groups)
    ]
