"""What CUDA refuses though the device works, by status: told as what it is, with a remedy."""

from __future__ import annotations

__all__ = ["OUT_OF_MEMORY", "brief", "refusal"]

OUT_OF_MEMORY = 2
_INVALID_VALUE, _NO_BINARY, _INVALID_PTX, _UNSUPPORTED_PTX, _OUT_OF_RESOURCES = 1, 209, 218, 222, 701
"""Status of CUDA's runtime and of its driver alike. The call that gets one has failed; the device serves the next."""

_EMPTY_CACHE = "empty CuPy's cache (~/.cupy/kernel_cache, or what CUPY_CACHE_DIR names)"
_REFUSALS = {
    _INVALID_VALUE: ("CUDA refused a call ({}), though the device works", "update its driver and CuPy, or take numpy"),
    _NO_BINARY: (
        "a kernel was compiled for another kind of device ({})",
        f"{_EMPTY_CACHE} and update CuPy, or take numpy",
    ),
    _INVALID_PTX: (
        "the driver cannot translate a kernel ({})",
        f"{_EMPTY_CACHE}, update the driver and CuPy, or take numpy",
    ),
    _UNSUPPORTED_PTX: (
        "the driver is older than the compiler that CuPy has ({})",
        "update the driver, or install the extra that it allows (cuda12 in place of cuda13), or take numpy",
    ),
    _OUT_OF_RESOURCES: (
        "a kernel needs more registers or shared memory than the device gives a thread block ({})",
        "take numpy, or another GPU, and report this with what `gmemgpu doctor` prints",
    ),
}


def refusal(status: int, error: Exception) -> str | None:
    """Return what a status means and what to do about it; None if the device has failed, or has no memory left."""
    if status not in _REFUSALS:
        return None
    what, remedy = _REFUSALS[status]
    return f"{what.format(error)}; {remedy}"


def brief(error: Exception) -> str:
    """Return the first line of what a compiler tells: it tells of every line of a kernel, and the first says enough."""
    return next(iter(str(error).splitlines()), type(error).__name__)
