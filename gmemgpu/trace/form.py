"""How a trace lies in files: which suffix means which form, and where its parts are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from gmemgpu.errors import Problem, TraceError

__all__ = ["Form", "METADATA_KEY", "check_overwrites_none", "header_path", "trace_form"]

Form = Literal["parquet", "csv"]

METADATA_KEY = b"gmemgpu"
"""Key of the header in the Parquet schema's metadata."""

_SUFFIXES: dict[str, Form] = {".parquet": "parquet", ".csv": "csv", ".csv.gz": "csv"}


def _suffix(path: Path) -> str:
    return next((suffix for suffix in _SUFFIXES if path.name.endswith(suffix)), "")


def trace_form(path: Path) -> Form:
    """
    Return a trace file's form, by its name.

    Parameters
    ----------
    path : Path
        Need not exist.

    Returns
    -------
    Form
        By the suffix.

    Raises
    ------
    TraceError
        If the name ends in none of the known suffixes.
    """
    suffix = _suffix(path)
    if not suffix:
        raise TraceError(Problem(str(path), f"is no trace by its name; the name ends in {', '.join(_SUFFIXES)}"))
    return _SUFFIXES[suffix]


def header_path(path: Path) -> Path:
    """
    Return the TOML file beside a CSV trace: ``t.toml`` for ``t.csv`` and ``t.csv.gz``.

    Parameters
    ----------
    path : Path
        The trace, ``.csv`` or ``.csv.gz``.

    Returns
    -------
    Path
        In the same folder.
    """
    return path.with_name(path.name.removesuffix(_suffix(path)) + ".toml")


def check_overwrites_none(path: Path, inputs: Iterable[Path]) -> None:
    """
    Check that a trace that is to be written takes the place of no file that it is made of.

    Parameters
    ----------
    path : Path
        Where it goes; a CSV trace is two files.
    inputs : iterable of Path
        What is read.

    Raises
    ------
    TraceError
        If it does, by whatever name; or if its own name is none of a trace.
    """
    written = (path, header_path(path)) if trace_form(path) == "csv" else (path,)
    read = [one for one in inputs if one.exists()]
    for one in written:
        if one.exists() and any(one.samefile(other) for other in read):
            raise TraceError(Problem("--output", f"{one} is a file that is read; give the trace another name"))
