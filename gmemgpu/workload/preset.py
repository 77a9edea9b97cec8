"""Named workloads, and workloads from what a user says over one of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gmemgpu.errors import Problem, SpecError
from gmemgpu.toml_file import packaged_toml, unknown_key
from gmemgpu.validation import problems_of
from gmemgpu.workload.merge import lay_over
from gmemgpu.workload.spec import Workload

__all__ = ["preset_names", "preset_summary", "preset", "small_variant", "workload_from_mapping"]

_NOT_WORKLOAD = ("summary", "small")
"""Keys of ``presets.toml`` beside those of a workload."""


def preset_names() -> tuple[str, ...]:
    """Name every preset, in the order of ``presets.toml``."""
    return tuple(packaged_toml("presets"))


def preset_summary(name: str) -> str:
    """
    Say in a line what a preset is.

    Raises
    ------
    KeyError
        If there is none of that name.
    """
    summary: str = packaged_toml("presets")[name]["summary"]
    return summary


def preset(name: str) -> Workload:
    """
    Look a preset up.

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
    Turn a table into a workload.

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
