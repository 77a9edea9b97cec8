"""Device arrays, and the functions of CuPy that the package uses on them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
from cuda_errors import CompileException, DeviceFault
from emulated_device import Allocation, device
from emulated_stream import Stream
from strict_pinned import if_pinned

__all__ = [
    "MemoryPointer",
    "ndarray",
    "empty",
    "zeros",
    "ones",
    "full",
    "asarray",
    "add",
    "arange",
    "argsort",
    "broadcast_to",
    "concatenate",
    "cumsum",
    "diff",
    "flatnonzero",
    "maximum",
    "minimum",
    "searchsorted",
    "sort",
    "where",
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
            device.current_stream().submit(partial(np.copyto, self._view, np.array(value, self.dtype)))

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

    def ravel(self) -> ndarray:
        return self.reshape(self.size) if self.flags.c_contiguous else _new(_read(self).ravel())

    @property
    def T(self) -> ndarray:
        return ndarray(self._memory, self._view.T)

    def max(self) -> ndarray:
        return _new(_read(self).max())

    def any(self) -> ndarray:
        return _new(_read(self).any())

    def all(self) -> ndarray:
        return _new(_read(self).all())

    def tolist(self) -> Any:
        return self.get().tolist()

    def __iter__(self) -> Any:
        raise TypeError("a copy for each element; use tolist")

    def __bool__(self) -> bool:
        return bool(_read(self))

    def __int__(self) -> int:
        return int(_read(self))

    def __getitem__(self, key: Any) -> ndarray:
        if _is_basic(key):
            parts = key if isinstance(key, tuple) else (key,)
            # With an ellipsis a single element, too, is seen where it lies: work that waits may yet write it.
            return ndarray(self._memory, self._view[parts if Ellipsis in parts else (*parts, Ellipsis)])
        return _new(_read(self)[_read(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        _needs_headers()
        where, values = _read(key), _read(value)
        if isinstance(where, np.ndarray) and where.dtype != bool and np.ndim(values):
            _refuse_ties(where, np.broadcast_to(values, where.shape))
        _read(self)[where] = values


_BASIC = (int, slice, np.integer, type(None), type(Ellipsis))


def _is_basic(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return all(isinstance(part, _BASIC) for part in parts)


def _refuse_ties(index: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
    # Of several values for one place any may stay.
    order = np.argsort(index, kind="stable")
    index, values = index[order], values[order]
    if ((index[1:] == index[:-1]) & (values[1:] != values[:-1])).any():
        raise DeviceFault("different values are assigned to one place: any of them may stay")


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
    if isinstance(value, int | float) and type(value) not in (int, float, bool) and not isinstance(value, np.generic):
        raise TypeError(f"{type(value).__name__}: CuPy takes Python's own numbers, not classes made of them")
    return value


def _operator(apply: Callable[..., Any]) -> Callable[..., ndarray]:
    return lambda *operands: _new(apply(*(_read(operand) for operand in operands)))


def _in_place(apply: Callable[..., Any]) -> Callable[..., ndarray]:
    def applied(array: ndarray, other: Any) -> ndarray:
        _needs_headers()
        apply(_read(array), _read(other))
        return array

    return applied


for _name in ("add", "sub", "mul", "floordiv", "mod", "and", "or", "xor", "lshift", "rshift"):
    _apply = getattr(operator, f"__{_name}__")
    setattr(ndarray, f"__{_name}__", _operator(_apply))
    setattr(ndarray, f"__r{_name}__", _operator(lambda a, b, _apply=_apply: _apply(b, a)))
    setattr(ndarray, f"__i{_name}__", _in_place(getattr(operator, f"__i{_name}__")))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "invert", "neg"):
    setattr(ndarray, f"__{_name}__", _operator(getattr(operator, f"__{_name}__")))


def empty(shape: Any, dtype: Any = float) -> ndarray:
    device.runtime_call()
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise ValueError(f"Unsupported dtype {dtype}")
    whole = (int(shape),) if isinstance(shape, int | np.integer) else tuple(int(n) for n in shape)
    nbytes = prod(whole) * dtype.itemsize
    if nbytes == 0:
        return ndarray(None, np.empty(whole, dtype))
    memory = Allocation(device, nbytes)
    return ndarray(memory, np.ndarray(whole, dtype, memory.data))


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


def ones(shape: Any, dtype: Any = float) -> ndarray:
    return full(shape, 1, dtype)


def full(shape: Any, value: Any, dtype: Any) -> ndarray:
    made = empty(shape, dtype)
    made.fill(value)
    return made


class _Ufunc:
    """As ``cupy.ufunc`` of two operands."""

    def __init__(self, of: np.ufunc) -> None:
        self._of = of

    def __call__(self, a: Any, b: Any) -> ndarray:
        if not any(isinstance(operand, ndarray) for operand in (a, b)):
            raise TypeError("Unsupported types: no device array")
        return _new(self._of(_read(a), _read(b)))

    def at(self, a: ndarray, indices: ndarray, b: Any) -> None:
        # Not all versions of CuPy take signed integers of 64 bits.
        if a.dtype not in (np.int32, np.uint32, np.uint64):
            raise TypeError(f"{self._of.__name__}.at only supports int32, uint32, uint64 as data type")
        if isinstance(b, ndarray) and b.dtype != a.dtype:
            raise TypeError(f"{b.dtype} values for {a.dtype}")
        _needs_headers()
        self._of.at(_read(a), _read(indices), a.dtype.type(b) if isinstance(b, int) else _read(b))

    def accumulate(self, array: ndarray) -> ndarray:
        raise NotImplementedError(f"`cupy_{self._of.__name__}.accumulate` is not supported yet")


add, maximum, minimum = _Ufunc(np.add), _Ufunc(np.maximum), _Ufunc(np.minimum)


def argsort(a: ndarray) -> ndarray:
    return _new(np.argsort(_read(a), kind="stable"))


def sort(a: ndarray) -> ndarray:
    if not a.flags.c_contiguous:
        raise NotImplementedError("Sorting non-contiguous array is not supported.")
    return _new(np.sort(_read(a)))


def arange(*bounds: int, dtype: Any = None) -> ndarray:
    return _new(np.arange(*bounds, dtype=dtype))


def broadcast_to(a: ndarray, shape: tuple[int, ...]) -> ndarray:
    return ndarray(a._memory, np.broadcast_to(a._view, shape))


def concatenate(arrays: Sequence[ndarray]) -> ndarray:
    if not all(isinstance(array, ndarray) for array in arrays):
        raise TypeError("Unsupported type: only device arrays can be concatenated")
    return _new(np.concatenate(_read(list(arrays))))


def diff(a: ndarray) -> ndarray:
    return _new(np.diff(_read(a)))


def flatnonzero(a: ndarray) -> ndarray:
    return _new(np.flatnonzero(_read(a)))


def cumsum(a: ndarray) -> ndarray:
    if a.ndim != 1:
        raise ValueError("cumsum of a table goes along all of it")
    return _new(np.cumsum(_read(a)))


def searchsorted(a: ndarray, v: ndarray, side: str = "left") -> ndarray:
    if not isinstance(a, ndarray) or not isinstance(v, ndarray):
        raise NotImplementedError("Only device arrays are supported")
    return _new(np.searchsorted(_read(a), _read(v), side))  # type: ignore[call-overload]


def where(condition: ndarray, x: Any, y: Any) -> ndarray:
    if not isinstance(condition, ndarray):
        raise TypeError("condition: a device array")
    if isinstance(x, int) and isinstance(y, int):
        raise TypeError("of two Python numbers CuPy and NumPy may make different types")
    return _new(np.where(_read(condition), _read(x), _read(y)))
