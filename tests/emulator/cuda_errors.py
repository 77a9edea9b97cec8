"""What CuPy raises, by CUDA status, and what the emulation raises besides."""

from __future__ import annotations

__all__ = [
    "STATUS",
    "CUDADriverError",
    "CUDARuntimeError",
    "CompileException",
    "DeviceFault",
    "DynamicLibNotFoundError",
    "OutOfMemoryError",
]

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
    209: (
        "cudaErrorNoKernelImageForDevice",
        "CUDA_ERROR_NO_BINARY_FOR_GPU",
        "no kernel image is available for execution on the device",
    ),
    214: ("cudaErrorECCUncorrectable", "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"),
    218: ("cudaErrorInvalidPtx", "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"),
    222: (
        "cudaErrorUnsupportedPtxVersion",
        "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        "the provided PTX was compiled with an unsupported toolchain.",
    ),
    500: ("cudaErrorSymbolNotFound", "CUDA_ERROR_NOT_FOUND", "named symbol not found"),
    600: ("cudaErrorNotReady", "CUDA_ERROR_NOT_READY", "device not ready"),
    700: ("cudaErrorIllegalAddress", "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"),
    701: (
        "cudaErrorLaunchOutOfResources",
        "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
        "too many resources requested for launch",
    ),
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


class CompileException(Exception):
    """As ``cupy.cuda.compiler.CompileException``."""

    def __init__(self, message: str = 'catastrophic error: cannot open source file "cuda_fp16.h"') -> None:
        super().__init__(message)
