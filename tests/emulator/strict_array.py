"""Device arrays, and the functions of CuPy that the package uses on them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from cuda_errors import CompileException
from emulated_device import Allocation, device
from emulated_stream import Stream
from strict_pinned import if_pinned

__all__ = [
    "MemoryPointer",
    "ndarray",
    "empty",
    "zeros",
    "full",
    "asarray",
    "arange",
    "concatenate",
    "flatnonzero",
    "argsort",
    "lexsort",
    "take",
    "cumsum",
]


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
        pinned = if_pinned(host) if self.size else None
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
            pinned = if_pinned(arr)
            source = arr.copy() if pinned is None else pinned
            (stream or device.current_stream()).submit(partial(np.copyto, self._view, source))

    def fill(self, value: Any) -> None:
        device.runtime_call()
        if not (isinstance(value, int) and value == 0 and self.flags.c_contiguous):
            _needs_headers()
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
        return asarray(_read(self)) if self.flags.c_contiguous else _new(_read(self))

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
        _needs_headers()
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


def empty(shape: Any, dtype: Any = float) -> ndarray:
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


def _needs_headers() -> None:
    # For a kernel of CuPy's own; what is only copied or set to zero takes none.
    if device.headers_missing:
        raise CompileException()


def _new(values: Any) -> ndarray:
    _needs_headers()
    host = np.asarray(values)
    made = empty(host.shape, host.dtype)
    made._view[...] = host
    return made


def asarray(values: Any, dtype: Any = None) -> ndarray:
    if isinstance(values, ndarray):
        return values if dtype is None or dtype == values.dtype else values.astype(dtype)
    host = np.asarray(values, dtype, order="C")
    made = empty(host.shape, host.dtype)
    made.set(host)
    return made


def zeros(shape: Any, dtype: Any = float) -> ndarray:
    return full(shape, 0, dtype)


def full(shape: Any, value: Any, dtype: Any) -> ndarray:
    made = empty(shape, dtype)
    made.fill(value)
    return made


def lexsort(keys: ndarray) -> ndarray:
    if not isinstance(keys, ndarray):
        raise TypeError("keys: a 2-D device array")
    return _new(np.lexsort(_read(keys)))


def take(a: ndarray, indices: ndarray, axis: int | None = None) -> ndarray:
    # CuPy wraps indices that are out of bounds; no program of ours means that.
    return _new(np.take(_read(a), _read(indices), axis, mode="raise"))


def argsort(a: ndarray) -> ndarray:
    return _new(np.argsort(_read(a), kind="stable"))


def arange(*bounds: int, dtype: Any = None) -> ndarray:
    return _new(np.arange(*bounds, dtype=dtype))


def concatenate(arrays: Sequence[ndarray]) -> ndarray:
    return _new(np.concatenate(_read(list(arrays))))


def flatnonzero(a: ndarray) -> ndarray:
    return _new(np.flatnonzero(_read(a)))


def cumsum(a: ndarray) -> ndarray:
    return _new(np.cumsum(_read(a)))
