"""Compilation before work is shared out: else every worker would do it for itself, all at once."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import gmemgpu
from gmemgpu.catalogue import named_policies
from gmemgpu.compiled import cache_folder, is_installed
from gmemgpu.engine.crossover import cpu_model
from gmemgpu.engine.registry import engine, why_missing
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.workload.preset import preset, small_variant

__all__ = ["compile_once"]


def compile_once(backend: str, tell: Callable[[], None] | None = None) -> float | None:
    """
    Compile what an engine runs, unless it was done on such a machine before.

    Parameters
    ----------
    backend : str
        Name of the engine that workers will use.
    tell : callable, optional
        Called before it begins, if there is something to do.

    Returns
    -------
    float or None
        How many seconds it took; None if there was nothing to do, or nowhere to keep it.
    """
    folder = cache_folder() if backend == "numba" and is_installed() else None
    if folder is None:
        return None
    # Machine code is of one Numba, Python and kind of CPU, and of files in one place, of one age. Numba tells them
    # apart by itself, and this saves loading it.
    package = Path(gmemgpu.__file__).parent
    age_ns = max(file.stat().st_mtime_ns for file in package.rglob("*.py"))
    what = f"{metadata.version('numba')} {platform.python_version()} {cpu_model()} {package} {age_ns}"
    mark = folder / f"{backend}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.complete"
    if mark.exists() or why_missing(backend) is not None:
        return None
    if tell is not None:
        tell()
    before = time.perf_counter()
    small = small_variant(preset("mixed-pods"))
    for vmsa in ("scatter", "packed"):
        # Each places single pages by code of its own.
        memory = small.memory.model_copy(update={"vmsa": vmsa})
        trace = generate(small.model_copy(update={"memory": memory}), 1, compiled=True).trace
    engine(backend).evaluate([trace], named_policies(), Costs())
    with suppress(OSError):
        # A full disk: the next one finds out for himself.
        mark.touch()
    return time.perf_counter() - before
