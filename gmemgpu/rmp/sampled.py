"""Images of a trace's RMP that count, and what they say together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.rmp_figure import BLOCKING_PAGES
from gmemgpu.model.trace import Trace
from gmemgpu.rmp.pool import pool_steps
from gmemgpu.timeline.snp import snp_states

__all__ = ["ImageTimes", "counted_times", "rmp_figures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTimes:
    """
    When images of the RMP are made.

    Parameters
    ----------
    every_ns : int or None
        At every whole multiple from itself on; None for none.
    at_ns : tuple of int
        And at these times.
    """

    every_ns: int | None = None
    at_ns: tuple[int, ...] = ()

    def between(self, begin_ns: int, end_ns: int) -> list[int]:
        """
        Return the times in an interval.

        Parameters
        ----------
        begin_ns, end_ns : int
            Half open.

        Returns
        -------
        list of int
            Ascending, each once.
        """
        periodic: Iterable[int] = ()
        if self.every_ns is not None:
            periodic = range(max(1, -(-begin_ns // self.every_ns)) * self.every_ns, end_ns, self.every_ns)
        return sorted({*periodic, *(t_ns for t_ns in self.at_ns if begin_ns <= t_ns < end_ns)})


def counted_times(trace: Trace, times: ImageTimes) -> list[int]:
    """
    Return the times of a trace's images that count, as other metrics do: from the warm-up on, with SNP on.

    Parameters
    ----------
    trace : Trace
        A valid one.
    times : ImageTimes
        When images are wanted.

    Returns
    -------
    list of int
        Ascending.
    """
    epochs = snp_states(trace.before_horizon()).epochs
    wanted = times.between(trace.warmup_ns, trace.horizon_ns)
    return [t_ns for t_ns in wanted if any(on <= t_ns < off for on, off in epochs)]


def rmp_figures(scan: RegionScan, hole_regions: Sequence[int] = ()) -> dict[str, int]:
    """
    Compute what images say together.

    Parameters
    ----------
    scan : RegionScan
        A row for each image.
    hole_regions : sequence of int
        Those that are nobody's: they are not free, and end a run of free ones.

    Returns
    -------
    dict of str to int
        By name of `gmemgpu.model.rmp_figure.RMP_FIGURES`.
    """
    there = np.ones(scan.assigned.shape[1], bool)
    there[list(hole_regions)] = False
    assigned = scan.assigned[:, there]
    free = (scan.assigned == 0) & there
    n_free = free.sum(axis=1).tolist()
    found = {
        "rmp_images": len(free),
        "rmp_regions": assigned.size,
        "rmp_free_regions": sum(n_free),
        "rmp_free_regions_least": min(n_free, default=-1),
        "rmp_free_run_regions": sum(map(_longest_run, free)),
    }
    for step in pool_steps(assigned.reshape(-1), BLOCKING_PAGES):
        found[f"rmp_blocked_{step.at_most_pages}_regions"] = step.regions
        found[f"rmp_blocked_{step.at_most_pages}_pages"] = step.pages
    return found


def _longest_run(free: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    # The busy ones lie around runs; one before the first region, and one after the last.
    busy = np.flatnonzero(np.concatenate([[True], ~free, [True]]))
    return int(np.diff(busy).max()) - 1
