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
    """Pinned memory that columns pass through; it grows as they do and stays from one batch to the next but one."""

    def __init__(self) -> None:
        self._pinned: Any = None
        self._bytes: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._columns: dict[str, NDArray[Any]] = {}
        self._what: object = None

    def __len__(self) -> int:
        return len(self._bytes)

    def release(self) -> None:
        """Return the memory to the host; no copy may be under way."""
        import cupy

        self._columns, self._what = {}, None
        self._bytes = np.zeros(0, np.uint8)
        self._pinned = None
        # Pinned memory in a pool is lost to the host.
        cupy.get_default_pinned_memory_pool().free_all_blocks()

    def holds(self, what: object) -> bool:
        """Check whether this is what was staged last."""
        return self._what is what

    def stage(self, what: object, columns: Mapping[str, Sequence[NDArray[Any]]]) -> None:
        """
        Copy columns into the memory, which what was sent last must have left.

        Parameters
        ----------
        what : object
            Whose columns these are, for `holds`.
        columns : mapping of str to sequence of array
            At least one part each; all parts of a column are of one type.
        """
        import cupy

        sizes = {name: sum(len(part) for part in parts) for name, parts in columns.items()}
        n_bytes = sum(_aligned(sizes[name] * parts[0].itemsize) for name, parts in columns.items())
        if n_bytes > len(self._bytes):
            self.release()
            # Pinned memory alone can be copied while the host goes on.
            self._pinned = cupy.cuda.alloc_pinned_memory(n_bytes)
            self._bytes = np.frombuffer(self._pinned, np.uint8)
        self._what, self._columns = what, {}
        at = 0
        for name, parts in columns.items():
            n = sizes[name] * parts[0].itemsize
            self._columns[name] = self._bytes[at : at + n].view(parts[0].dtype)
            at += _aligned(n)
        copies = [(self._columns[name], parts) for name, parts in columns.items()]
        # NumPy copies while other threads run, and one of them does not fill what memory can take.
        with ThreadPoolExecutor(_COPIERS, "gmemgpu-copy") as copiers:
            list(copiers.map(lambda copy: np.concatenate(copy[1], out=copy[0]), copies))

    def send(self) -> dict[str, Any]:
        """
        Copy what was staged to the device, on the current stream.

        Returns
        -------
        dict of str to device array
            Flat. The copy is queued and need not be over.
        """
        import cupy

        n_bytes = sum(_aligned(column.nbytes) for column in self._columns.values())
        buffer = cupy.empty(n_bytes, np.uint8)
        found: dict[str, Any] = {}
        at = 0
        for name, column in self._columns.items():
            found[name] = buffer[at : at + column.nbytes].view(column.dtype)
            at += _aligned(column.nbytes)
        if n_bytes:
            buffer.set(self._bytes[:n_bytes], stream=cupy.cuda.get_current_stream())
        return found
