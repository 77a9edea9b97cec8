"""Lays what a user says over a preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["lay_over"]

_KINDS = ("process", "family")
"""Keys whose value says which other keys a table has."""


def lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """
    Merge tables key by key.

    Parameters
    ----------
    below : mapping
        Defaults.
    above : mapping
        Wins. Where it names another process, family or host than `below`, nothing of that table of `below` stays.

    Returns
    -------
    dict

    Examples
    --------
    >>> lay_over({"host": "pod", "stock": {"vms": 100}}, {"host": {"nodes": 2}, "stock": {"vms": 1}})
    {'host': {'name': 'pod', 'nodes': 2}, 'stock': {'vms': 1}}
    """
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if key == "host":
            old, value = ({"name": v} if isinstance(v, str) else v for v in (old, value))
        if not isinstance(old, Mapping) or not isinstance(value, Mapping) or _replaces(key, old, value):
            merged[key] = value
        else:
            merged[key] = lay_over(old, value)
    return merged


def _replaces(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    kinds = ("name",) if key == "host" else _KINDS
    return any(kind in new and new[kind] != old.get(kind) for kind in kinds)
