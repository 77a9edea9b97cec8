"""Compilation before work is shared out: else every worker would do it for itself, all at once."""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from subprocess import DEVNULL, Popen

import gmemgpu
from gmemgpu.catalogue import named_policies
from gmemgpu.compiled import cache_folder, is_installed
from gmemgpu.engine.crossover import cpu_model
from gmemgpu.engine.registry import engine, runs_on_devices, why_missing
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.workload.preset import preset, small_variant

__all__ = ["compile_once", "is_compiled", "compile_evaluation"]


def compile_once(backend: str, tell: Callable[[], None] | None = None) -> float | None:
    """
    Compile what an engine runs, unless it was done on such a machine before.

    A device's engine runs nothing of it, but those who make its traces do, and so does the fallback for the device.

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
    mark = _mark() if backend == "numba" or runs_on_devices(backend) else None
    if mark is None or mark.exists() or why_missing("numba") is not None:
        return None
    if tell is not None:
        tell()
    before = time.perf_counter()
    # Numba compiles one function at a time: evaluation in a process of its own, what makes traces in this one.
    with _compiling():
        small = small_variant(preset("mixed-pods"))
        for vmsa in ("scatter", "packed"):
            # Each places single pages by code of its own.
            memory = small.memory.model_copy(update={"vmsa": vmsa})
            generate(small.model_copy(update={"memory": memory}), 1, compiled=True)
    # Loads what was compiled there; what could not be is compiled here, or says why.
    compile_evaluation()
    with suppress(OSError):
        # A full disk: the next one finds out for himself.
        mark.touch()
    return time.perf_counter() - before


def is_compiled() -> bool:
    """Check whether all was compiled on such a machine before, without loading Numba."""
    mark = _mark()
    return mark is not None and mark.exists()


def _mark() -> Path | None:
    # A file that is there if all was compiled; None if there is no place for it, or no Numba.
    folder = cache_folder() if is_installed() else None
    if folder is None:
        return None
    # Machine code is of one Numba, Python and kind of CPU, and of files in one place, of one age. Numba tells them
    # apart by itself, and this saves loading it.
    package = Path(gmemgpu.__file__).parent
    age_ns = max(file.stat().st_mtime_ns for file in package.rglob("*.py"))
    what = f"{metadata.version('numba')} {platform.python_version()} {cpu_model()} {package} {age_ns}"
    return folder / f"numba-{hashlib.sha256(what.encode()).hexdigest()[:16]}.complete"


def compile_evaluation() -> None:
    """Compile what evaluates traces, or load what an earlier process compiled."""
    trace = generate(small_variant(preset("mixed-pods")), 1, compiled=False).trace
    engine("numba").evaluate([trace], named_policies(), Costs())


@contextmanager
def _compiling() -> Iterator[None]:
    # Another process compiles what evaluates traces; over at the end of the block, and gone if that is left early.
    command = [sys.executable, "-c", f"from {__name__} import compile_evaluation; compile_evaluation()"]
    try:
        other = Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    except OSError:
        # There may be no more processes.
        yield
        return
    with other:
        try:
            yield
            other.wait()
        finally:
            other.kill()
