"""The CUDA devices that this process sees."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Device", "cuda_versions", "devices", "driver_version"]

_DRIVER = Path("/sys/module/nvidia/version")
_PATIENCE_S = 20


@dataclass(frozen=True, slots=True)
class Device:
    """
    A CUDA device.

    Parameters
    ----------
    ordinal : int
        As CUDA counts in this process, `CUDA_VISIBLE_DEVICES` being heeded.
    name : str
    compute_capability : str
        As in ``9.0``.
    memory_bytes : int
    multiprocessors : int
    """

    ordinal: int
    name: str
    compute_capability: str
    memory_bytes: int
    multiprocessors: int


def devices() -> tuple[Device, ...]:
    """
    Look up all devices, without taking memory on any.

    Raises
    ------
    Exception
        What CuPy raises where there is no driver; `gmemgpu.engine.registry` says beforehand whether there is one.
    """
    import cupy

    runtime = cupy.cuda.runtime
    found = []
    for ordinal in range(runtime.getDeviceCount()):
        properties = runtime.getDeviceProperties(ordinal)
        found.append(
            Device(
                ordinal=ordinal,
                name=properties["name"].decode(),
                compute_capability=f"{properties['major']}.{properties['minor']}",
                memory_bytes=int(properties["totalGlobalMem"]),
                multiprocessors=int(properties["multiProcessorCount"]),
            )
        )
    return tuple(found)


def cuda_versions() -> dict[str, str]:
    """Return the highest CUDA version that the driver serves, and the one that CuPy runs on, as in ``13.0``."""
    import cupy

    runtime = cupy.cuda.runtime
    found = {"cuda_driver": runtime.driverGetVersion(), "cuda_runtime": runtime.runtimeGetVersion()}
    return {name: f"{version // 1000}.{version % 1000 // 10}" for name, version in found.items()}


@cache
def driver_version() -> str:
    """Return the version of NVIDIA's driver, as in ``580.65.06``; ``unknown`` where nothing names it."""
    try:
        return _DRIVER.read_text(encoding="ascii").strip()
    except OSError:
        pass
    try:
        # Containers often lack the driver's own files, and have its tool.
        told = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return next(iter(told.stdout.split()), "unknown")
