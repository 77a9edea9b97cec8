"""Scenarios: a spec's ``[workload]``, its axes and its ``[[scenario]]`` tables become points."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from gmemgpu.errors import SpecError, TraceError
from gmemgpu.sweeping.spec.document import Document, shown
from gmemgpu.sweeping.spec.keys import KeyPath, holds_list, holds_path
from gmemgpu.workload.preset import lay_over, workload_from_mapping
from gmemgpu.workload.spec import Workload

__all__ = ["AxisValue", "Scenario", "scenarios_of"]

MAX_SCENARIOS = 1_000_000

_HOST: KeyPath = ("vm_table", "host")

AxisValue: TypeAlias = str | int | float | bool | None
"""What a result column of an axis holds; None where a scenario has no such key."""


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
        A value for each axis column of the sweep, in file order; ``preset`` has its own column.
    workload : Workload
        Everything resolved; with a seed it gives a trace.
    """

    label: str
    preset: str
    axes: dict[str, AxisValue]
    workload: Workload


@dataclass(frozen=True, slots=True)
class _Draft:
    # A scenario before it is checked: its key in the spec, its name, what it says itself, and all that holds for it.
    key: str
    name: str | None
    own: Mapping[str, Any]
    table: dict[str, Any]


def scenarios_of(document: Document) -> tuple[Scenario, ...]:
    """
    Return the scenarios of ``[workload]`` and ``[[scenario]]``.

    A list on a scalar key is an axis: it makes a scenario of each of its values, and the last axis runs fastest.
    """
    workload = document.values.get("workload", {})
    if not isinstance(workload, dict):
        document.report("workload", f"{shown(workload)} is no table; write [workload]")
        return ()
    if "workload" not in document.values and not document.values.get("scenario"):
        document.report(
            "",
            'says no workload; write [workload] and below it preset = "iaas-mixed" '
            "(`gmemgpu presets` lists others), or [[scenario]] tables",
        )
        return ()
    drafts: list[_Draft] = []
    columns: dict[KeyPath, None] = {}
    for key, name, own in _tables(document):
        merged = lay_over(workload, own)
        axes = dict(_axes(merged))
        for path, values in axes.items():
            if not values:
                document.report(".".join((key, *path)), "is an empty list; an axis needs a value")
        n_scenarios = len(drafts) + math.prod(map(len, axes.values()))
        if n_scenarios > MAX_SCENARIOS:
            document.report(key, f"makes {n_scenarios:,} scenarios of its axes; the most are {MAX_SCENARIOS:,}")
            return ()
        points = list(_over_hosts(_points(merged, axes), document))
        if any(_value_at(point, _HOST) is not None for point in points):
            axes.setdefault(_HOST, [])
        columns.update(dict.fromkeys(axes))
        if name is not None:
            columns = {("scenario",): None, **columns}
        drafts.extend(_Draft(key, name, own, point) for point in points)
    scenarios = [found for draft in drafts if (found := _scenario(draft, columns, workload, document))]
    if not document.problems:
        labels: set[str] = set()
        for scenario in scenarios:
            if scenario.label in labels:
                document.report("workload", f'two scenarios are both "{scenario.label}"; an axis repeats a value')
            labels.add(scenario.label)
    return tuple(scenarios)


def _tables(document: Document) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    # Key, name and table of each [[scenario]]; the plain workload where a spec has none.
    tables = document.values.get("scenario")
    if tables is None:
        yield "workload", None, {}
        return
    if not tables or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        document.report("scenario", "is no list of tables; write [[scenario]] above each")
        return
    names: set[str] = set()
    for i, table in enumerate(tables):
        name = table.get("name")
        if not isinstance(name, str) or not name or not name.isprintable():
            wrong = "is missing" if name is None else f"{shown(name)} is no name"
            document.report(f"scenario[{i}].name", f'{wrong}; name each scenario, as in name = "night"')
        elif name in names:
            document.report(f"scenario[{i}].name", f'"{name}" is taken by an earlier scenario; name each scenario')
        else:
            names.add(name)
        yield f"scenario[{i}]", str(name), {key: value for key, value in table.items() if key != "name"}


def _axes(table: Mapping[str, Any], prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, list[Any]]]:
    for key, value in table.items():
        path = (*prefix, key)
        if isinstance(value, Mapping):
            yield from _axes(value, path)
        elif isinstance(value, list) and not holds_list(path):
            yield path, value


def _points(table: Mapping[str, Any], axes: Mapping[KeyPath, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*axes.values()):
        point: dict[str, Any] = dict(table)
        for path, value in zip(axes, values, strict=True):
            point = _with(point, path, value)
        yield point


def _over_hosts(points: Iterable[dict[str, Any]], document: Document) -> Iterator[dict[str, Any]]:
    # A table of several hosts makes a scenario of each, as an axis of their names would.
    for point in points:
        names: tuple[str, ...] = ()
        if isinstance(point.get("vm_table"), Mapping):
            try:
                workload = workload_from_mapping(point, "", document.folder)
                if workload.vm_table is not None and workload.vm_table.path.exists():
                    names = workload.vm_table.host_names(workload.host.host)
            except (SpecError, OSError):
                pass  # told with the scenario's other mistakes
            except TraceError as error:
                document.problems.extend(problem for problem in error.problems if problem not in document.problems)
        yield from (_with(point, _HOST, name) for name in names) if len(names) > 1 else [point]


def _with(table: Mapping[str, Any], path: KeyPath, value: Any) -> dict[str, Any]:
    key, *rest = path
    return {**table, key: _with(table.get(key, {}), tuple(rest), value) if rest else value}


def _value_at(table: Mapping[str, Any], path: KeyPath) -> Any:
    value: Any = table
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def _axis_value(value: Any) -> AxisValue:
    # A table becomes its JSON, or its mere name.
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping) and list(value) == ["name"]:
        return _axis_value(value["name"])
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _scenario(
    draft: _Draft, columns: Mapping[KeyPath, None], workload: Mapping[str, Any], document: Document
) -> Scenario | None:
    try:
        resolved = workload_from_mapping(draft.table, "", document.folder)
    except SpecError as error:
        for problem in error.problems:
            keys = tuple(part.partition("[")[0] for part in problem.where.split("."))
            shared = _value_at(workload, keys) is not None and _value_at(draft.own, keys) is None
            place = "workload" if shared else draft.key
            document.report(f"{place}.{problem.where}" if problem.where else place, problem.message)
        return None
    named = {**draft.table, "scenario": draft.name}
    values = {path: _axis_value(_value_at(named, path)) for path in columns}
    label = ", ".join(_part(path, value) for path, value in values.items() if value is not None)
    return Scenario(
        label=label or resolved.preset or "workload",
        preset=resolved.preset,
        axes={".".join(path): value for path, value in values.items() if path != ("preset",)},
        workload=resolved,
    )


def _part(path: KeyPath, value: AxisValue) -> str:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    # A file by its name: the folders before it say nothing in a table.
    if holds_path(path):
        text = Path(text).name
    return text if path in (("preset",), ("scenario",)) else f"{'.'.join(path)}={text}"
