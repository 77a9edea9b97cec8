"""Pinned host memory as CuPy hands it out: in powers of two, from a pool that takes it back at once."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from cuda_errors import CUDARuntimeError
from emulated_device import device

__all__ = ["PinnedMemoryPool", "alloc_pinned_memory", "if_pinned"]

_pinned: dict[int, bytearray] = {}


class PinnedMemoryPool:
    """As ``cupy.cuda.PinnedMemoryPool``."""

    def n_free_blocks(self) -> int:
        return device.pinned_free.total()

    def free_all_blocks(self) -> None:
        with device.lock:
            device.pinned_free.clear()


def _take(size: int) -> None:
    # From the pool, or from the host once the pool has no block of this size.
    with device.lock:
        if device.pinned_free[size]:
            device.pinned_free[size] -= 1
        elif device.pinned_pool_bytes + size > device.pinned_limit_bytes:
            PinnedMemoryPool().free_all_blocks()
            if device.pinned_pool_bytes + size > device.pinned_limit_bytes:
                raise CUDARuntimeError(2)
        device.pinned_used_bytes += size


@cache
def _pinned_type(nbytes: int) -> Any:
    # As ``cupy.cuda.PinnedMemoryPointer``: a buffer of host memory.
    def give_back(self: Any) -> None:
        # The pool hands it to whoever asks next, also while a transfer is under way.
        storage = _pinned.pop(self.ptr)
        storage[:] = b"\xcd" * len(storage)
        with device.lock:
            device.pinned_free[nbytes] += 1
            device.pinned_used_bytes -= nbytes

    members = {"ptr": property(ctypes.addressof), "size": lambda _: nbytes, "__del__": give_back}
    return type("PinnedMemoryPointer", (ctypes.c_uint8 * nbytes,), members)


def alloc_pinned_memory(nbytes: int) -> Any:
    device.runtime_call()
    # CuPy's pool has powers of two: whoever forgets to say how many elements there are gets too many.
    size = max(512, 1 << (nbytes - 1).bit_length())
    _take(size)
    storage = bytearray(b"\xcd" * size)
    memory = _pinned_type(len(storage)).from_buffer(storage)
    _pinned[memory.ptr] = storage
    return memory


def if_pinned(host: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    # The same bytes without a claim on the memory: it is the program's task to keep it until a transfer is over.
    if host.flags.c_contiguous:
        # A copy, taken in one step: other threads ask for memory and give it back meanwhile.
        for begin, storage in _pinned.copy().items():
            offset = host.ctypes.data - begin
            if 0 <= offset < len(storage):
                return np.frombuffer(storage, host.dtype, host.size, offset).reshape(host.shape)
    return None
