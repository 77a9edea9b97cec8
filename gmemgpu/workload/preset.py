"""Named workloads, and workloads made of one of them and what a user changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gmemgpu.errors import Problem, SpecError
from gmemgpu.toml_file import packaged_toml, unknown_key
from gmemgpu.validation import problems_of
from gmemgpu.workload.spec import Workload

__all__ = ["preset_names", "preset_summary", "preset", "small_variant", "workload_from_mapping", "lay_over"]

_NOT_WORKLOAD = ("summary", "small")
"""Keys of ``presets.toml`` beside those of a workload."""

_KINDS = ("process", "family")
"""Keys whose value decides which other keys a table has."""


def preset_names() -> tuple[str, ...]:
    """Return the name of every preset, in the order of ``presets.toml``."""
    return tuple(packaged_toml("presets"))


def preset_summary(name: str) -> str:
    """
    Return in a line what a preset is.

    Parameters
    ----------
    name : str
        Name of a preset.

    Returns
    -------
    str
        A phrase without a full stop.

    Raises
    ------
    KeyError
        If there is none of that name.
    """
    summary: str = packaged_toml("presets")[name]["summary"]
    return summary


def preset(name: str) -> Workload:
    """
    Return a preset.

    Parameters
    ----------
    name : str
        Name of a preset.

    Returns
    -------
    Workload
        As it stands in ``presets.toml``.

    Raises
    ------
    SpecError
        If there is none of that name.
    """
    return workload_from_mapping({"preset": name}, "", Path())


def small_variant(workload: Workload) -> Workload:
    """
    Shrink a preset, keeping its character: host, guests, counts or time are scaled so that any engine is quick.

    Parameters
    ----------
    workload : Workload
        A preset or what was made from one; other keys that were changed stay changed.

    Returns
    -------
    Workload
        With traces of about 2000 events at most.

    Raises
    ------
    SpecError
        If it comes from no preset: there is no rule that would keep the character of anything.
    """
    if not workload.preset:
        raise SpecError(Problem("preset", "is not named, and only presets have a small variant"))
    small = packaged_toml("presets")[workload.preset]["small"]
    return Workload.model_validate(lay_over(workload.model_dump(), small))


def workload_from_mapping(mapping: Mapping[str, Any], where: str, base_dir: Path) -> Workload:
    """
    Build a workload from a table.

    Parameters
    ----------
    mapping : mapping
        Keys of `Workload`; with ``preset`` they are laid over that preset, else over the defaults.
    where : str
        Prefix of every problem's place; a dotted key follows it.
    base_dir : Path
        Where relative file names start.

    Returns
    -------
    Workload
        Checked in itself; files that it names are read later.

    Raises
    ------
    SpecError
        With every problem.
    """
    problems = []
    base: dict[str, Any] = {}
    name = mapping.get("preset", "")
    if name in preset_names():
        base = {key: value for key, value in packaged_toml("presets")[name].items() if key not in _NOT_WORKLOAD}
    elif name != "":
        place = f"{where}.preset" if where else "preset"
        hint = unknown_key(str(name), preset_names()).removeprefix("unknown key; ")
        problems.append(Problem(place, f'"{name}" is no preset; {hint}'))
        mapping = {key: value for key, value in mapping.items() if key != "preset"}
    try:
        workload = Workload.model_validate(lay_over(base, mapping), context={"base_dir": base_dir})
    except ValidationError as error:
        problems.extend(problems_of(error, where, Workload))
    if problems:
        raise SpecError(problems)
    return workload


def lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """
    Merge tables key by key.

    Parameters
    ----------
    below : mapping
        Defaults.
    above : mapping
        What wins. Where it names another process, family or host than `below`, nothing of that table of `below` stays.

    Returns
    -------
    dict
        A new table; neither of the two is changed.

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
