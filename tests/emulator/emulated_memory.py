"""Bytes that stand for device memory, with guards; AddressSanitizer is told of them if it is here."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

__all__ = ["AddressSanitizer", "Block", "Bytes", "ALIGNMENT", "POISON"]
__all__ += ["QUARANTINE_BLOCKS", "QUARANTINE_BYTES", "SPARE_BLOCKS", "SPARE_BYTES"]

Bytes = NDArray[np.uint8]

POISON = 0xCD
ALIGNMENT = 512
"""CuPy's memory pool hands out multiples of this, so aligned."""
GUARD_BYTES = 256
QUARANTINE_BYTES = 1 << 24
QUARANTINE_BLOCKS = 1 << 10
SPARE_BYTES = 1 << 12
SPARE_BLOCKS = 1 << 10
"""Up to what capacity blocks serve again, and how many of each capacity wait for it."""
_GUARD = bytes([POISON]) * GUARD_BYTES


class AddressSanitizer:
    """What of AddressSanitizer the device uses, if the process runs under it."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self.present = hasattr(library, "__asan_poison_memory_region")
        if self.present:
            self._poison = library["__asan_poison_memory_region"]
            self._unpoison = library["__asan_unpoison_memory_region"]
            for function in (self._poison, self._unpoison):
                function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_size_t], None

    def forbid(self, memory: Bytes) -> None:
        """Report whoever touches some memory."""
        if self.present:
            self._poison(memory.ctypes.data, memory.nbytes)

    def allow(self, memory: Bytes) -> None:
        """Undo `forbid`."""
        if self.present:
            self._unpoison(memory.ctypes.data, memory.nbytes)


class Block:
    """
    Bytes with a guard on both sides; outlives its `Allocation` for a while, to see late writes, and serves again.

    Parameters
    ----------
    capacity : int
        A multiple of `ALIGNMENT`. `serve` says how many of these bytes are in use; guards lie close to them.
    """

    __slots__ = ("_before", "_begin", "_buffer", "_end", "address", "capacity", "data", "nbytes", "whole")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        # Python's own bytes are compared where they lie, in a tenth of the time that NumPy takes for so few.
        self._buffer = bytearray([POISON]) * (capacity + 2 * GUARD_BYTES + ALIGNMENT)
        self.whole: Bytes = np.frombuffer(self._buffer, np.uint8)
        address = self.whole.ctypes.data
        self._begin = -(address + GUARD_BYTES) % ALIGNMENT + GUARD_BYTES
        self._before = self._begin - GUARD_BYTES
        self.address: int = address + self._begin
        self.serve(capacity)

    def serve(self, nbytes: int) -> None:
        """Be a block of so many bytes, at most `capacity`."""
        self.nbytes, self._end = nbytes, self._begin + nbytes
        self.data = self.whole[self._begin : self._end]

    @property
    def guards(self) -> tuple[Bytes, Bytes]:
        """The bytes next to `data`."""
        return self.whole[self._before : self._begin], self.whole[self._end :][:GUARD_BYTES]

    def intact(self) -> bool:
        """Tell whether nothing was written next to `data`."""
        return self._buffer.startswith(_GUARD, self._before) and self._buffer.startswith(_GUARD, self._end)

    def untouched(self) -> bool:
        """Tell whether all is as it was when the block was made, or freed."""
        return self._buffer == bytes([POISON]) * len(self._buffer)
