"""Scenarios: the workload section of a spec, its axes and its ``[[scenario]]`` tables become points."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmemgpu.errors import Problem, SpecError
from gmemgpu.sweeping.axes import AxisValue, axis_value, find_axes, points, value_at
from gmemgpu.sweeping.document import Document, KeyPath
from gmemgpu.sweeping.identity import canonical_json, file_hash
from gmemgpu.sweeping.schema_fields import holds_list, holds_path
from gmemgpu.workload.preset import lay_over, workload_from_mapping
from gmemgpu.workload.spec import Workload

__all__ = ["Scenario", "scenarios_from_document", "anchor_paths", "relative_paths", "input_hashes", "input_paths"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    One point of the workload space.

    Parameters
    ----------
    label : str
        The axis values that vary, as in ``mixed-pods, memory.placement=lifo``; unique in a sweep.
    preset : str
        Name of the preset that it starts from; empty if from none.
    axes : dict of str to AxisValue
        A value for each axis column of the sweep.
    workload : Workload
        Everything resolved; with a seed it gives a trace.
    """

    label: str
    preset: str
    axes: dict[str, AxisValue]
    workload: Workload


def scenarios_from_document(
    document: Document, problems: list[Problem]
) -> tuple[tuple[Scenario, ...], tuple[str, ...]]:
    """
    Turn ``[workload]`` and ``[[scenario]]`` into scenarios.

    Parameters
    ----------
    document : Document
        Paths in it are absolute.
    problems : list of Problem
        Mistakes are added here.

    Returns
    -------
    tuple of Scenario
        All of them if there was no mistake.
    tuple of str
        The axis columns, in file order.
    """
    table = document.values.get("workload", {})
    if not isinstance(table, Mapping):
        problems.append(Problem(document.where("workload"), f"{table!r} is no table; write [workload]"))
        return (), ()
    if "workload" not in document.values and not document.values.get("scenario"):
        problems.append(
            Problem(
                document.where(""),
                'says no workload; write [workload] and below it preset = "iaas-mixed" '
                "(`gmemgpu presets` lists others), or [[scenario]] tables",
            )
        )
        return (), ()
    drafts: list[tuple[dict[str, Any], str]] = []
    paths: dict[KeyPath, None] = {}
    for override, where in _overrides(document, problems):
        name = override.get("name")
        merged = lay_over(table, {key: value for key, value in override.items() if key != "name"})
        axes = find_axes(merged, _is_list_by_nature)
        for path, values in axes.items():
            if not values:
                problems.append(
                    Problem(document.where(f"{where}.{'.'.join(path)}"), "is an empty list; an axis needs a value")
                )
        paths.update(dict.fromkeys(axes))
        if name is not None:
            paths = {("scenario",): None, **paths}
        drafts.extend(({**point, "scenario": name}, where) for point in points(merged, axes))
    scenarios = [
        scenario for draft, where in drafts if (scenario := _scenario(draft, where, paths, document, problems))
    ]
    if not problems:
        _check_labels(scenarios, document, problems)
    columns = tuple(".".join(path) for path in paths if path != ("preset",))
    return tuple(scenarios), columns


def _is_list_by_nature(keys: KeyPath) -> bool:
    return holds_list(Workload, keys)


def _overrides(document: Document, problems: list[Problem]) -> Iterator[tuple[dict[str, Any], str]]:
    # Each [[scenario]] with its place; the plain workload where a spec has none.
    tables = document.values.get("scenario")
    if tables is None:
        yield {}, "workload"
        return
    if not tables or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append(Problem(document.where("scenario"), "is no list of tables; write [[scenario]] above each"))
        return
    names: set[str] = set()
    for i, table in enumerate(tables):
        name = table.get("name")
        if not isinstance(name, str) or not name or name in names:
            reason = "is taken by an earlier scenario" if name in names else "is no name"
            problems.append(Problem(document.where(f"scenario[{i}].name"), f"{name!r} {reason}; name each scenario"))
        else:
            names.add(name)
        yield table, f"scenario[{i}]"


def _scenario(
    draft: dict[str, Any], where: str, paths: Mapping[KeyPath, None], document: Document, problems: list[Problem]
) -> Scenario | None:
    values = {path: axis_value(value_at(draft, path)) for path in paths}
    table = {key: value for key, value in draft.items() if key != "scenario"}
    try:
        workload = workload_from_mapping(table, where, document.folder)
    except SpecError as error:
        # Every point of an axis repeats the mistakes of what it shares with the others.
        for problem in error.problems:
            placed = Problem(document.where(problem.where), problem.message)
            if placed not in problems:
                problems.append(placed)
        return None
    label = ", ".join(_part(path, value) for path, value in values.items() if value is not None)
    return Scenario(
        label=label or workload.preset or "workload",
        preset=workload.preset,
        axes={".".join(path): value for path, value in values.items() if path != ("preset",)},
        workload=workload,
    )


def _part(path: KeyPath, value: AxisValue) -> str:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    # A file by its name: the folders before it say nothing in a table.
    if holds_path(Workload, path):
        text = Path(text).name
    return text if path in (("preset",), ("scenario",)) else f"{'.'.join(path)}={text}"


def _check_labels(scenarios: list[Scenario], document: Document, problems: list[Problem]) -> None:
    seen: set[str] = set()
    for scenario in scenarios:
        if scenario.label in seen:
            problems.append(
                Problem(
                    document.where("workload"), f'two scenarios are both "{scenario.label}"; an axis repeats a value'
                )
            )
        seen.add(scenario.label)


def _map_paths(table: Mapping[str, Any], convert: Callable[[str], str]) -> dict[str, Any]:
    # The spec's table with every file name in it converted.
    def of_workload(value: Any, keys: KeyPath) -> Any:
        if isinstance(value, Mapping):
            return {key: of_workload(inner, (*keys, key)) for key, inner in value.items()}
        if isinstance(value, list) and holds_path(Workload, keys):
            return [of_workload(inner, keys) for inner in value]
        return convert(str(value)) if isinstance(value, str | Path) and holds_path(Workload, keys) else value

    converted = dict(table)
    for key in ("policies_file", "costs"):
        if isinstance(table.get(key), str | Path):
            converted[key] = convert(str(table[key]))
    if isinstance(table.get("workload"), Mapping):
        converted["workload"] = of_workload(table["workload"], ())
    if isinstance(table.get("scenario"), list):
        converted["scenario"] = [of_workload(scenario, ()) for scenario in table["scenario"]]
    return converted


def anchor_paths(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make every file name of one spec file start from the folder of that file."""
    return _map_paths(table, lambda text: str((folder / text).absolute()))


def relative_paths(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Undo `anchor_paths`, so that a sweep is the same wherever its files lie."""
    return _map_paths(table, lambda text: os.path.relpath(text, folder))


def input_paths(workload: Workload) -> list[Path]:
    """List the files that a workload reads."""
    found: list[Path] = []

    def note(value: Any) -> None:
        if isinstance(value, Path):
            found.append(value)

    # The JSON encoder looks at ten thousand scenarios of a sweep in a fraction of a second.
    canonical_json(workload.model_dump(), note)
    return found


def input_hashes(scenarios: tuple[Scenario, ...], problems: list[Problem]) -> dict[Path, str]:
    """Hash the files that scenarios read: a sweep with other data under the same name is another sweep."""
    hashes: dict[Path, str] = {}
    for path in sorted({path for scenario in scenarios for path in input_paths(scenario.workload)}):
        try:
            hashes[path] = file_hash(path)
        except SpecError as error:
            problems.extend(error.problems)
    return hashes
