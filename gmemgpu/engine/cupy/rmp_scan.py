"""The dense scan of RMP images on the device: of what is there already, or of host memory of any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from gmemgpu.engine.cupy.defines import THREADS
from gmemgpu.engine.cupy.kernel import launch_here
from gmemgpu.engine.cupy.memory import budget_bytes
from gmemgpu.errors import BackendError
from gmemgpu.rmp.image import REGION_IMAGE_BYTES, WORDS_PER_REGION, Words
from gmemgpu.rmp.scan import RegionScan

__all__ = ["scan_on_device", "scan_through_device", "LARGEST_PART_REGIONS"]

LARGEST_PART_REGIONS = 2048
"""64 MiB: long enough for a transfer at full speed, short enough that pinned memory stays small."""
_N_BUFFERS = 2
"""One is filled by the host while the other travels."""
_RESULT_BYTES = 6
_ROUNDING_BYTES = 3 * 512
"""CuPy's pool rounds each array up to 512 bytes."""


def scan_on_device(words: Any, assigned: Any, first: Any, stream: Any) -> None:
    """
    Queue the scan of images that lie on the device.

    Parameters
    ----------
    words : (n_regions, 4096) uint64 device array
        C-contiguous; regions of any number of hosts.
    assigned : (n_regions,) int32 device array
        Overwritten with the assigned pages.
    first : (n_regions,) int16 device array
        Overwritten with the first assigned block, or -1.
    stream : cupy.cuda.Stream
    """
    with stream:
        launch_here("rmp_scan", len(words), THREADS["SCAN"], (words, assigned, first))


def scan_through_device(words: Words, *, budget: int | None = None) -> RegionScan:
    """
    Scan images that lie in host memory, part after part.

    Parameters
    ----------
    words : (n_regions, 4096) uint64
    budget : int, optional
        Bytes of device memory to take; most of what is free if left out.

    Returns
    -------
    RegionScan

    Raises
    ------
    BackendError
        If not even one region fits.
    """
    budget = budget_bytes() if budget is None else budget
    room = budget // _N_BUFFERS - _ROUNDING_BYTES
    part_regions = min(room // (REGION_IMAGE_BYTES + _RESULT_BYTES), LARGEST_PART_REGIONS, len(words))
    if part_regions < 1 <= len(words):
        least = _N_BUFFERS * (REGION_IMAGE_BYTES + _RESULT_BYTES + _ROUNDING_BYTES)
        raise BackendError(
            f'backend "cupy": a scan needs {least} bytes on the device, and {budget} are free; end what fills it '
            "(nvidia-smi shows it), or take numpy"
        )
    scan = RegionScan(np.empty(len(words), np.int32), np.empty(len(words), np.int16))
    if len(words):
        buffers = [_Buffer(part_regions) for _ in range(min(_N_BUFFERS, -(-len(words) // part_regions)))]
        for turn, begin in enumerate(range(0, len(words), part_regions)):
            buffer = buffers[turn % len(buffers)]
            buffer.collect(scan)
            buffer.send(words, begin)
        for buffer in buffers:
            buffer.collect(scan)
    return scan


class _Buffer:
    """Room for some regions on both sides, and the stream in which they travel."""

    def __init__(self, n_regions: int) -> None:
        import cupy

        self._stream = cupy.cuda.Stream(non_blocking=True)
        n_words = n_regions * WORDS_PER_REGION
        self._pinned = np.frombuffer(cupy.cuda.alloc_pinned_memory(8 * n_words), np.uint64, n_words)
        self._pinned = self._pinned.reshape(n_regions, WORDS_PER_REGION)
        with self._stream:
            self._words = cupy.empty((n_regions, WORDS_PER_REGION), np.uint64)
            self._assigned = cupy.empty(n_regions, np.int32)
            self._first = cupy.empty(n_regions, np.int16)
        self._part = slice(0, 0)

    def send(self, words: Words, begin: int) -> None:
        """Queue the scan of as many regions as fit, from one on."""
        n = min(len(self._pinned), len(words) - begin)
        self._part = slice(begin, begin + n)
        self._pinned[:n] = words[self._part]
        self._words[:n].set(self._pinned[:n], stream=self._stream)
        scan_on_device(self._words[:n], self._assigned[:n], self._first[:n], self._stream)

    def collect(self, scan: RegionScan) -> None:
        """Wait for what was sent last and put it in its place."""
        n = self._part.stop - self._part.start
        if n:
            scan.assigned[self._part] = self._assigned[:n].get(stream=self._stream)
            scan.first[self._part] = self._first[:n].get(stream=self._stream)
            self._part = slice(0, 0)
