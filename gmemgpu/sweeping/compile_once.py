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
from gmemgpu.engine.registry import engine, why_missing
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.workload.preset import preset, small_variant

__all__ = ["compile_once", "compile_evaluation"]


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
    # Numba compiles one function at a time: evaluation in a process of its own, what makes traces in this one.
    with _compiling(backend):
        small = small_variant(preset("mixed-pods"))
        for vmsa in ("scatter", "packed"):
            # Each places single pages by code of its own.
            memory = small.memory.model_copy(update={"vmsa": vmsa})
            generate(small.model_copy(update={"memory": memory}), 1, compiled=True)
    # Loads what was compiled there; what could not be is compiled here, or says why.
    compile_evaluation(backend)
    with suppress(OSError):
        # A full disk: the next one finds out for himself.
        mark.touch()
    return time.perf_counter() - before


def compile_evaluation(backend: str) -> None:
    """
    Compile what evaluates traces, or load what an earlier process compiled.

    Parameters
    ----------
    backend : str
        Name of the engine.
    """
    trace = generate(small_variant(preset("mixed-pods")), 1, compiled=False).trace
    engine(backend).evaluate([trace], named_policies(), Costs())


@contextmanager
def _compiling(backend: str) -> Iterator[None]:
    # Another process compiles what evaluates traces; over at the end of the block, and gone if that is left early.
    command = [sys.executable, "-c", f"from {__name__} import compile_evaluation; compile_evaluation({backend!r})"]
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
