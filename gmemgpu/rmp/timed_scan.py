"""Scans of a trace's RMP at many times, on the CPU: an image that moves on, and of it what has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.trace import Trace
from gmemgpu.rmp.image import RmpImage, Words
from gmemgpu.rmp.scan import scan_regions

__all__ = ["scan_at", "scan_at_compiled"]

_PART_REGIONS = 512
"""Copied at a time: 16 MiB."""


def scan_at(trace: Trace, times_ns: Sequence[int]) -> RegionScan:
    """
    Scan the images of the RMP at some times, after the events of each.

    Parameters
    ----------
    trace : Trace
        A valid one.
    times_ns : sequence of int
        Ascending.

    Returns
    -------
    RegionScan
        A row for each time.
    """
    return _scan_at(RmpImage(trace), times_ns, scan_regions)


def scan_at_compiled(trace: Trace, times_ns: Sequence[int]) -> RegionScan:
    """
    Scan the images of the RMP at some times, by compiled code: `scan_at`, for which Numba must be installed.

    Parameters
    ----------
    trace : Trace
        A valid one.
    times_ns : sequence of int
        Ascending.

    Returns
    -------
    RegionScan
        A row for each time.
    """
    from gmemgpu.rmp.compiled_image import play_extents_compiled
    from gmemgpu.rmp.compiled_scan import scan_regions_compiled

    return _scan_at(RmpImage(trace, play_extents_compiled), times_ns, scan_regions_compiled)


def _scan_at(image: RmpImage, times_ns: Sequence[int], scanner: Callable[[Words], RegionScan]) -> RegionScan:
    shape = len(times_ns), len(image.words)
    scan = RegionScan(np.zeros(shape, np.int32), np.full(shape, -1, np.int16))
    for i, t_ns in enumerate(times_ns):
        if i:
            scan.assigned[i], scan.first[i] = scan.assigned[i - 1], scan.first[i - 1]
        touched = image.move_to(t_ns)
        for begin in range(0, len(touched), _PART_REGIONS):
            part = touched[begin : begin + _PART_REGIONS]
            found = scanner(image.words[part])
            scan.assigned[i, part], scan.first[i, part] = found.assigned, found.first
    return scan
