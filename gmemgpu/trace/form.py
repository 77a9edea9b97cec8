"""How a trace lies in files: which suffix means which form, and where its parts are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gmemgpu.errors import Problem, TraceError

__all__ = ["Form", "METADATA_KEY", "header_path", "trace_form"]

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
