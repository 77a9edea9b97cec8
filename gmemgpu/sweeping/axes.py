"""A list on a scalar field is an axis: one table of a spec becomes the points of a cartesian product."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, TypeAlias

from gmemgpu.sweeping.document import KeyPath

__all__ = ["AxisValue", "find_axes", "points", "value_at", "axis_value"]

AxisValue: TypeAlias = str | int | float | bool | None
"""What a result column of an axis holds; None where a scenario has no such key."""


def find_axes(table: Mapping[str, Any], holds_list: Callable[[KeyPath], bool]) -> dict[KeyPath, list[Any]]:
    """
    Find the axes of a table.

    Parameters
    ----------
    table : mapping
        As a TOML reader gives it.
    holds_list : callable
        Whether the field under these keys is a list by nature.

    Returns
    -------
    dict of key path to list
        The values of every axis, in file order.
    """
    return dict(_axes(table, holds_list, ()))


def _axes(
    table: Mapping[str, Any], holds_list: Callable[[KeyPath], bool], prefix: KeyPath
) -> Iterator[tuple[KeyPath, list[Any]]]:
    for key, value in table.items():
        path = (*prefix, key)
        if isinstance(value, Mapping):
            yield from _axes(value, holds_list, path)
        elif isinstance(value, list) and not holds_list(path):
            yield path, value


def points(table: Mapping[str, Any], axes: Mapping[KeyPath, list[Any]]) -> Iterator[dict[str, Any]]:
    """Give the table once for every combination of axis values; the last axis runs fastest."""
    for values in product(*axes.values()):
        point: dict[str, Any] = dict(table)
        for path, value in zip(axes, values, strict=True):
            point = _with(point, path, value)
        yield point


def _with(table: Mapping[str, Any], path: KeyPath, value: Any) -> dict[str, Any]:
    key, *rest = path
    return {**table, key: _with(table[key], tuple(rest), value) if rest else value}


def value_at(table: Mapping[str, Any], path: KeyPath) -> Any:
    """Look up what a table holds under a key path; None if nothing."""
    value: Any = table
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def axis_value(value: Any) -> AxisValue:
    """Turn what a spec says on an axis into what a result column holds: a table becomes its JSON, or its mere name."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping) and list(value) == ["name"]:
        return axis_value(value["name"])
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
