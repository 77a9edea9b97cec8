"""
A stand-in for CuPy: host code written for CuPy runs unchanged, its kernels run on the CPU through `emulator.py`.

It is stricter than CuPy: what silently goes wrong on a device raises here. Host arrays are refused where device arrays
belong, and the other way round; kernel arguments must match in number, width, element size and alignment; grids must
not be empty; new memory is poisoned; transfers and launches happen when a program waits for them, and not before. What
is not here raises AttributeError: add what the package comes to use, as CuPy does it.
"""

from __future__ import annotations

import ctypes
import operator
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np
from emulated_device import (
    Allocation,
    CUDADriverError,
    CUDARuntimeError,
    Device,
    DeviceFault,
    DynamicLibNotFoundError,
    Event,
    OutOfMemoryError,
    Stream,
)
from emulator import MAX_SHARED_BYTES, SCALARS, VECTOR_BYTES, EmulatedModule, EmulatorError, Parameter

__all__ = ["DeviceFault", "device", "install", "installed"]

device = Device()
"""The one device there is."""

STATIC_SHARED_BYTES = 48 * 1024
"""What a block may have without asking for more."""
DRIVER_VERSION = RUNTIME_VERSION = 13000
ATTRIBUTES = {
    "MultiProcessorCount": 132,
    "MaxSharedMemoryPerBlockOptin": MAX_SHARED_BYTES,
    "MaxThreadsPerBlock": 1024,
    "MaxThreadsPerMultiProcessor": 2048,
    "L2CacheSize": 50 << 20,
    "WarpSize": 32,
}


class CompileException(Exception):
    """As ``cupy.cuda.compiler.CompileException``."""


