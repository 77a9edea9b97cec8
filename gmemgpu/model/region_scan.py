"""What RMPOPT would find in each region of a host: the result of a scan, whoever makes it."""

from __future__ import annotations

from dataclasses import dataclass

from gmemgpu.model.trace import Int16Array, Int32Array

__all__ = ["RegionScan"]


@dataclass(frozen=True, slots=True, eq=False)
class RegionScan:
    """
    What RMPOPT would find in each region.

    Parameters
    ----------
    assigned : (n_regions,) or (n_times, n_regions) int32
        Assigned pages.
    first : int16, of the same shape
        Lowest block with an assigned page, -1 for a free region.
    """

    assigned: Int32Array
    first: Int16Array
