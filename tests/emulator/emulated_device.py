"""
The device behind `strict_cupy`: memory, streams, events, and what can go wrong.

Device memory is host memory at a fixed address, so kernels find it through tables of addresses. It starts as 0xCD, has
guard bytes on both sides, and becomes 0xCD again when freed. Work that a stream is given waits until somebody
synchronizes: whatever a program forgets to wait for has then surely not happened.
"""

from __future__ import annotations

import ctypes
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Allocation",
    "CUDADriverError",
    "CUDARuntimeError",
    "Device",
    "DeviceFault",
    "DynamicLibNotFoundError",
    "Event",
    "OutOfMemoryError",
    "Stream",
]

Bytes = NDArray[np.uint8]

POISON = 0xCD
ALIGNMENT = 512
"""CuPy's memory pool hands out multiples of this, so aligned."""
GUARD_BYTES = 256
QUARANTINE_BYTES = 1 << 24
_GUARD = bytes([POISON]) * GUARD_BYTES

STATUS = {
    1: ("cudaErrorInvalidValue", "CUDA_ERROR_INVALID_VALUE", "invalid argument"),
    2: ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"),
    3: ("cudaErrorInitializationError", "CUDA_ERROR_NOT_INITIALIZED", "initialization error"),
    35: (
        "cudaErrorInsufficientDriver",
        "CUDA_ERROR_STUB_LIBRARY",
        "CUDA driver version is insufficient for CUDA runtime version",
    ),
    46: (
        "cudaErrorDevicesUnavailable",
        "CUDA_ERROR_DEVICE_UNAVAILABLE",
        "CUDA-capable device(s) is/are busy or unavailable",
    ),
    100: ("cudaErrorNoDevice", "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"),
    101: ("cudaErrorInvalidDevice", "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"),
    214: ("cudaErrorECCUncorrectable", "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"),
    500: ("cudaErrorSymbolNotFound", "CUDA_ERROR_NOT_FOUND", "named symbol not found"),
    600: ("cudaErrorNotReady", "CUDA_ERROR_NOT_READY", "device not ready"),
    700: ("cudaErrorIllegalAddress", "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"),
    719: ("cudaErrorLaunchFailure", "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"),
}
"""Names and texts as CuPy 14.2 gives them for CUDA 13."""


class CUDARuntimeError(RuntimeError):
    """As ``cupy.cuda.runtime.CUDARuntimeError``."""

    def __init__(self, status: int) -> None:
        self.status = status
        name, _, text = STATUS[status]
        super().__init__(f"{name}: {text}")


class CUDADriverError(RuntimeError):
    """As ``cupy.cuda.driver.CUDADriverError``: what loading a module and launching a kernel raise."""

    def __init__(self, status: int) -> None:
        self.status = status
        _, name, text = STATUS[status]
        super().__init__(f"{name}: {text}")


class OutOfMemoryError(MemoryError):
    """As ``cupy.cuda.memory.OutOfMemoryError``."""

    def __init__(self, size: int, total: int) -> None:
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


class DynamicLibNotFoundError(RuntimeError):
    """As ``cuda.pathfinder.DynamicLibNotFoundError``, which CuPy lets through when NVRTC is missing."""


class DeviceFault(AssertionError):
    """The program did what a real device may answer with silent corruption."""


class _AddressSanitizer:
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


class _Block:
    """Bytes with a guard on both sides; outlives its `Allocation` for a while, to see late writes."""

    __slots__ = ("address", "data", "guards", "nbytes", "whole")

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.whole: Bytes = np.full(nbytes + 2 * GUARD_BYTES + ALIGNMENT, POISON, np.uint8)
        begin = -(self.whole.ctypes.data + GUARD_BYTES) % ALIGNMENT + GUARD_BYTES
        self.data = self.whole[begin : begin + nbytes]
        self.address: int = self.whole.ctypes.data + begin
        self.guards = (self.whole[begin - GUARD_BYTES : begin], self.whole[begin + nbytes :][:GUARD_BYTES])

    def intact(self) -> bool:
        return self.guards[0].tobytes() == _GUARD and self.guards[1].tobytes() == _GUARD


