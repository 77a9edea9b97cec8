"""
The device behind `strict_cupy`: memory, streams, events, and what can go wrong.

Device memory is host memory at a fixed address, so kernels find it through tables of addresses. It starts as 0xCD, has
guard bytes on both sides, and becomes 0xCD again when freed. Work that a stream is given waits until somebody
synchronizes: whatever a program forgets to wait for has then surely not happened.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from cuda_errors import CompileException, CUDADriverError, CUDARuntimeError, DeviceFault, OutOfMemoryError
from emulated_memory import (
    ALIGNMENT,
    POISON,
    QUARANTINE_BLOCKS,
    QUARANTINE_BYTES,
    SPARE_BLOCKS,
    SPARE_BYTES,
    AddressSanitizer,
    Block,
    Bytes,
)
from emulated_stream import Burial, Stream

__all__ = ["Allocation", "Device", "device"]

_NOT_COMPILED = 'kernel.cu(7): error: identifier "u128" is undefined\n\n1 error detected in the compilation'


class _ThreadState(threading.local):
    # Of each thread: the device it uses, and the streams it has entered.
    def __init__(self) -> None:
        self.id = 0
        self.stack: list[Stream] = []


class Device:
    """
    One device: how much memory it has, in what order it runs threads, and which fault it suffers.

    Attributes
    ----------
    n_devices : int
        How many there seem to be. They are one device under several numbers: a stream knows on which it was made.
    total_bytes, reserved_bytes : int
        Size of the memory, and how much of it others hold.
    used_bytes, peak_bytes, pool_bytes : int
        In arrays now, at most so far, and kept by the pool (arrays and what they left).
    pool_releases : int
        How often the pool was told to give back what it keeps.
    pinned_used_bytes : int
        Pinned host memory in use now.
    pinned_free : Counter of int
        Blocks that the pool of pinned memory keeps unused, by size; they serve requests of this very size only.
    pinned_limit_bytes : int
        How much memory of the host can be pinned.
    order : int
        Thread order of the launches.
    all_orders : bool
        Run every launch in orders 0 to 3 from the same memory, and demand that they leave the same.
    unordered : set of str
        Kernels that `all_orders` leaves alone, as their output may lie in any order.
    races : bool
        Kernels compiled from now on look at every access, and report barriers that are missing.
    lazy : bool
        Work waits in its stream until something synchronizes. False: it is done at once, which eases debugging.
    launches : list of str
        The kernels launched so far.
    n_waiting : int
        How much work waits in all streams.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._local = _ThreadState()
        self.n_waiting = 0
        self._asan = AddressSanitizer()
        self.blocks: dict[int, Block] = {}
        self.used_bytes = self.pinned_used_bytes = 0
        self._quarantine: deque[Block] = deque()
        self._quarantine_bytes = 0
        self._spare: defaultdict[int, list[Block]] = defaultdict(list)
        self.reset(1 << 30)

    def reset(self, total_bytes: int, reserved_bytes: int = 0) -> None:
        """Make the device as new; arrays of before stay alive and are counted still."""
        self.total_bytes, self.reserved_bytes = total_bytes, reserved_bytes
        self.n_devices = 1
        self.pool_releases = 0
        self.pinned_free: Counter[int] = Counter()
        self.pinned_limit_bytes = 1 << 62
        self.peak_bytes = self.pool_bytes = self.used_bytes
        self.order, self.all_orders, self.lazy, self.races = 0, False, True, False
        self.unordered: set[str] = set()
        self.launches: list[str] = []
        self.driver_status: int | None = None
        self.nvrtc_missing = self.headers_missing = False
        self.lost_status: int | None = None
        self.load_failure: Exception | None = None
        self._launches_left: int | None = None
        self._stays_lost = True
        self._loss_status, self._loss_is_late = 700, False
        self.streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._local = _ThreadState()
        self.null_stream = Stream(self, non_blocking=False)
        self.null_stream.device_id = -1
        self._exhume(0, 0)
        self._spare.clear()

    def settings(self) -> dict[str, Any]:
        """Give the attributes that a program sets, to be put back."""
        names = ("total_bytes", "reserved_bytes", "order", "all_orders", "unordered", "lazy", "races", "n_devices")
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
        self._stays_lost = True

    def refuse_launch_after(self, n: int, status: int = 2) -> None:
        """Let `n` more launches succeed and the next one fail; the device is as well as before."""
        self._launches_left, self._loss_status, self._stays_lost = n, status, False

    @contextmanager
    def refused_load(self, status: int | None) -> Iterator[None]:
        """Within, no module can be loaded, for a key of `STATUS`; for None it cannot be compiled."""
        self.load_failure = CompileException(_NOT_COMPILED) if status is None else CUDADriverError(status)
        try:
            yield
        finally:
            self.load_failure = None

    def about_to_load(self) -> None:
        """Raise what compiling or loading a module would raise now."""
        self.driver_call()
        if self.load_failure is not None:
            raise self.load_failure

    def about_to_launch(self, kernel: str) -> bool:
        """Count a launch; False if the device has just been lost without saying so."""
        self.driver_call()
        self.launches.append(kernel)
        if self._launches_left is not None:
            self._launches_left -= 1
            if self._launches_left < 0 and not self._stays_lost:
                self._launches_left = None
                raise CUDADriverError(self._loss_status)
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
    def no_headers(self) -> Iterator[None]:
        """Within, functions of CuPy that are kernels of its own cannot be compiled: CUDA's header files are missing."""
        self.headers_missing = True
        try:
            yield
        finally:
            self.headers_missing = False

    @contextmanager
    def faults(self) -> Iterator[Device]:
        """After it, whatever `fail_launch_after` and others did within is undone."""
        try:
            yield self
        finally:
            self.driver_status = self.lost_status = self._launches_left = None
            self.nvrtc_missing = self.headers_missing = False

    # Which device

    @property
    def current_id(self) -> int:
        """The device that this thread uses, 0 until it says otherwise."""
        return self._local.id

    def use(self, device_id: int) -> None:
        """Make a device current in this thread."""
        self.runtime_call()
        if not 0 <= device_id < self.n_devices:
            raise CUDARuntimeError(101)
        self._local.id = device_id

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
            self.pool_releases += 1

    @property
    def pinned_pool_bytes(self) -> int:
        """Pinned host memory that is in use or kept by its pool."""
        return self.pinned_used_bytes + sum(size * n for size, n in self.pinned_free.copy().items())

    def memory_info(self) -> tuple[int, int]:
        """Give free and total bytes of the device: what the pool keeps is not free."""
        self.runtime_call()
        return self.total_bytes - self.reserved_bytes - self.pool_bytes, self.total_bytes

    def block(self, nbytes: int) -> Block:
        """Give a block, and let AddressSanitizer know its guards."""
        with self.lock:
            capacity = _aligned(nbytes)
            spare = self._spare[capacity]
            block = spare.pop() if spare else Block(capacity)
            block.serve(nbytes)
            self.blocks[block.address] = block
            if self._asan.present:
                for guard in block.guards:
                    self._asan.forbid(guard)
            return block

    def _blocks(self) -> Iterable[Block]:
        # A copy, taken in one step: other threads, and whatever the garbage collector finds, change it meanwhile.
        return self.blocks.copy().values()

    def other_streams(self, than: Stream | None = None) -> list[Stream]:
        """Give all streams but one."""
        with self.lock:
            return [stream for stream in self.streams if stream is not than]

    def bury(self, block: Block) -> None:
        """Make freed memory useless, and keep it for a while to see whether somebody writes there."""
        with self.lock:
            if not self._asan.present and not block.intact():
                raise DeviceFault(f"something wrote outside an allocation of {block.nbytes} bytes")
            del self.blocks[block.address]
            block.data.fill(POISON)
            self._asan.forbid(block.data)
            self._quarantine.append(block)
            self._quarantine_bytes += block.nbytes
            # Work that waits may hold the address: then it stays.
            is_full = self._quarantine_bytes > QUARANTINE_BYTES or len(self._quarantine) > 2 * QUARANTINE_BLOCKS
            if is_full and not self.n_waiting:
                self._exhume(QUARANTINE_BYTES, QUARANTINE_BLOCKS)

    def _exhume(self, limit_bytes: int, limit_blocks: int) -> None:
        while self._quarantine_bytes > limit_bytes or len(self._quarantine) > limit_blocks:
            block = self._quarantine.popleft()
            self._quarantine_bytes -= block.nbytes
            self._asan.allow(block.whole)
            if not block.untouched():
                raise DeviceFault(f"{block.nbytes} bytes of device memory were written after they were freed")
            if block.capacity <= SPARE_BYTES and len(self._spare[block.capacity]) < SPARE_BLOCKS:
                self._spare[block.capacity].append(block)

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
        for block in self._blocks():
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
        if not any(block.address <= address < block.address + block.nbytes for block in self._blocks()):
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
        before = {block: block.data.copy() for block in self._blocks()}
        left: dict[Block, Bytes] = {}
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
        stack = self._local.stack
        return stack[-1] if stack else self.null_stream

    def enter(self, stream: Stream) -> None:
        """
        Make a stream current in this thread.

        Raises
        ------
        RuntimeError
            If it is one of another device.
        """
        if stream.device_id not in (-1, self.current_id):
            raise RuntimeError(
                f"The device that the stream is created on ({stream.device_id}) does not match with the current device "
                f"({self.current_id})"
            )
        self._local.stack.append(stream)

    def leave(self) -> None:
        """Undo `enter`."""
        self._local.stack.pop()

    def synchronize(self) -> None:
        """Wait for all streams."""
        self.runtime_call()
        for stream in self.other_streams():
            stream.run()


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


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
        self._charged_bytes = _aligned(nbytes)
        self._device = device
        self._stream = device.current_stream()
        device.charge(self._charged_bytes)
        self._block = device.block(nbytes)

    @property
    def data(self) -> Bytes:
        """The bytes."""
        return self._block.data

    def __del__(self) -> None:
        if hasattr(self, "_block"):
            device, block = self._device, self._block
            device.discharge(self._charged_bytes)
            # Memory is used again in the order of the stream that it was allocated on: work waiting there still has it.
            if self._stream.waiting:
                self._stream.submit(Burial(device.bury, block))
            else:
                device.bury(block)


device = Device()
"""The one device there is."""
