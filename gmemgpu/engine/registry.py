"""The engines, by name: which exist, and which can run here."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from gmemgpu.compiled import NOT_INSTALLED
from gmemgpu.engine.protocol import Engine
from gmemgpu.errors import BackendError, Problem, SpecError

__all__ = [
    "ENGINE_NAMES",
    "engine",
    "is_installed",
    "why_missing",
    "cpu_engine_name",
    "available_engines",
    "missing_engines",
    "runs_on_devices",
    "device_count",
    "probe_again",
]

_ENGINES = {
    "reference": ("gmemgpu.engine.reference", "ReferenceEngine"),
    "numpy": ("gmemgpu.engine.array", "NumpyEngine"),
    "numba": ("gmemgpu.engine.compiled", "NumbaEngine"),
    "cupy": ("gmemgpu.engine.cupy", "CupyEngine"),
}
"""Name to module and class; a module is imported when its engine is asked for, never before."""

_REQUIRES = {
    "numba": ("numba", NOT_INSTALLED),
    "cupy": ("cupy", "CuPy is not installed; pip install 'gmemgpu[cuda13]' (or cuda12, as the driver allows)"),
}
"""Name to the package that it stands on, and what to do without: looked for, not imported."""

_DEVICES = {"cupy": ("gmemgpu.engine.cupy.device", "devices")}
"""Name to module and function that list its devices; the others run on CPU cores."""

ENGINE_NAMES = tuple(_ENGINES)


@cache
def _found(name: str) -> Engine | str:
    # Asked once in a process: to find out, a device engine compiles and runs a kernel.
    if not is_installed(name):
        return _REQUIRES[name][1]
    module, attribute = _ENGINES[name]
    found: Engine = getattr(import_module(module), attribute)()
    return found.missing() or found


def is_installed(name: str) -> bool:
    """
    Check whether the package that an engine needs is installed, without importing it.

    Parameters
    ----------
    name : str
        Name of an engine.

    Returns
    -------
    bool
        True for an engine that needs no package of its own.
    """
    if name not in _REQUIRES:
        return True
    package, _ = _REQUIRES[name]
    return package in sys.modules or find_spec(package) is not None


def probe_again() -> None:
    """Forget which engines can run here, so that the next call finds out anew."""
    _found.cache_clear()


def engine(name: str) -> Engine:
    """
    Return the engine of a name.

    Parameters
    ----------
    name : str
        Name of an engine.

    Returns
    -------
    Engine
        The same object at each call.

    Raises
    ------
    SpecError
        If there is no such engine.
    BackendError
        If it cannot run here; the message names why and what to try.
    """
    reason = why_missing(name)
    if reason is not None:
        raise BackendError(f'backend "{name}" cannot run here: {reason}')
    found = _found(name)
    assert not isinstance(found, str)
    return found


def why_missing(name: str) -> str | None:
    """
    Return why an engine cannot run here and what to do about it.

    Parameters
    ----------
    name : str
        Name of an engine.

    Returns
    -------
    str or None
        None if it can.

    Raises
    ------
    SpecError
        If there is no such engine.
    """
    _refuse_unknown(name)
    found = _found(name)
    return found if isinstance(found, str) else None


def cpu_engine_name() -> str:
    """Return the name of the fastest engine on CPU cores that can run here: numba, else numpy."""
    return "numba" if why_missing("numba") is None else "numpy"


def _refuse_unknown(name: str) -> None:
    if name not in _ENGINES:
        raise SpecError(Problem("backend", f'"{name}" is unknown; use {", ".join(("auto", *_ENGINES))}'))


def available_engines() -> list[Engine]:
    """Return every engine that can run here, the reference first."""
    return [engine(name) for name in _ENGINES if why_missing(name) is None]


def missing_engines() -> dict[str, str]:
    """
    Return the engines that cannot run here.

    Returns
    -------
    dict of str to str
        Name to why, and what to do about it.
    """
    reasons = {name: why_missing(name) for name in _ENGINES}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def runs_on_devices(name: str) -> bool:
    """
    Check whether an engine computes on devices rather than cores, whatever this machine has.

    Parameters
    ----------
    name : str
        Name of an engine.

    Returns
    -------
    bool
        True for an engine that needs a device.

    Raises
    ------
    SpecError
        If there is no such engine.
    """
    _refuse_unknown(name)
    return name in _DEVICES


def device_count(name: str) -> int:
    """
    Count the devices that this process could run an engine on.

    Parameters
    ----------
    name : str
        Name of an engine that can run here.

    Returns
    -------
    int
        0 for an engine that runs on CPU cores.
    """
    if name not in _DEVICES:
        return 0
    module, attribute = _DEVICES[name]
    return len(getattr(import_module(module), attribute)())