class Device:
    """
    One device: how much memory it has, in what order it runs threads, and which fault it suffers.

    Attributes
    ----------
    total_bytes, reserved_bytes : int
        Size of the memory, and how much of it others hold.
    used_bytes, peak_bytes, pool_bytes : int
        In arrays now, at most so far, and kept by the pool (arrays and what they left).
    order : int
        Thread order of the launches.
    all_orders : bool
        Run every launch in orders 0 to 3 from the same memory, and demand that they leave the same.
    unordered : set of str
        Kernels that `all_orders` leaves alone, as their output may lie in any order.
    lazy : bool
        Work waits in its stream until something synchronizes. False: it is done at once, which eases debugging.
    launches : list of str
        The kernels launched so far.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._local = threading.local()
        self._asan = _AddressSanitizer()
        self.blocks: dict[int, _Block] = {}
        self.used_bytes = 0
        self._quarantine: deque[_Block] = deque()
        self.reset(1 << 30)

    def reset(self, total_bytes: int, reserved_bytes: int = 0) -> None:
        """Make the device as new; arrays of before stay alive and are counted still."""
        self.total_bytes, self.reserved_bytes = total_bytes, reserved_bytes
        self.peak_bytes = self.pool_bytes = self.used_bytes
        self.order, self.all_orders, self.lazy = 0, False, True
        self.unordered: set[str] = set()
        self.launches: list[str] = []
        self.driver_status: int | None = None
        self.nvrtc_missing = False
        self.lost_status: int | None = None
        self._launches_left: int | None = None
        self._loss_status, self._loss_is_late = 700, False
        self.streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self.null_stream = Stream(self, non_blocking=False)
        self._local = threading.local()
        self._exhume(0)

    def settings(self) -> dict[str, Any]:
        """Give the attributes that a program sets, to be put back."""
        names = ("total_bytes", "reserved_bytes", "order", "all_orders", "unordered", "lazy")
        return {name: getattr(self, name) for name in names}

    @property
    def sanitized(self) -> bool:
        """Whether this process runs under AddressSanitizer, and kernels are to be built for it."""
        return self._asan.present

    # Faults

    def runtime_call(self) -> None:
        """Raise what the CUDA runtime would raise now, whatever it is asked for."""
        status = self.driver_status or self.lost_status
        if status is not None:
            raise CUDARuntimeError(status)

    def driver_call(self) -> None:
        """Raise what the CUDA driver would raise now; CuPy loads modules and launches kernels through it."""
        if self.driver_status is not None:
            raise CUDARuntimeError(self.driver_status)  # CuPy asks the runtime for a device first
        if self.lost_status is not None:
            raise CUDADriverError(self.lost_status)

    def fail_launch_after(self, n: int, status: int = 700, *, late: bool = False) -> None:
        """
        Lose the device: `n` more launches succeed, the next one fails, and every CUDA call from then on.

        Parameters
        ----------
        n : int
        status : int
            A key of `STATUS`.
        late : bool
            The launch itself returns as if nothing were wrong, as it mostly does when a kernel faults; whoever calls
            next is told.
        """
        self._launches_left, self._loss_status, self._loss_is_late = n, status, late

    def about_to_launch(self, kernel: str) -> bool:
        """Count a launch; False if the device has just been lost without saying so."""
        self.driver_call()
        self.launches.append(kernel)
        if self._launches_left is not None:
            self._launches_left -= 1
            if self._launches_left < 0:
                self.lost_status = self._loss_status
                if not self._loss_is_late:
                    self.driver_call()
                return False
        return True

    @contextmanager
    def no_driver(self, status: int = 35) -> Iterator[None]:
        """Within, there is no driver, or with status 100 no device."""
        self.driver_status = status
        try:
            yield
        finally:
            self.driver_status = None

    @contextmanager
    def no_nvrtc(self) -> Iterator[None]:
        """Within, kernels cannot be compiled: NVRTC is not installed."""
        self.nvrtc_missing = True
        try:
            yield
        finally:
            self.nvrtc_missing = False

    @contextmanager
    def faults(self) -> Iterator[Device]:
        """After it, whatever `fail_launch_after` and others did within is undone."""
        try:
            yield self
        finally:
            self.driver_status = self.lost_status = self._launches_left = None
            self.nvrtc_missing = False

    # Memory

    def charge(self, nbytes: int) -> None:
        """Take memory from the pool, or from the device if the pool has none left."""
        self.runtime_call()
        with self.lock:
            if self.used_bytes + nbytes > self.total_bytes - self.reserved_bytes:
                raise OutOfMemoryError(nbytes, self.used_bytes)
            self.used_bytes += nbytes
            self.peak_bytes = max(self.peak_bytes, self.used_bytes)
            self.pool_bytes = max(self.pool_bytes, self.used_bytes)

    def discharge(self, nbytes: int) -> None:
        """Give memory back to the pool."""
        with self.lock:
            self.used_bytes -= nbytes

    def free_all_blocks(self) -> None:
        """Give what the pool keeps back to the device."""
        with self.lock:
            self.pool_bytes = self.used_bytes

    def memory_info(self) -> tuple[int, int]:
        """Give free and total bytes of the device: what the pool keeps is not free."""
        self.runtime_call()
        return self.total_bytes - self.reserved_bytes - self.pool_bytes, self.total_bytes

    def shield(self, block: _Block) -> None:
        """Let AddressSanitizer know the guards."""
        for guard in block.guards:
            self._asan.forbid(guard)

    def bury(self, block: _Block) -> None:
        """Make freed memory useless, and keep it for a while to see whether somebody writes there."""
        with self.lock:
            self.check_guards()
            del self.blocks[block.address]
            block.data[...] = POISON
            self._asan.forbid(block.data)
            self._quarantine.append(block)
            # Work that waits may hold the address: then it stays.
            if not any(stream.waiting for stream in self.streams):
                self._exhume(QUARANTINE_BYTES)

    def _exhume(self, limit_bytes: int) -> None:
        kept = sum(block.nbytes for block in self._quarantine)
        while kept > limit_bytes:
            block = self._quarantine.popleft()
            kept -= block.nbytes
            self._asan.allow(block.whole)
            if (block.data != POISON).any():
                raise DeviceFault(f"{block.nbytes} bytes of device memory were written after they were freed")

    def check_guards(self, culprit: str = "something") -> None:
        """
        See that nothing was written next to device memory.

        Raises
        ------
        DeviceFault
            If it was.
        """
        if self.sanitized:
            return  # the access itself was seen
        for block in self.blocks.values():
            if not block.intact():
                raise DeviceFault(f"{culprit} wrote outside an allocation of {block.nbytes} bytes")

    def check_address(self, what: str, address: int) -> None:
        """
        See that an address given to a kernel is one in device memory.

        Raises
        ------
        DeviceFault
            If it is not.
        """
        if not any(block.address <= address < block.address + block.nbytes for block in self.blocks.values()):
            raise DeviceFault(f"{what}: {address:#x} is no address in device memory")

    def run_kernel(self, kernel: str, launch: Callable[[int], None]) -> None:
        """
        Run a kernel in the order asked for, or in all.

        Parameters
        ----------
        kernel : str
        launch : callable
            Takes the order.

        Raises
        ------
        DeviceFault
            If orders leave different memory, or memory outside allocations was written.
        """
        if not self.all_orders or kernel in self.unordered:
            launch(self.order)
            self.check_guards(kernel)
            return
        before = {block: block.data.copy() for block in self.blocks.values()}
        left: dict[_Block, Bytes] = {}
        for order in range(4):
            for block, data in before.items():
                block.data[...] = data
            launch(order)
            self.check_guards(kernel)
            for block in before:
                if order == 0:
                    left[block] = block.data.copy()
                elif not np.array_equal(left[block], block.data):
                    at = int(np.flatnonzero(left[block] != block.data)[0])
                    raise DeviceFault(
                        f"{kernel}: thread order {order} leaves other memory than order 0, first at byte {at} of an "
                        f"allocation of {block.nbytes} bytes: a race, or a barrier is missing"
                    )

    # Streams

    def current_stream(self) -> Stream:
        """Give the stream that this thread uses."""
        stack = self._local.__dict__.setdefault("stack", [])
        return stack[-1] if stack else self.null_stream

    def enter(self, stream: Stream) -> None:
        """Make a stream current in this thread."""
        self._local.__dict__.setdefault("stack", []).append(stream)

    def leave(self) -> None:
        """Undo `enter`."""
        self._local.stack.pop()

    def synchronize(self) -> None:
        """Wait for all streams."""
        self.runtime_call()
        for stream in list(self.streams):
            stream.run()


class Stream:
    """
    Work in order; see `Device.lazy`.

    Parameters
    ----------
    device : Device
    non_blocking : bool
        Does not wait for the null stream, nor the null stream for it.
    """

    def __init__(self, device: Device, *, non_blocking: bool) -> None:
        self._device = device
        self._work: deque[Callable[[], None]] = deque()
        self._submitted = self._done = 0
        self.non_blocking = non_blocking
        device.streams.add(self)

    @property
    def waiting(self) -> bool:
        """Whether there is work left."""
        return bool(self._work)

    @property
    def done(self) -> bool:
        """Whether all work is done."""
        self._device.runtime_call()
        return not self._work

    @property
    def ptr(self) -> int:
        """The handle."""
        return 0 if self is self._device.null_stream else id(self)

    def _ordered_with(self) -> list[Stream]:
        # The null stream and the streams that are not non-blocking wait for each other's earlier work.
        null = self._device.null_stream
        if self is null:
            return [s for s in self._device.streams if s is not self and not s.non_blocking and s.waiting]
        return [null] if not self.non_blocking and null.waiting else []

    def submit(self, work: Callable[[], None]) -> int:
        """Queue some work; gives its number for `run`."""
        with self._device.lock:
            for other in self._ordered_with():
                self._append(partial(other.run, other._submitted))
            number = self._append(work)
            if not self._device.lazy:
                self.run()
            return number

    def _append(self, work: Callable[[], None]) -> int:
        self._work.append(work)
        self._submitted += 1
        return self._submitted

    def run(self, upto: int | None = None) -> None:
        """Do the work that waits, up to that of a number."""
        with self._device.lock:
            while self._work and (upto is None or self._done < upto):
                self._done += 1
                work = self._work.popleft()
                # A lost device does nothing more; memory is given back all the same.
                if self._device.lost_status is None or isinstance(work, _Burial):
                    work()

    def __del__(self) -> None:
        if hasattr(self, "_work"):
            self.run()

    # What CuPy's streams offer

    def __enter__(self) -> Stream:
        self._device.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._device.leave()

    def synchronize(self) -> None:
        """Wait for the work."""
        self._device.runtime_call()
        self.run()
        self._device.runtime_call()

    def record(self, event: Event | None = None) -> Event:
        """Let an event happen when the work so far is done."""
        event = Event(self._device) if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let later work wait for an event."""
        self._device.runtime_call()
        self.submit(event.run)


