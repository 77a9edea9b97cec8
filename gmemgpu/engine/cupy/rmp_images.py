"""Scans of a trace's RMP at many times: extents up, images made and scanned on the device, a few at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gmemgpu.engine.cupy.defines import THREADS
from gmemgpu.engine.cupy.kernel import launch_here
from gmemgpu.engine.cupy.memory import budget_bytes
from gmemgpu.engine.cupy.rmp_scan import scan_on_device
from gmemgpu.errors import BackendError
from gmemgpu.model.event import Kind
from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.trace import Trace
from gmemgpu.rmp.image import OWNERSHIP, REGION_IMAGE_BYTES, WORDS_PER_REGION
from gmemgpu.timeline.piece import cut_at_regions

__all__ = ["MOST_IMAGE_BYTES", "scan_images"]

MOST_IMAGE_BYTES = 1 << 28
"""At a time: enough for hundreds of thread blocks a multiprocessor."""
_SHARE = 16
"""Of what is free, one part for images: the rest is for the batch that the device evaluates meanwhile."""
_IS_OWNERSHIP = np.zeros(max(Kind) + 1, bool)
_IS_OWNERSHIP[list(OWNERSHIP)] = True
_REGION_BYTES = REGION_IMAGE_BYTES + 6
_EXTENT_BYTES = 13
_BORDER_BYTES = 16
_ROUNDING_BYTES = 9 * 512
"""CuPy's pool rounds each array up to 512 bytes."""


def scan_images(trace: Trace, times_ns: Sequence[int], *, budget: int | None = None) -> RegionScan:
    """
    Scan images of a trace's RMP at some times, made on the current device and stream.

    Parameters
    ----------
    trace : Trace
    times_ns : sequence of int
        Ascending.
    budget : int, optional
        Bytes of device memory that are free; asked for if left out. Images take a part.

    Returns
    -------
    RegionScan
        A row for each time.

    Raises
    ------
    BackendError
        If the image of a single region does not fit.
    """
    trace = trace.before_horizon()
    times = np.asarray(times_ns, np.int64)
    n_regions = trace.host.n_regions
    n_events = np.searchsorted(trace.t_ns, times[-1], "right") if len(times) else 0
    pieces = cut_at_regions(trace, np.flatnonzero(_IS_OWNERSHIP[trace.kind[:n_events]]))
    # NumPy sorts small integers by their digits.
    small = pieces.region.astype(np.uint16 if n_regions <= 1 << 16 else np.int32)
    pieces = pieces.take(np.argsort(small, kind="stable"))
    image = np.searchsorted(times, trace.t_ns[pieces.event]).astype(np.int32)
    columns = (pieces.lo, pieces.hi, image, (trace.kind[pieces.event] == Kind.ASSIGN).astype(np.uint8))
    offset = np.searchsorted(pieces.region, np.arange(n_regions + 1)).astype(np.int64)

    budget = budget_bytes() if budget is None else budget
    fixed = len(image) * _EXTENT_BYTES + n_regions * _BORDER_BYTES + _ROUNDING_BYTES
    most = max(1, min(MOST_IMAGE_BYTES, budget // _SHARE) // REGION_IMAGE_BYTES)
    n_held = min((budget - fixed) // _REGION_BYTES, most)
    if n_held < 1:
        raise BackendError(
            f'backend "cupy": images of the RMP need {fixed + _REGION_BYTES} bytes on the device, and {budget} are '
            "free; end what fills it (nvidia-smi shows it), or take numpy"
        )
    scan = RegionScan(np.empty((len(times), n_regions), np.int32), np.empty((len(times), n_regions), np.int16))
    for begin in range(0, n_regions, n_held):
        end = min(begin + n_held, n_regions)
        part = slice(int(offset[begin]), int(offset[end]))
        of_part = [column[part] for column in columns]
        _scan_regions(of_part, offset[begin : end + 1] - part.start, n_held // (end - begin), scan, slice(begin, end))
    return scan


def _scan_regions(columns: Sequence[Any], offset: Any, n_slots: int, scan: RegionScan, regions: slice) -> None:
    # Fill in what is found in some regions, as many images at a time as there are slots.
    import cupy

    n_times, n_regions = len(scan.assigned), regions.stop - regions.start
    stream = cupy.cuda.get_current_stream()
    extents = [_uploaded(column) for column in columns]
    end, following = _uploaded(offset[1:]), _uploaded(offset[:-1])
    images = cupy.empty((min(n_slots, n_times), n_regions, WORDS_PER_REGION), np.uint64)
    assigned = cupy.empty(images.shape[:2], np.int32)
    first = cupy.empty(images.shape[:2], np.int16)
    for begin in range(0, n_times, n_slots):
        n = min(n_slots, n_times - begin)
        numbers = (np.int32(n_slots - 1 if begin else -1), np.int32(begin), np.int32(n))
        launch_here("rmp_image", n_regions, THREADS["IMAGE"], (*extents, end, following, images, *numbers))
        words = images.reshape(-1, WORDS_PER_REGION)[: n * n_regions]
        scan_on_device(words, assigned, first, stream)
        scan.assigned[begin : begin + n, regions] = assigned.get()[:n]
        scan.first[begin : begin + n, regions] = first.get()[:n]


def _uploaded(column: Any) -> Any:
    import cupy

    # One element more than none: a kernel takes no array without memory.
    there = cupy.empty(max(1, len(column)), column.dtype)
    there[: len(column)].set(np.ascontiguousarray(column))
    return there
