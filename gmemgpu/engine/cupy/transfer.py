"""Columns on their way to the device: packed into one pinned buffer, copied at once, found again by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arena"]

_COPIERS = 4
_ALIGNMENT = 256
"""Columns begin at whole lines of the device's memory."""


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGNMENT) * _ALIGNMENT


class Arena:
    """
    Pinned memory that columns pass through; it grows as batches do and stays from one to the next.

    Copies are queued on the current stream, on one at a time.
    """

    def __init__(self) -> None:
        self._pinned: Any = None
        self._bytes: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def _room(self, n_bytes: int) -> NDArray[np.uint8]:
        # What is there may be on its way still.
        import cupy

        if n_bytes > len(self._bytes):
            cupy.cuda.get_current_stream().synchronize()
            self.release()
            # Pinned memory alone can be copied while the host goes on.
            self._pinned = cupy.cuda.alloc_pinned_memory(n_bytes)
            self._bytes = np.frombuffer(self._pinned, np.uint8)
        return self._bytes[:n_bytes]

    def __len__(self) -> int:
        return len(self._bytes)

    def release(self) -> None:
        """Return the memory to the host; no copy may be under way."""
        import cupy

        self._bytes = np.zeros(0, np.uint8)
        self._pinned = None
        # Pinned memory in a pool is lost to the host.
        cupy.get_default_pinned_memory_pool().free_all_blocks()

    def upload(self, columns: Mapping[str, Sequence[NDArray[Any]]]) -> dict[str, Any]:
        """
        Copy columns to the device, each from several parts.

        Parameters
        ----------
        columns : mapping of str to sequence of array
            At least one part each; all parts of a column are of one type.

        Returns
        -------
        dict of str to device array
            Flat. The copy is queued and need not be over.
        """
        import cupy

        sizes = {name: sum(len(part) for part in parts) for name, parts in columns.items()}
        n_bytes = sum(_aligned(sizes[name] * parts[0].itemsize) for name, parts in columns.items())
        stream = cupy.cuda.get_current_stream()
        stream.synchronize()  # what went last has left
        staged = self._room(n_bytes)
        buffer = cupy.empty(n_bytes, np.uint8)
        found: dict[str, Any] = {}
        copies: list[tuple[NDArray[Any], Sequence[NDArray[Any]]]] = []
        at = 0
        for name, parts in columns.items():
            where = slice(at, at + sizes[name] * parts[0].itemsize)
            copies.append((staged[where].view(parts[0].dtype), parts))
            found[name] = buffer[where].view(parts[0].dtype)
            at += _aligned(where.stop - where.start)
        # NumPy copies while other threads run, and one of them does not fill what memory can take.
        with ThreadPoolExecutor(_COPIERS, "gmemgpu-copy") as copiers:
            list(copiers.map(lambda copy: np.concatenate(copy[1], out=copy[0]), copies))
        if n_bytes:
            buffer.set(staged, stream=stream)
        return found