class Event:
    """
    A point in a stream.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._stream: Stream | None = None
        self._number = 0
        self.happened_s: float | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Happen when the work so far of a stream, the current one by default, is done."""
        self._device.runtime_call()
        self._stream = stream or self._device.current_stream()
        self.happened_s = None
        self._number = self._stream.submit(self._happen)

    def _happen(self) -> None:
        self.happened_s = time.perf_counter()

    def run(self) -> None:
        """Do the work before this event."""
        if self._stream is not None:
            self._stream.run(self._number)

    def synchronize(self) -> None:
        """Wait until it has happened."""
        self._device.runtime_call()
        self.run()

    @property
    def done(self) -> bool:
        """Whether it has happened, or was never recorded."""
        self._device.runtime_call()
        return self._stream is None or self.happened_s is not None


class _Burial(partial[None]):
    """Work that frees memory."""


class Allocation:
    """
    Device memory, freed when the last array in it dies.

    Parameters
    ----------
    device : Device
    nbytes : int
        At least 1.

    Raises
    ------
    OutOfMemoryError
        If the device has less left.
    """

    __slots__ = ("__weakref__", "_block", "_charged_bytes", "_device", "_stream")

    def __init__(self, device: Device, nbytes: int) -> None:
        self._charged_bytes = -(-nbytes // ALIGNMENT) * ALIGNMENT
        self._device = device
        self._stream = device.current_stream()
        device.charge(self._charged_bytes)
        self._block = _Block(nbytes)
        device.blocks[self._block.address] = self._block
        device.shield(self._block)

    @property
    def data(self) -> Bytes:
        """The bytes."""
        return self._block.data

    def __del__(self) -> None:
        if hasattr(self, "_block"):
            device, block = self._device, self._block
            device.discharge(self._charged_bytes)
            # Memory is used again in the order of the stream that it was allocated on: work waiting there still has it.
            burial = _Burial(device.bury, block)
            if self._stream.waiting:
                self._stream.submit(burial)
            else:
                burial()