class MemoryPointer:
    """As ``cupy.cuda.MemoryPointer``: where an array lies."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


def _host_only_error(value: Any) -> TypeError:
    return TypeError(f"Unsupported type {type(value)}")


class ndarray:
    """As ``cupy.ndarray``, C-contiguous when new."""

    __slots__ = ("__weakref__", "_memory", "_view")
    __array_ufunc__ = None  # NumPy functions do not take it
    __hash__ = None  # type: ignore[assignment]  # comparisons give arrays

    def __init__(self, memory: Allocation | None, view: np.ndarray[Any, Any]) -> None:
        self._memory, self._view = memory, view

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    shape = property(lambda self: self._view.shape)
    dtype = property(lambda self: self._view.dtype)
    size = property(lambda self: self._view.size)
    ndim = property(lambda self: self._view.ndim)
    nbytes = property(lambda self: self._view.nbytes)
    itemsize = property(lambda self: self._view.itemsize)
    strides = property(lambda self: self._view.strides)
    flags = property(lambda self: self._view.flags)

    @property
    def data(self) -> MemoryPointer:
        return MemoryPointer(self._view.ctypes.data if self._memory else 0)

    def __len__(self) -> int:
        return len(self._view)

    def get(
        self,
        stream: Stream | None = None,
        order: str = "C",
        out: np.ndarray[Any, Any] | None = None,
        blocking: bool = True,
    ) -> np.ndarray[Any, Any]:
        device.runtime_call()
        stream = stream or device.current_stream()
        host = np.empty(self.shape, self.dtype) if out is None else out
        if host.dtype != self.dtype or host.shape != self.shape or not host.flags.c_contiguous:
            raise ValueError("out: an array of the same shape and type, C-contiguous, is wanted")
        pinned = _if_pinned(host) if self.size else None
        if self.size:
            stream.submit(partial(np.copyto, host if pinned is None else pinned, self._view))
        # Only pinned memory is written while the program goes on.
        if blocking or pinned is None:
            stream.synchronize()
        return host

    def set(self, arr: np.ndarray[Any, Any], stream: Stream | None = None) -> None:
        device.runtime_call()
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not self.flags.c_contiguous:
            raise RuntimeError("Cannot set to non-contiguous array")
        # Pageable memory is staged before the call returns; pinned memory is read whenever the copy happens.
        if self.size:
            pinned = _if_pinned(arr)
            source = arr.copy() if pinned is None else pinned
            (stream or device.current_stream()).submit(partial(np.copyto, self._view, source))

    def fill(self, value: Any) -> None:
        device.runtime_call()
        if self.size:
            device.current_stream().submit(partial(np.copyto, self._view, _read(value)))

    def view(self, dtype: Any = None) -> ndarray:
        return ndarray(self._memory, self._view.view(dtype or self.dtype))

    def reshape(self, *shape: Any) -> ndarray:
        reshaped = self._view.view()
        reshaped.shape = shape[0] if len(shape) == 1 else shape  # raises where a copy would be needed
        return ndarray(self._memory, reshaped)

    def astype(self, dtype: Any) -> ndarray:
        return _new(_read(self).astype(dtype))

    def copy(self) -> ndarray:
        return _new(_read(self))

    def sum(self, axis: int | None = None, dtype: Any = None) -> ndarray:
        return _new(_read(self).sum(axis, dtype))

    def min(self, axis: int | None = None) -> ndarray:
        return _new(_read(self).min(axis))

    def max(self, axis: int | None = None) -> ndarray:
        return _new(_read(self).max(axis))

    def item(self) -> Any:
        return _read(self).item()

    def __bool__(self) -> bool:
        return bool(_read(self))

    def __int__(self) -> int:
        return int(_read(self))

    def __getitem__(self, key: Any) -> ndarray:
        if _is_basic(key):
            return ndarray(self._memory, np.asarray(self._view[key]))
        return _new(_read(self)[_read(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        _read(self)[_read(key)] = _read(value)


def _is_basic(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return all(part is None or part is Ellipsis or isinstance(part, int | np.integer | slice) for part in parts)


def _read(value: Any) -> Any:
    # The host side of an operand: the bytes of a device array after the work that waits, or a number.
    if isinstance(value, ndarray):
        device.runtime_call()
        device.current_stream().run()
        return value._view
    if isinstance(value, np.ndarray):
        raise _host_only_error(value)
    if isinstance(value, tuple | list):
        return type(value)(_read(part) for part in value)
    return value


def _operator(apply: Callable[..., Any]) -> Callable[..., ndarray]:
    return lambda *operands: _new(apply(*(_read(operand) for operand in operands)))


for _name in ("add", "sub", "mul", "floordiv", "mod", "and", "or", "xor", "lshift", "rshift"):
    _apply = getattr(operator, f"__{_name}__")
    setattr(ndarray, f"__{_name}__", _operator(_apply))
    setattr(ndarray, f"__r{_name}__", _operator(lambda a, b, _apply=_apply: _apply(b, a)))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "invert", "neg"):
    setattr(ndarray, f"__{_name}__", _operator(getattr(operator, f"__{_name}__")))


def _empty(shape: Any, dtype: Any) -> ndarray:
    device.runtime_call()
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise ValueError(f"Unsupported dtype {dtype}")
    whole = (int(shape),) if isinstance(shape, int | np.integer) else tuple(int(n) for n in shape)
    nbytes = int(np.prod(whole, dtype=object)) * dtype.itemsize
    if nbytes == 0:
        return ndarray(None, np.empty(whole, dtype))
    memory = Allocation(device, nbytes)
    return ndarray(memory, memory.data.view(dtype).reshape(whole))


def _new(values: Any) -> ndarray:
    host = np.asarray(values)
    made = _empty(host.shape, host.dtype)
    made._view[...] = host
    return made


def _asarray(values: Any, dtype: Any = None) -> ndarray:
    if isinstance(values, ndarray):
        return values if dtype is None or dtype == values.dtype else values.astype(dtype)
    host = np.asarray(values, dtype, order="C")
    made = _empty(host.shape, host.dtype)
    made.set(host)
    return made


def _zeros(shape: Any, dtype: Any = float) -> ndarray:
    return _full(shape, 0, dtype)


def _full(shape: Any, value: Any, dtype: Any) -> ndarray:
    made = _empty(shape, dtype)
    made.fill(value)
    return made


def _lexsort(keys: ndarray) -> ndarray:
    if not isinstance(keys, ndarray):
        raise TypeError("keys: a 2-D device array")
    return _new(np.lexsort(_read(keys)))


def _take(a: ndarray, indices: ndarray, axis: int | None = None) -> ndarray:
    # CuPy wraps indices that are out of bounds; no program of ours means that.
    return _new(np.take(_read(a), _read(indices), axis, mode="raise"))


def _argsort(a: ndarray) -> ndarray:
    return _new(np.argsort(_read(a), kind="stable"))


def _function(apply: Callable[..., Any]) -> Callable[..., ndarray]:
    return lambda a, *others, **named: _new(apply(_read(a), *(_read(other) for other in others), **named))


# Pinned host memory

_pinned: dict[int, bytearray] = {}


@cache
def _pinned_type(nbytes: int) -> Any:
    # As ``cupy.cuda.PinnedMemoryPointer``: a buffer of host memory.
    def give_back(self: Any) -> None:
        # The pool hands it to whoever asks next, also while a transfer is under way.
        storage = _pinned.pop(self.ptr)
        storage[:] = b"\xcd" * len(storage)

    members = {"ptr": property(ctypes.addressof), "size": lambda _: nbytes, "__del__": give_back}
    return type("PinnedMemoryPointer", (ctypes.c_uint8 * nbytes,), members)


def _alloc_pinned_memory(nbytes: int) -> Any:
    device.runtime_call()
    # CuPy's pool has powers of two: whoever forgets to say how many elements there are gets too many.
    storage = bytearray(b"\xcd" * max(512, 1 << (nbytes - 1).bit_length()))
    memory = _pinned_type(len(storage)).from_buffer(storage)
    _pinned[memory.ptr] = storage
    return memory


def _if_pinned(host: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    # The same bytes without a claim on the memory: it is the program's task to keep it until a transfer is over.
    if host.flags.c_contiguous:
        for begin, storage in _pinned.items():
            offset = host.ctypes.data - begin
            if 0 <= offset < len(storage):
                return np.frombuffer(storage, host.dtype, host.size, offset).reshape(host.shape)
    return None


# Kernels


def _checked_argument(kernel: str, parameter: Parameter, argument: Any) -> int:
    # What CuPy would hand to the driver, as an integer; narrower or wider than the parameter is an error.
    where = f"{kernel}({parameter.name})"
    if parameter.pointer:
        if isinstance(argument, ndarray):
            alignment = VECTOR_BYTES.get(parameter.type) or ctypes.sizeof(SCALARS[parameter.type])
            if not argument.flags.c_contiguous:
                raise DeviceFault(f"{where}: the array is not C-contiguous")
            # Raw bytes may be anything, and vectors are made of smaller elements.
            if parameter.type not in VECTOR_BYTES and argument.itemsize not in (1, alignment):
                raise DeviceFault(f"{where}: {argument.dtype} elements for a pointer to {parameter.type}")
            address = argument.data.ptr
        elif isinstance(argument, int | np.uint64 | np.int64):
            alignment, address = 1, int(argument)
            device.check_address(where, address)
        else:
            raise DeviceFault(f"{where}: {type(argument).__name__} for a pointer")
        if address % alignment:
            raise DeviceFault(f"{where}: address {address:#x} is not a multiple of {alignment}")
        return address
    width = argument.dtype.itemsize if isinstance(argument, np.generic) else 8
    wanted = ctypes.sizeof(SCALARS[parameter.type])
    if not isinstance(argument, int | np.integer) or width != wanted:
        raise DeviceFault(f"{where}: {argument!r} is passed as {width} bytes; {parameter.type} has {wanted}")
    return int(argument)


class RawKernel:
    """As ``cupy.RawKernel``, from `RawModule.get_function`."""

    def __init__(self, module: EmulatedModule, name: str) -> None:
        if name not in module.kernels:
            raise CUDADriverError(500)
        self.name = name
        self._module = module
        self._kernel = module.kernels[name]
        self._max_dynamic_shared = STATIC_SHARED_BYTES
        self.max_threads_per_block = self._kernel.max_threads
        self.num_regs = 32

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        return self._max_dynamic_shared

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, nbytes: int) -> None:
        device.driver_call()
        if nbytes > MAX_SHARED_BYTES:
            raise CUDADriverError(1)
        self._max_dynamic_shared = nbytes

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, *, shared_mem: int = 0) -> None:
        name, parameters = self.name, self._kernel.parameters
        for size in (grid, block):
            if type(size) is not tuple:
                raise TypeError(f"{name}: grid and block must be tuples, not {type(size).__name__}")
        if len(args) != len(parameters):
            raise DeviceFault(f"{name}: {len(args)} arguments for {len(parameters)} parameters")
        # CuPy makes 1 of a 0 in the grid.
        if min(*grid, *block, 1) < 1:
            raise DeviceFault(f"{name}: grid {grid} or block {block} is empty")
        limits = (2**31 - 1, 65535, 65535)
        too_wide = any(n > limit for n, limit in zip(grid, limits, strict=False))
        if too_wide or int(np.prod(block)) > self._kernel.max_threads or shared_mem > self._max_dynamic_shared:
            raise CUDADriverError(1)
        values = [_checked_argument(name, *pair) for pair in zip(parameters, args, strict=True)]
        if device.about_to_launch(name):
            module = self._module

            def launch(order: int) -> None:
                module.launch(name, grid, block, values, shared_mem, order)

            device.current_stream().submit(lambda: device.run_kernel(name, launch))


@cache
def _built(code: str, options: tuple[str, ...]) -> EmulatedModule:
    return EmulatedModule(code, options, sanitize=device.sanitized)


class RawModule:
    """As ``cupy.RawModule``: compiled when first used, or by `compile`."""

    def __init__(self, code: str, *, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        if not isinstance(options, tuple):
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})")
        if backend != "nvrtc":
            raise ValueError(f"backend {backend}: nvcc is on no machine without a CUDA toolkit")
        self.code, self.options = code, options

    def compile(self, log_stream: Any = None) -> None:
        self._compiled()

    def _compiled(self) -> EmulatedModule:
        device.driver_call()
        if device.nvrtc_missing:
            raise DynamicLibNotFoundError('Failure finding "libnvrtc.so.13 or libnvrtc.so.12": No such file')
        try:
            return _built(self.code, self.options)
        except EmulatorError as error:
            raise CompileException(str(error)) from error

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self._compiled(), name)


# The module


class _Device:
    """As ``cupy.cuda.Device``."""

    def __init__(self, device_id: int | None = None) -> None:
        self.id = 0 if device_id is None else device_id

    def __enter__(self) -> _Device:
        self.use()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def use(self) -> None:
        device.runtime_call()
        if self.id != 0:
            raise CUDARuntimeError(101)

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
    return 1


def _get_device_properties(device_id: int) -> dict[str, Any]:
    device.runtime_call()
    if device_id != 0:
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


class _CudaStream(Stream):
    """As ``cupy.cuda.Stream``."""

    null: Stream

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
    memory = module("cupy.cuda.memory", OutOfMemoryError=OutOfMemoryError, MemoryPointer=MemoryPointer)
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
        alloc_pinned_memory=_alloc_pinned_memory,
        is_available=_is_available,
        MemoryPointer=MemoryPointer,
    )
    cupy = module(
        "cupy",
        __version__="14.2.0",
        __path__=[],
        is_emulated=True,
        cuda=cuda,
        ndarray=ndarray,
        RawModule=RawModule,
        RawKernel=RawKernel,
        empty=lambda shape, dtype=float: _empty(shape, dtype),
        zeros=_zeros,
        full=_full,
        asarray=_asarray,
        asnumpy=lambda a: a.get(),
        arange=lambda *bounds, dtype=None: _new(np.arange(*bounds, dtype=dtype)),
        concatenate=lambda arrays: _new(np.concatenate(_read(list(arrays)))),
        flatnonzero=_function(np.flatnonzero),
        argsort=_argsort,
        lexsort=_lexsort,
        take=_take,
        cumsum=_function(np.cumsum),
        get_default_memory_pool=_MemoryPool,
    )
    for name in ("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        setattr(cupy, name, getattr(np, name))
    cuda.__dict__["__path__"] = []
    return {made.__name__: made for made in (cupy, cuda, runtime, driver, memory, compiler)}


def install(device_bytes: int = 1 << 30, reserved_bytes: int = 0) -> types.ModuleType:
    """
    Put the stand-in where ``import cupy`` finds it, with a new device.

    Parameters
    ----------
    device_bytes, reserved_bytes : int
        Memory of the device, and how much of it others hold.
    """
    device.reset(device_bytes, reserved_bytes)
    _CudaStream.null = device.null_stream
    modules = _modules()
    sys.modules.update(modules)
    return modules["cupy"]


@contextmanager
def installed(device_bytes: int = 1 << 30, reserved_bytes: int = 0) -> Iterator[types.ModuleType]:
    """Within, ``import cupy`` gives the stand-in with a new device; after it, all is as it was before."""
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
        _CudaStream.null = device.null_stream
