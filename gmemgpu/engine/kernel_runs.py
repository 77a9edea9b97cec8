"""When each CUDA kernel was last really run, and on which GPU: records that come with the package."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from gmemgpu.engine.cupy.kernel import KERNELS, kernel_source

__all__ = ["KernelRun", "has_changed", "kernel_runs", "source_hash", "describe_run"]

NEVER = "never run on a GPU (emulated in tests, compiled for sm_80, sm_90, sm_100)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRun:
    """
    The last run of a kernel whose results were right.

    Parameters
    ----------
    gpu, driver : str
    date : str
        As in ``2026-12-01``.
    commit : str
        Of this package.
    source : str
        `source_hash` then.
    """

    gpu: str
    driver: str
    date: str
    commit: str
    source: str


@cache
def source_hash(kernel: str) -> str:
    """Give the first half of the SHA-256 of the text that a kernel is compiled from."""
    return hashlib.sha256(kernel_source(kernel).encode()).hexdigest()[:32]


def kernel_runs() -> dict[str, KernelRun | None]:
    """Give the last run of every kernel of this version, None for those that never ran on a GPU."""
    text = resources.files("gmemgpu.data").joinpath("gpu_runs.toml").read_text(encoding="utf-8")
    held = tomllib.loads(text).get("kernel", {})
    return {name: KernelRun(**held[name]) if name in held else None for name in KERNELS}


def has_changed(kernel: str, run: KernelRun) -> bool:
    """Say whether a kernel's source is another one since it ran."""
    return run.source != source_hash(kernel)


def describe_run(kernel: str, run: KernelRun | None) -> str:
    """Say in a line when a kernel last ran."""
    if run is None:
        return NEVER
    since = "; its source has changed since" if has_changed(kernel, run) else ""
    return f"last run {run.date} on {run.gpu} (driver {run.driver}, commit {run.commit}){since}"
