"""What the Workload model says of its fields: which hold lists by nature, which hold paths, which exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from gmemgpu.sweeping.document import KeyPath

__all__ = ["holds_list", "holds_path"]


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


def _at(model: type[BaseModel], keys: KeyPath) -> list[Any]:
    # Every annotation that the value under `keys` may have; empty if there is no such field.
    found: list[Any] = [model]
    for key in keys:
        below: list[Any] = []
        for annotation in found:
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                fields = annotation.model_fields
                named = fields.get(key) or next((f for f in fields.values() if f.alias == key), None)
                if named is not None:
                    below.extend(_alternatives(named.annotation))
            elif get_origin(annotation) in (dict, Mapping):
                below.extend(_alternatives(get_args(annotation)[1]))
        found = below
    return found


def holds_list(model: type[BaseModel], keys: KeyPath) -> bool:
    """
    Say whether a list under `keys` is one value rather than an axis.

    Parameters
    ----------
    model : type of BaseModel
    keys : tuple of str
        From the model down, as in ``("memory", "placement")``.
    """
    sequences = (list, tuple, set, frozenset, Sequence, AbstractSet)
    return any((get_origin(annotation) or annotation) in sequences for annotation in _at(model, keys))


def holds_path(model: type[BaseModel], keys: KeyPath) -> bool:
    """Say whether text under `keys` names a file."""
    return any(isinstance(annotation, type) and issubclass(annotation, Path) for annotation in _at(model, keys))
