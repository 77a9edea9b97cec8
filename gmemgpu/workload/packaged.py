"""The workload data that ship with the package, as TOML tables."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["packaged_tables"]


@cache
def packaged_tables(stem: str) -> dict[str, dict[str, Any]]:
    """
    Give the tables of ``gmemgpu/data/<stem>.toml``, by name; to be read, never changed.

    Parameters
    ----------
    stem : str
        As in ``"lifetimes"``.
    """
    return tomllib.loads((resources.files("gmemgpu.data") / f"{stem}.toml").read_text(encoding="utf-8"))
