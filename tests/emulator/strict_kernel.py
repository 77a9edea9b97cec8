"""RawModule and RawKernel: every argument of a launch is checked before the emulator runs it."""

from __future__ import annotations

import ctypes
from functools import cache
from math import prod
from typing import Any

import numpy as np
from cuda_errors import CompileException, CUDADriverError, DeviceFault, DynamicLibNotFoundError
from emulated_device import device
from emulator import MAX_SHARED_BYTES, SCALARS, VECTOR_BYTES, EmulatedModule, EmulatorError, Parameter
from strict_array import ndarray

__all__ = ["RawKernel", "RawModule"]

_BYTES = {**{name: ctypes.sizeof(scalar) for name, scalar in SCALARS.items()}, **VECTOR_BYTES}

STATIC_SHARED_BYTES = 48 * 1024
"""What a block may have without asking for more."""


def _checked_argument(kernel: str, parameter: Parameter, argument: Any) -> int:
    # What CuPy would hand to the driver, as an integer; narrower or wider than the parameter is an error.
    where = f"{kernel}({parameter.name})"
    if parameter.pointer:
        if isinstance(argument, ndarray):
            alignment = _BYTES[parameter.type]
            if not argument.flags.c_contiguous:
                raise DeviceFault(f"{where}: the array is not C-contiguous")
            # Raw bytes may be anything, and vectors are made of smaller elements.
            if parameter.type not in VECTOR_BYTES and argument.itemsize not in (1, alignment):
                raise DeviceFault(f"{where}: {argument.dtype} elements for a pointer to {parameter.type}")
            address = argument.data.ptr
        elif isinstance(argument, (int, np.uint64, np.int64)):
            alignment, address = 1, int(argument)
            device.check_address(where, address)
        else:
            raise DeviceFault(f"{where}: {type(argument).__name__} for a pointer")
        if address % alignment:
            raise DeviceFault(f"{where}: address {address:#x} is not a multiple of {alignment}")
        return address
    width = argument.dtype.itemsize if isinstance(argument, np.generic) else 8
    wanted = _BYTES[parameter.type]
    if not isinstance(argument, (int, np.integer)) or width != wanted:
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
        if too_wide or prod(block) > self._kernel.max_threads or shared_mem > self._max_dynamic_shared:
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
        device.about_to_load()
        if device.nvrtc_missing:
            raise DynamicLibNotFoundError('Failure finding "libnvrtc.so.13 or libnvrtc.so.12": No such file')
        try:
            return _built(self.code, (*self.options, *(("-DEMULATOR_RACES",) if device.races else ())))
        except EmulatorError as error:
            raise CompileException(str(error)) from error

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self._compiled(), name)
