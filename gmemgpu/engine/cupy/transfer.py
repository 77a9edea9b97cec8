"""Columns on their way to the device: packed into one pinned buffer, copied at once, found again by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DeviceColumns"]

_ALIGNMENT = 256
"""Columns begin at whole lines of the device's memory."""


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGNMENT) * _ALIGNMENT


class DeviceColumns:
    """
    Some columns in device memory.

    Parameters
    ----------
    columns : mapping of str to array
        C-contiguous.
    stream : cupy.cuda.Stream
        The copy is queued there and need not be over when this returns.
    """

    def __init__(self, columns: Mapping[str, NDArray[np.generic]], stream: Any) -> None:
        import cupy

        n_bytes = max(1, sum(_aligned(column.nbytes) for column in columns.values()))
        # Pinned memory alone can be copied while the host goes on; it must live until the copy is over.
        self._pinned = cupy.cuda.alloc_pinned_memory(n_bytes)
        staged = np.frombuffer(self._pinned, np.uint8, n_bytes)
        self._offset: dict[str, int] = {}
        self._types = {name: (column.size, column.dtype) for name, column in columns.items()}
        at = 0
        for name, column in columns.items():
            staged[at : at + column.nbytes] = np.ascontiguousarray(column).reshape(-1).view(np.uint8)
            self._offset[name] = at
            at += _aligned(column.nbytes)
        with stream:
            self._buffer = cupy.empty(n_bytes, np.uint8)
            self._buffer.set(staged, stream=stream)

    def array(self, name: str) -> Any:
        """Return a column as a flat device array, for kernels that take it as an argument of its own."""
        size, dtype = self._types[name]
        at = self._offset[name]
        return self._buffer[at : at + size * dtype.itemsize].view(dtype)
