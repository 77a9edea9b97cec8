"""The engines, by name: which exist, which can run here, and which one `auto` means."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from gmemgpu.engine.protocol import Engine
from gmemgpu.errors import BackendError, Problem, SpecError

__all__ = ["ENGINE_NAMES", "engine", "choose_engine", "available_engines", "missing_engines", "device_count"]

_ENGINES = {
    "reference": ("gmemgpu.engine.reference", "ReferenceEngine"),
    "numpy": ("gmemgpu.engine.numpy", "NumpyEngine"),
}
"""Name to module and class; a module is imported when its engine is asked for, never before."""

_NOT_BUILT = {"cupy": f"this version has no CuPy engine; take one of {', '.join(_ENGINES)}"}
"""Names that the command line documents and this version cannot serve, with the remedy."""

_DEVICES = {"cupy": ("gmemgpu.engine.cupy.device", "devices")}
"""Engine name to module and function that list its devices; the others run on CPU cores."""

ENGINE_NAMES = tuple(_ENGINES)


@cache
def engine(name: str) -> Engine:
    """
    Give the engine of a name.

    Raises
    ------
    SpecError
        If there is no such engine.
    BackendError
        If it cannot run here; the message says why and what to try.
    """
    if name in _NOT_BUILT:
        raise BackendError(f'backend "{name}": {_NOT_BUILT[name]}')
    if name not in _ENGINES:
        raise SpecError(Problem("backend", f'"{name}" is unknown; use {", ".join(("auto", *_ENGINES))}'))
    module, attribute = _ENGINES[name]
    found: Engine = getattr(import_module(module), attribute)()
    reason = found.missing()
    if reason is not None:
        raise BackendError(f'backend "{name}" cannot run here: {reason}')
    return found


def choose_engine(name: str = "auto") -> Engine:
    """
    Give the engine to use; ``auto`` is the fastest that can run here.

    Raises
    ------
    SpecError, BackendError
        As `engine` does.
    """
    return engine("numpy" if name == "auto" else name)


def available_engines() -> list[Engine]:
    """Give every engine that can run here, the reference first."""
    return [engine(name) for name in _ENGINES if name not in missing_engines()]


def missing_engines() -> dict[str, str]:
    """Say of every engine that cannot run here why, and what to do about it."""
    missing = dict(_NOT_BUILT)
    for name in _ENGINES:
        try:
            engine(name)
        except BackendError as error:
            missing[name] = str(error)
    return missing


def device_count(name: str) -> int:
    """
    Say how many devices this process could run an engine on.

    Parameters
    ----------
    name : str
        Of an engine that can run here.

    Returns
    -------
    int
        0 for an engine that runs on CPU cores.
    """
    if name not in _DEVICES:
        return 0
    module, attribute = _DEVICES[name]
    return len(getattr(import_module(module), attribute)())
