"""What pydantic finds wrong, in the package's words: file and key, value, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import cleandoc
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, dataclass_transform, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from gmemgpu.errors import Problem, SpecError
from gmemgpu.toml_file import unknown_key

__all__ = ["problems_of", "validated", "checked_dataclass"]

T = TypeVar("T")

_LONGEST_VALUE = 60
"""Characters of a wrong value that a message shows."""


def problems_of(error: ValidationError, where: str, model: Any) -> list[Problem]:
    """
    Return every mistake that pydantic found as a `Problem`.

    Parameters
    ----------
    error : ValidationError
        As raised when `model` was validated.
    where : str
        Prefix of every problem's place. A dotted key follows it after a full stop, or as it is if `where` ends in a
        space: ``workload`` gives ``workload.stock.vms``, and ``t.toml: `` gives ``t.toml: host.cores``.
    model : type
        What was validated: a pydantic model or dataclass, or a list or dict of them. Its fields name the near key
        of a misspelt one and say what a missing one means.

    Returns
    -------
    list of Problem
        In pydantic's order, at least one.
    """
    problems = []
    for detail in error.errors(include_url=False):
        key, fields = _key_and_table(model, detail["loc"])
        if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
            key = ".".join(part for part in (key, detail["ctx"]["discriminator"].strip("'")) if part)
        dot = "." if where and key and not where.endswith(" ") and not key.startswith("[") else ""
        place = f"{where}{dot}{key}" if key else where.removesuffix(": ")
        problems.append(Problem(place, _message(detail, fields)))
    return problems


def validated(model: type[T], value: object, where: str, *, context: Mapping[str, Any] | None = None) -> T:
    """
    Return a value as what `model` describes.

    Parameters
    ----------
    model : type
        A pydantic model or dataclass.
    value : object
        A mapping of its fields, as a TOML or JSON reader gives it, or an instance.
    where : str
        Prefix of every problem's place, as of `problems_of`.
    context : mapping, optional
        What validators may ask for, such as ``base_dir``.

    Returns
    -------
    T
        A valid one.

    Raises
    ------
    SpecError
        With every problem.
    """
    try:
        return TypeAdapter(model).validate_python(value, context=dict(context) if context else None)
    except ValidationError as error:
        raise SpecError(problems_of(error, where, model)) from None


@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def checked_dataclass(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """
    Return a decorator for frozen dataclasses with slots that pydantic checks when they are made.

    Parameters
    ----------
    kw_only : bool
        Whether the constructor takes keywords alone.

    Returns
    -------
    callable
        From a class to its dataclass. Its constructor raises `SpecError` with every problem. As a field of another
        model it is checked without its constructor, so that its mistakes are listed among the other's. Its docstring
        ends in a list of its parameters, made of the fields' descriptions.
    """

    def decorate(cls: type[T]) -> type[T]:
        config = ConfigDict(extra="forbid", allow_inf_nan=False)
        checked = cast(type[T], dataclass(cls, frozen=True, slots=True, kw_only=kw_only, config=config))
        construct: Callable[..., None] = checked.__init__

        @wraps(construct)
        def __init__(self: T, *args: Any, **kwargs: Any) -> None:
            try:
                construct(self, *args, **kwargs)
            except ValidationError as error:
                raise SpecError(problems_of(error, cls.__name__.lower(), checked)) from None

        checked.__init__ = __init__  # type: ignore[assignment]
        described = ((name, field.description) for name, field in (_fields(checked) or {}).items())
        listed = "".join(f"\n{name} : {cls.__annotations__[name]}\n    {text}" for name, text in described)
        checked.__doc__ = f"{cleandoc(cls.__doc__ or '')}\n\nParameters\n----------{listed}\n"
        return checked

    return decorate


def _fields(annotation: Any) -> Mapping[str, FieldInfo] | None:
    # The fields of a table, by key; None for what is no table.
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields: Mapping[str, FieldInfo] = annotation.model_fields
    else:
        fields = getattr(annotation, "__pydantic_fields__", {})
        if not fields:
            return None
    return {field.alias or name: field for name, field in fields.items()}


def _members(annotation: Any) -> list[Any]:
    # What a value may be, without None; a union is flattened.
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for argument in get_args(annotation) for member in _members(argument)]
    return [] if annotation is type(None) else [annotation]


def _is_labelled(member: Any, label: int | str) -> bool:
    # Pydantic names the member of a union by its class, or by the value of the key that tells the members apart.
    literals = (field.annotation for field in (_fields(member) or {}).values())
    known = (value for literal in literals if get_origin(literal) is Literal for value in get_args(literal))
    return str(label).partition("[")[0] == getattr(member, "__name__", None) or label in known


def _key_and_table(model: Any, location: tuple[int | str, ...]) -> tuple[str, Mapping[str, FieldInfo]]:
    """Return the dotted key of a location, and the fields of the table that the last key is in."""
    key = ""
    members = _members(model)
    table: Mapping[str, FieldInfo] = {}
    for part in location:
        if len(members) > 1:
            # Not a key: pydantic says here which member of the union it tried.
            members = [member for member in members if _is_labelled(member, part)]
            continue
        fields = _fields(members[0]) if members else None
        if fields and isinstance(part, int):
            # An argument of a constructor, by its place.
            part = [*fields, *range(len(fields), part + 1)][part]
        if isinstance(part, int):
            key += f"[{part}]"
        else:
            key += f".{part}" if key else part
        if fields is None:
            arguments = get_args(members[0]) if members else ()
            inner = [argument for argument in arguments if argument is not Ellipsis]
            members = _members(inner[-1]) if inner else []
            table = {}
        else:
            table = fields
            field = fields.get(str(part))
            members = _members(field.annotation) if field else []
    return key, table


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _unknown(value: object, known: Iterable[str]) -> str:
    known = list(known)
    hint = unknown_key(str(value), known).removeprefix("unknown key; ")
    return f"{_shown(value)} is unknown; {hint.replace('known: ', 'use ', 1)}"


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}…"


def _message(error: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> str:
    value, kind = error["input"], error["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return unknown_key(str(error["loc"][-1]), list(fields))
    if kind == "missing":
        field = fields.get(error["loc"][-1])
        return f"is missing: {field.description}" if field and field.description else "is missing"
    if kind == "union_tag_not_found":
        return "is missing"
    if kind == "union_tag_invalid":
        return _unknown(error["ctx"]["tag"], _quoted(error["ctx"]["expected_tags"]))
    if kind == "literal_error" and isinstance(value, str):
        return _unknown(value, _quoted(error["ctx"]["expected"]))
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind in ("dataclass_type", "model_type", "model_attributes_type", "dict_type"):
        return f"{_shown(value)} is no table of keys and values"
    advice = error["msg"].replace("Input should be", "it must be").replace("'", '"')
    return f"{_shown(value)} cannot be used: {advice[:1].lower()}{advice[1:]}"
