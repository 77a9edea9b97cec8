"""When each CUDA kernel was last really run, and on which GPU: records that come with the package."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from gmemgpu.engine.cupy.kernel import KERNELS, kernel_source

__all__ = ["KernelRun", "has_changed", "kernel_runs", "source_hash", "describe_run"]

NEVER = "never run on a GPU (emulated in tests, compiled for sm_80 to sm_120)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRun:
    """
    The last run of a kernel whose results were right.

    Parameters
    ----------
    gpu, driver : str
        Name of the device, version of its driver.
    date : str
        Day of the run, as in ``2026-12-01``.
    commit : str
        Commit of this package.
    source : str
        The kernel's `source_hash` then.
    """

    gpu: str
    driver: str
    date: str
    commit: str
    source: str


@cache
def source_hash(kernel: str) -> str:
    """
    Compute a digest of the text that a kernel is compiled from.

    Parameters
    ----------
    kernel : str
        Name of a kernel.

    Returns
    -------
    str
        The first 32 hexadecimal digits of the text's SHA-256.
    """
    return hashlib.sha256(kernel_source(kernel).encode()).hexdigest()[:32]


def kernel_runs() -> dict[str, KernelRun | None]:
    """
    Read the last run of every kernel of this version.

    Returns
    -------
    dict of str to KernelRun or None
        Runs by kernel; None for those that never ran on a GPU.
    """
    text = resources.files("gmemgpu.data").joinpath("gpu_runs.toml").read_text(encoding="utf-8")
    held = tomllib.loads(text).get("kernel", {})
    return {name: KernelRun(**held[name]) if name in held else None for name in KERNELS}


def has_changed(kernel: str, run: KernelRun) -> bool:
    """
    Check whether a kernel's source has changed since it ran.

    Parameters
    ----------
    kernel : str
        Name of a kernel.
    run : KernelRun
        Its last run.

    Returns
    -------
    bool
        True if the text differs in any character.
    """
    return run.source != source_hash(kernel)


def describe_run(kernel: str, run: KernelRun | None) -> str:
    """
    Describe in a line when a kernel last ran, and on what.

    Parameters
    ----------
    kernel : str
        Name of a kernel.
    run : KernelRun or None
        Its last run; None if there was none.

    Returns
    -------
    str
        A phrase without a full stop.
    """
    if run is None:
        return NEVER
    since = "; its source has changed since" if has_changed(kernel, run) else ""
    return f"last run {run.date} on {run.gpu} (driver {run.driver}, commit {run.commit}){since}"
