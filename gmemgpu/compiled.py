"""Compilation by Numba, an optional package (extra ``fast``): once for all processes of a user."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import gmemgpu

__all__ = [
    "NOT_INSTALLED",
    "is_installed",
    "why_unusable",
    "compiled_function",
    "compiled_in_place",
    "cache_folder",
    "cache_problem",
]

_NAME = re.compile("[0-9a-f]{16}")
_KEPT_S = 30 * 86_400.0

F = TypeVar("F", bound=Callable[..., Any])

NOT_INSTALLED = "Numba is not installed; pip install 'gmemgpu[fast]'"

SOURCES = (
    "compiled.py",
    "units.py",
    "model",
    "vmtable",
    "workload",
    "placement",
    "lifecycle",
    "timeline",
    "rmp",
    "engine",
)
"""What compiled functions are made of, functions that they call and constants that are frozen into them included."""


def is_installed() -> bool:
    """Return whether Numba is installed, without importing it."""
    return "numba" in sys.modules or find_spec("numba") is not None


@cache
def why_unusable() -> str | None:
    """
    Return why nothing can be compiled here and what to do about it.

    Returns
    -------
    str or None
        None if Numba is there and can be imported, which this does: half a second.
    """
    if not is_installed():
        return NOT_INSTALLED
    try:
        import numba  # noqa: F401
    except Exception as error:
        # A Numba older than NumPy or Python says so in an error of its own.
        first = next(iter(str(error).splitlines()), type(error).__name__)
        return f"Numba cannot be imported ({first}); pip install --upgrade 'gmemgpu[fast]'"
    return None


def compiled_function(function: F) -> F:
    """
    Compile a function when it is first called, or load what an earlier process compiled.

    A decorator. It imports Numba, so modules that use it are imported by whoever needs the function, when he does.

    Parameters
    ----------
    function : callable
        Of integers and arrays; other compiled functions may call it. It runs without the interpreter's lock.

    Returns
    -------
    callable
        The same, compiled; the function as it is where ``NUMBA_DISABLE_JIT`` is set.
    """
    return _compiled(function)


def compiled_in_place(function: F) -> F:
    """
    Compile a function that makes no array, as `compiled_function` does.

    References are not counted in it: the caller keeps the arrays alive. So arrays may come as fields of named tuples,
    which elsewhere costs as much as the work itself.

    Parameters
    ----------
    function : callable
        Calls functions of its kind only, and returns a number or nothing.

    Returns
    -------
    callable
        The same, compiled.
    """
    # Numba's own sort functions are made so; the option is not in its manual.
    return _compiled(function, _nrt=False)


def _compiled(function: F, **options: bool) -> F:
    import numba

    compiled: Any = numba.njit(nogil=True, **options)(function)
    folder = cache_folder()
    if folder is not None and compiled is not function:
        _keep(compiled, function, folder)
    return compiled  # type: ignore[no-any-return]


def _keep(compiled: Any, function: Callable[..., Any], folder: Path) -> None:
    # As `njit(cache=True)` does, but in a folder of ours. Numba's own compiles a function anew when its file changes,
    # not when a constant of another module or a function there that it calls does: it would run what that once was.
    import numba
    from numba.core.caching import FunctionCache

    class OurCache(FunctionCache):  # type: ignore[misc]
        def save_overload(self, signature: Any, data: Any) -> None:
            # The disk may be full by now: the function is compiled all the same.
            with suppress(OSError):
                super().save_overload(signature, data)

    theirs = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        compiled._cache = OurCache(function)
    except (RuntimeError, OSError):
        # No such file to write: it is compiled in memory.
        return
    finally:
        numba.config.CACHE_DIR = theirs


@cache
def _source_hash() -> str:
    package = Path(gmemgpu.__file__).parent
    total = hashlib.sha256()
    for name in SOURCES:
        path = package / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            total.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:16]


@cache
def _folder() -> tuple[Path | None, str | None]:
    # ``NUMBA_CACHE_DIR`` is where users of Numba already say it; the convention of the other ignores relative paths.
    named = os.environ.get("NUMBA_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folders = [Path(named) / "gmemgpu"] if named else []
    with suppress(RuntimeError):
        # Somebody without a home has no such folder.
        folders.append((home if home.is_absolute() else Path.home() / ".cache") / "gmemgpu" / "compiled")
    problems = []
    for folder in folders:
        found = folder.absolute() / _source_hash()
        try:
            is_new = not found.exists()
            found.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=found):
                # Whoever uses it says so: it is removed when nobody has for long.
                os.utime(found)
            if is_new:
                _remove_unused(found.parent)
            return found, None
        except OSError as error:
            problems.append(f"{found}: {error.strerror}")
    return None, "; ".join(problems) or "there is no home folder"


def _remove_unused(folder: Path) -> None:
    # Of other versions, each some megabytes; by the names that only this module gives.
    for path in folder.iterdir():
        with suppress(OSError):
            if _NAME.fullmatch(path.name) and time.time() - path.lstat().st_mtime > _KEPT_S and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)


def cache_folder() -> Path | None:
    """
    Return the folder that keeps what was compiled from this source: below ``NUMBA_CACHE_DIR``, or the user's cache.

    Returns
    -------
    Path or None
        None if it cannot be written: then each process compiles for itself, in memory.
    """
    return _folder()[0]


def cache_problem() -> str | None:
    """Return why `cache_folder` is None; None if there is one."""
    return _folder()[1]
