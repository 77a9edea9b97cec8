"""What the traces of a group say, whatever the policy: their VMs, and how much of the host was free of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.metrics.columns import Columns
from gmemgpu.model.rmp_figure import BLOCKING_PAGES, RMP_FIGURE_NAMES
from gmemgpu.report.grouping import Codes, group_sums

__all__ = ["TRACE_FIGURE_COLUMNS", "TraceFigures", "images_text", "merged_figures", "trace_figures"]

TRACE_FIGURE_COLUMNS = ("admitted", "rejected", "horizon_ns", "warmup_ns", "running_vm_ns", "running_snp_vm_ns")
_LEAST = "rmp_free_regions_least"


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
    images : dict of str to int, or None
        By name of `gmemgpu.model.rmp_figure.RMP_FIGURES`, the least of all where that is a least; None if no image of
        the RMP was made.
    """

    admitted: int
    rejected: int
    counted_ns: float
    running_vm_ns: float
    running_snp_vm_ns: float
    images: dict[str, int] | None = None

    def of_an_image(self, name: str) -> float:
        """
        Return the mean over images of what they sum up.

        Parameters
        ----------
        name : str
            Of a figure of `images`, which there are.

        Returns
        -------
        float
            Not a number if no image counts.
        """
        assert self.images is not None
        n_images = self.images["rmp_images"]
        return self.images[name] / n_images if n_images else math.nan

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
        images=_merged_images([one.images for one in of if one.images is not None]),
    )


def _merged_images(images: Sequence[dict[str, int]]) -> dict[str, int] | None:
    if not images:
        return None
    found = {name: sum(one[name] for one in images) for name in RMP_FIGURE_NAMES}
    # Where no image counts there is no least either.
    found[_LEAST] = min((one[_LEAST] for one in images if one["rmp_images"]), default=-1)
    return found


def trace_figures(
    columns: Columns, trace: Codes, n_traces: int, group: Codes, n_groups: int, *, with_images: bool = False
) -> list[TraceFigures]:
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
    with_images : bool
        Whether there are figures of images of the RMP.

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
    images: list[dict[str, int] | None] = [None] * n_groups
    if with_images:
        found = {name: sums(name) for name in RMP_FIGURE_NAMES}
        least = columns.existing(_LEAST)[first]
        fewest = np.full(n_groups, np.inf)
        np.fmin.at(fewest, group, least)
        found[_LEAST] = np.where(np.isinf(fewest), -1, fewest).tolist()
        images = [{name: int(values[i]) for name, values in found.items()} for i in range(n_groups)]
    return [
        TraceFigures(
            admitted=int(of["admitted"][i]),
            rejected=int(of["rejected"][i]),
            counted_ns=of["horizon_ns"][i] - of["warmup_ns"][i],
            running_vm_ns=of["running_vm_ns"][i],
            running_snp_vm_ns=of["running_snp_vm_ns"][i],
            images=images[i],
        )
        for i in range(n_groups)
    ]


def images_text(traces: TraceFigures) -> str:
    """
    Write what images of the RMP say of whether there is anything to win: placement decides that, no policy does.

    Parameters
    ----------
    traces : TraceFigures
        Of a group.

    Returns
    -------
    str
        A sentence or two; empty if no image was made.
    """
    images = traces.images
    if images is None:
        return ""
    if not images["rmp_images"]:
        return "No image of the RMP counts: SNP was off at all their times."

    def mean(name: str) -> str:
        return f"{traces.of_an_image(f'rmp_{name}'):,.1f}".removesuffix(".0")

    one, *more = BLOCKING_PAGES
    nearly_free = [f"{mean(f'blocked_{one}_regions')} by {one}"]
    for pages in more:
        moved = f"{mean(f'blocked_{pages}_pages')}{' would have to move' if pages == more[0] else ''}"
        nearly_free.append(f"{mean(f'blocked_{pages}_regions')} by {pages} at most ({moved})")
    return (
        f"RMP, mean of {images['rmp_images']:,} images: {mean('free_regions')} of {mean('regions')} regions free, "
        f"{images['rmp_free_regions_least']:,} at least, {mean('free_run_regions')} of them in a row. "
        f"Blocked by few pages: {', '.join(nearly_free)}."
    )
