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
SPARE_BLOCKS = 1 << 6
"""Of what size blocks serve again, and how many of each size wait for it."""
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
    """Bytes with a guard on both sides; outlives its `Allocation` for a while, to see late writes, and serves again."""

    __slots__ = ("address", "data", "guards", "nbytes", "whole")

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.whole: Bytes = np.empty(nbytes + 2 * GUARD_BYTES + ALIGNMENT, np.uint8)
        self.whole.fill(POISON)
        address = self.whole.__array_interface__["data"][0]
        begin = -(address + GUARD_BYTES) % ALIGNMENT + GUARD_BYTES
        self.data = self.whole[begin : begin + nbytes]
        self.address: int = address + begin
        self.guards = (self.whole[begin - GUARD_BYTES : begin], self.whole[begin + nbytes :][:GUARD_BYTES])

    def intact(self) -> bool:
        return self.guards[0].tobytes() == _GUARD and self.guards[1].tobytes() == _GUARD

    def untouched(self) -> bool:
        """Tell whether all is as it was when the block was made, or freed."""
        # Of few bytes, as most blocks are, a copy and its comparison take a tenth of what NumPy's do.
        return self.whole.tobytes() == bytes([POISON]) * self.whole.nbytes
