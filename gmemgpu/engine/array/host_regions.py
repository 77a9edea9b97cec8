"""The regions of a host, as engines of arrays read them; traces of one host share them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gmemgpu.engine.class_code import N_CODES
from gmemgpu.model.host import Host
from gmemgpu.model.trace import BoolArray, Int64Array

__all__ = ["HostRegions", "host_regions"]


@dataclass(frozen=True, slots=True, eq=False)
class HostRegions:
    """
    The regions of a host.

    Parameters
    ----------
    n_regions, n_covered : int
        All, and those that some core's window covers.
    position : (n_regions,) int64
        Index of each covered region among those; -1 for others.
    group : (n_regions,) int64
        What to add to a class code for the costs of the region.
    present : (n_regions,) bool
        Whether the region has memory.
    core_counts : tuple of int
        Numbers of cores that cover some region each, ascending; 0 where some have none. Costs have a group each.
    threads_per_core : int
    """

    n_regions: int
    n_covered: int
    position: Int64Array
    group: Int64Array
    present: BoolArray
    core_counts: tuple[int, ...]
    threads_per_core: int


@lru_cache(maxsize=64)  # traces of a sweep share a few
def host_regions(host: Host) -> HostRegions:
    """
    Tabulate the regions of a host.

    Parameters
    ----------
    host : Host

    Returns
    -------
    HostRegions
        To be read only: who asks for the same gets the same.
    """
    cores = np.array(host.covering_cores(), np.int64)
    covered = cores > 0
    core_counts, group = np.unique(cores, return_inverse=True)
    present = np.ones(len(cores), bool)
    present[host.hole_regions()] = False
    return HostRegions(
        n_regions=len(cores),
        n_covered=int(covered.sum()),
        position=np.where(covered, np.cumsum(covered) - 1, -1),
        group=group.astype(np.int64) * N_CODES,
        present=present,
        core_counts=tuple(core_counts.tolist()),
        threads_per_core=host.threads_per_core,
    )
