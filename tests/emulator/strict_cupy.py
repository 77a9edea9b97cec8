"""
An emulation of CuPy: host code written for CuPy runs unchanged, its kernels run on the CPU through `emulator.py`.

It is stricter than CuPy: what silently goes wrong on a device raises here. Host arrays are refused where device arrays
belong, and the other way round; kernel arguments must match in number, width, element size and alignment; grids must
not be empty; new memory is poisoned; transfers and launches happen when a program waits for them, and not before. What
is not here raises AttributeError: add what the package comes to use, as CuPy does it.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np
import strict_array
from cuda_errors import CompileException, CUDADriverError, CUDARuntimeError, DeviceFault, OutOfMemoryError
from emulated_device import device
from emulated_stream import Event, Stream
from emulator import MAX_SHARED_BYTES
from strict_kernel import RawKernel, RawModule
from strict_pinned import PinnedMemoryPool, alloc_pinned_memory

__all__ = ["DeviceFault", "device", "install", "installed"]

DRIVER_VERSION = RUNTIME_VERSION = 13000
ATTRIBUTES = {
    "MultiProcessorCount": 132,
    "MaxSharedMemoryPerBlockOptin": MAX_SHARED_BYTES,
    "MaxSharedMemoryPerMultiprocessor": MAX_SHARED_BYTES + 1024,
    "MaxThreadsPerBlock": 1024,
    "MaxThreadsPerMultiProcessor": 2048,
    "L2CacheSize": 50 << 20,
    "WarpSize": 32,
}


class _Device:
    """As ``cupy.cuda.Device``."""

    def __init__(self, device_id: int | None = None) -> None:
        self.id = device.current_id if device_id is None else device_id
        self._before: list[int] = []

    def __enter__(self) -> _Device:
        self._before.append(device.current_id)
        self.use()
        return self

    def __exit__(self, *_: object) -> None:
        device.use(self._before.pop())

    def use(self) -> None:
        device.use(self.id)

    def synchronize(self) -> None:
        device.synchronize()

    @property
    def mem_info(self) -> tuple[int, int]:
        return device.memory_info()

    @property
    def attributes(self) -> dict[str, int]:
        device.runtime_call()
        return dict(ATTRIBUTES)

    @property
    def compute_capability(self) -> str:
        device.runtime_call()
        return "90"


def _get_device_count() -> int:
    device.runtime_call()
    return device.n_devices


def _get_device_properties(device_id: int) -> dict[str, Any]:
    device.runtime_call()
    if not 0 <= device_id < device.n_devices:
        raise CUDARuntimeError(101)
    return {
        "name": b"emulated device",
        "major": 9,
        "minor": 0,
        "multiProcessorCount": ATTRIBUTES["MultiProcessorCount"],
        "totalGlobalMem": device.total_bytes,
        "l2CacheSize": ATTRIBUTES["L2CacheSize"],
        "sharedMemPerBlockOptin": MAX_SHARED_BYTES,
    }


def _is_available() -> bool:
    try:
        return _get_device_count() > 0
    except CUDARuntimeError:
        return False


def _get_elapsed_time(start: Event, end: Event) -> float:
    device.runtime_call()
    if start.happened_s is None or end.happened_s is None:
        raise CUDARuntimeError(600)
    return (end.happened_s - start.happened_s) * 1e3


class _NullStream:
    """The attribute ``cupy.cuda.Stream.null``."""

    def __get__(self, *_: object) -> Stream:
        return device.null_stream


class _CudaStream(Stream):
    """As ``cupy.cuda.Stream``."""

    null = _NullStream()

    def __init__(self, *, non_blocking: bool = False) -> None:
        device.runtime_call()
        super().__init__(device, non_blocking=non_blocking)


class _CudaEvent(Event):
    """As ``cupy.cuda.Event``."""

    def __init__(self) -> None:
        device.runtime_call()
        super().__init__(device)


def _current_stream() -> Stream:
    device.runtime_call()
    return device.current_stream()


class _MemoryPool:
    used_bytes = staticmethod(lambda: device.used_bytes)
    total_bytes = staticmethod(lambda: device.pool_bytes)
    free_bytes = staticmethod(lambda: device.pool_bytes - device.used_bytes)
    free_all_blocks = staticmethod(lambda: device.free_all_blocks())
    get_limit = staticmethod(lambda: 0)  # none


def _modules() -> dict[str, types.ModuleType]:
    def module(name: str, **members: Any) -> types.ModuleType:
        made = types.ModuleType(name)
        made.__spec__ = ModuleSpec(name, None)  # importlib.util.find_spec wants one
        made.__dict__.update(members)
        return made

    runtime = module(
        "cupy.cuda.runtime",
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=_get_device_count,
        getDeviceProperties=_get_device_properties,
        runtimeGetVersion=lambda: RUNTIME_VERSION,
        driverGetVersion=lambda: DRIVER_VERSION if device.driver_status is None else 0,
        memGetInfo=device.memory_info,
        deviceSynchronize=device.synchronize,
    )
    driver = module("cupy.cuda.driver", CUDADriverError=CUDADriverError)
    memory = module("cupy.cuda.memory", OutOfMemoryError=OutOfMemoryError, MemoryPointer=strict_array.MemoryPointer)
    compiler = module("cupy.cuda.compiler", CompileException=CompileException)
    cuda = module(
        "cupy.cuda",
        runtime=runtime,
        driver=driver,
        memory=memory,
        compiler=compiler,
        Device=_Device,
        Stream=_CudaStream,
        Event=_CudaEvent,
        get_current_stream=_current_stream,
        get_elapsed_time=_get_elapsed_time,
        alloc_pinned_memory=alloc_pinned_memory,
        is_available=_is_available,
        MemoryPointer=strict_array.MemoryPointer,
    )
    cupy = module(
        "cupy",
        __version__="14.2.0",
        __path__=[],
        is_emulated=True,
        cuda=cuda,
        RawModule=RawModule,
        RawKernel=RawKernel,
        asnumpy=lambda a: a.get(),
        get_default_memory_pool=_MemoryPool,
        get_default_pinned_memory_pool=PinnedMemoryPool,
    )
    cupy.__dict__.update({name: getattr(strict_array, name) for name in strict_array.__all__})
    for name in ("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        setattr(cupy, name, getattr(np, name))
    cuda.__dict__["__path__"] = []
    return {made.__name__: made for made in (cupy, cuda, runtime, driver, memory, compiler)}


def install(device_bytes: int = 1 << 30, reserved_bytes: int = 0) -> types.ModuleType:
    """
    Put the emulation where ``import cupy`` finds it, with a new device.

    Parameters
    ----------
    device_bytes, reserved_bytes : int
        Memory of the device, and how much of it others hold.
    """
    device.reset(device_bytes, reserved_bytes)
    modules = _modules()
    sys.modules.update(modules)
    return modules["cupy"]


@contextmanager
def installed(device_bytes: int = 1 << 30, reserved_bytes: int = 0) -> Iterator[types.ModuleType]:
    """Within, ``import cupy`` gives the emulation with a new device; after it, all is as it was before."""
    modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "cupy"}
    settings = device.settings()
    for name in modules:
        del sys.modules[name]
    try:
        yield install(device_bytes, reserved_bytes)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "cupy"]:
            del sys.modules[name]
        sys.modules.update(modules)
        device.reset(device.total_bytes)
        device.__dict__.update(settings)
