"""Packages that are installed and not wanted: others import them whenever they find them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

__all__ = ["hidden"]


class _Absent:
    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """
    Keep packages from being imported, as if they were not installed.

    Dask imports Bokeh and Arrow imports pandas whether or not anything will be done with them, which takes longer than
    a small sweep. Arrow looks but once in a process.

    Parameters
    ----------
    *packages : str
        Top-level names; those that are imported already stay.

    Yields
    ------
    None
        To the block; afterwards they can be imported.
    """
    finder = _Absent(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
