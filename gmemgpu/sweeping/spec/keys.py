"""What the keys of a workload hold: lists that are one value, and names of files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel

from gmemgpu.workload.spec import Workload

__all__ = ["KeyPath", "holds_list", "holds_path", "map_paths", "input_files"]

KeyPath: TypeAlias = tuple[str, ...]
"""Keys from a table down, as ``("memory", "placement")``."""

_LISTS = (list, tuple, set, frozenset, Sequence, AbstractSet)


def _alternatives(annotation: Any) -> Iterator[Any]:
    # What a value of this annotation may be, with Annotated, Optional and unions taken apart.
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for argument in get_args(annotation):
            yield from _alternatives(argument)
    else:
        yield annotation


@cache
def _annotations(keys: KeyPath) -> list[Any]:
    # Every annotation that the value under these keys of a workload may have; empty if there is no such field.
    found: list[Any] = [Workload]
    for key in keys:
        below: list[Any] = []
        for annotation in found:
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                if key in annotation.model_fields:
                    below.extend(_alternatives(annotation.model_fields[key].annotation))
            elif get_origin(annotation) in (dict, Mapping):
                below.extend(_alternatives(get_args(annotation)[1]))
        found = below
    return found


def holds_list(keys: KeyPath) -> bool:
    """Check whether a list under these keys of a workload is one value rather than an axis."""
    return any((get_origin(annotation) or annotation) in _LISTS for annotation in _annotations(keys))


def holds_path(keys: KeyPath) -> bool:
    """Check whether text under these keys of a workload names a file."""
    return any(isinstance(annotation, type) and issubclass(annotation, Path) for annotation in _annotations(keys))


def map_paths(table: Mapping[str, Any], convert: Callable[[str], str]) -> dict[str, Any]:
    """Return a spec's table with every file name in it converted."""

    def of_workload(value: Any, keys: KeyPath) -> Any:
        if isinstance(value, Mapping):
            return {key: of_workload(inner, (*keys, key)) for key, inner in value.items()}
        if not holds_path(keys):
            return value
        if isinstance(value, list):
            return [of_workload(inner, keys) for inner in value]
        return convert(str(value)) if isinstance(value, str | Path) else value

    converted = dict(table)
    for key in ("policies_file", "costs"):
        if isinstance(table.get(key), str | Path):
            converted[key] = convert(str(table[key]))
    if isinstance(table.get("workload"), Mapping):
        converted["workload"] = of_workload(table["workload"], ())
    if isinstance(table.get("scenario"), list):
        converted["scenario"] = [of_workload(scenario, ()) for scenario in table["scenario"]]
    return converted


def input_files(workloads: Iterable[Workload]) -> list[Path]:
    """Return the files that workloads read, sorted, each once."""
    found: set[Path] = set()

    def note(value: Any) -> None:
        if isinstance(value, Path):
            found.add(value)

    for workload in workloads:
        # The JSON encoder looks at ten thousand workloads in a fraction of a second.
        json.dumps(workload.model_dump(), default=note)
    return sorted(found)
