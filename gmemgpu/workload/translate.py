"""Pydantic's findings in the package's words: key, value, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gmemgpu.errors import Problem
from gmemgpu.toml_file import unknown_key

__all__ = ["problems_of"]


def _models(annotation: Any) -> list[type[BaseModel]]:
    # All models that an annotation mentions, in unions, Annotated and dict values.
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _keys_and_model(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[list[str], type[BaseModel] | None]:
    # Without the tags that pydantic puts into a location for unions; and the table that the last key is in.
    keys: list[str] = []
    candidates: list[type[BaseModel]] = [model]
    table: type[BaseModel] | None = model
    for part in location:
        tagged = [m for m in candidates if part in _tags(m)]
        if tagged and len(candidates) > 1:
            candidates = tagged
            continue
        if isinstance(part, int):
            keys[-1] += f"[{part}]"
            continue
        keys.append(part)
        fields = [m.model_fields[part] for m in candidates if part in m.model_fields]
        if len(candidates) == 1:
            table = candidates[0]
        if fields:
            candidates = [m for field in fields for m in _models(field.annotation)]
    return keys, table


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    return tuple(
        tag
        for name in ("process", "family")
        if name in model.model_fields
        for tag in get_args(model.model_fields[name].annotation)
    )


def _message(error: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> str:
    value, kind = error["input"], error["type"]
    shown = f'"{value}"' if isinstance(value, str) else repr(value)
    if len(shown) > 60:
        shown = f"{shown[:57]}…"
    if kind == "extra_forbidden":
        return unknown_key(str(error["loc"][-1]), list(fields))
    if kind == "missing":
        meaning = fields[error["loc"][-1]].description
        return f"is missing: {meaning}" if meaning else "is missing"
    if kind == "union_tag_invalid":
        context = error["ctx"]
        tags = context["expected_tags"].replace("'", "")
        return f'"{context["tag"]}" is unknown; use {tags}'
    if kind == "union_tag_not_found":
        return "is missing"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    advice = error["msg"].replace("Input should be", "it must be").replace("'", '"')
    return f"{shown} cannot be used: {advice[:1].lower()}{advice[1:]}"


def problems_of(error: ValidationError, model: type[BaseModel], where: str) -> list[Problem]:
    """
    Translate every mistake that pydantic found.

    Parameters
    ----------
    error : ValidationError
        As pydantic raised it.
    model : type of BaseModel
        What was validated.
    where : str
        Prefix of every problem's place; a dotted key follows it.

    Returns
    -------
    list of Problem
        One for each mistake, with file key, value and remedy.
    """
    problems = []
    for detail in error.errors(include_url=False):
        keys, table = _keys_and_model(model, detail["loc"])
        if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
            keys.append(detail["ctx"]["discriminator"].strip("'"))
        place = ".".join(part for part in (where, *keys) if part)
        problems.append(Problem(place, _message(detail, table.model_fields if table else {})))
    return problems
