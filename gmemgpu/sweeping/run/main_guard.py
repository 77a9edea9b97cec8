"""A script that calls `sweep` with no main guard: every worker imports the script and so would sweep again."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from gmemgpu.errors import GmemgpuError

__all__ = [
    "REMEDY",
    "refuse_in_starting_process",
    "program_without_file",
    "program_left_out",
    "script_lacks_main_guard",
]

REMEDY = (
    'put the call under `if __name__ == "__main__":`: worker processes import the script, and would sweep once more'
)
_WORKER_NAME = "Dask Worker process (from Nanny)"
_STATUS = 78
"""What a worker of a script without the guard ends with: EX_CONFIG of sysexits.h, which Python never uses."""
_PATIENCE_S = 60


def refuse_in_starting_process() -> None:
    """
    End this process if it is a spawned one that still imports its main module.

    Without a word if it is a sweep's own worker: the sweep that started it will say what is wrong.
    """
    process = multiprocessing.current_process()
    # Python's own mark of such a process, by which it refuses to start others from there.
    if not getattr(process, "_inheriting", False):
        return
    if process.name == _WORKER_NAME:
        sys.exit(_STATUS)
    raise GmemgpuError(f"a process that is yet starting cannot sweep; {REMEDY}")


@contextmanager
def program_without_file() -> Iterator[None]:
    """Keep processes that start in a block from reading a program that is no file: standard input. None needs it."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is None or Path(path).exists():
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = path


@contextmanager
def program_left_out() -> Iterator[None]:
    """Keep processes that start in a block from reading the program at all: guarded or not, it has nothing for them."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _nothing() -> None:
    pass


def script_lacks_main_guard() -> bool:
    """Check whether a process spawned here would call `sweep` while it starts: start one and look how it ends."""
    probe = multiprocessing.get_context("spawn").Process(target=_nothing, name=_WORKER_NAME, daemon=True)
    probe.start()
    probe.join(_PATIENCE_S)
    status = probe.exitcode
    if status is None:
        probe.kill()
    return status == _STATUS
