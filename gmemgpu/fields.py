"""What pydantic models are made of: tables without unknown keys, times and sizes with units, shares, paths."""

from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from gmemgpu.units import INT64_MAX, parse_bytes, parse_duration_ns

__all__ = [
    "Section",
    "Integer",
    "DurationNs",
    "SizeBytes",
    "Count",
    "PageExtents",
    "Share",
    "Positive",
    "NonNegative",
    "Sigma",
    "InputPath",
]


class Section(BaseModel):
    """A table of a description: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _plain(value: Any) -> Any:
    # An integer of NumPy is as good as Python's.
    return value if type(value) in (int, bool) or not isinstance(value, Integral) else int(value)


def _duration(value: object) -> object:
    return parse_duration_ns(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    return parse_bytes(value) if isinstance(value, str) else value


def _page_extents(value: object) -> object:
    # One message for all that is no such list: pydantic would say what each of its members might have been.
    extents: list[tuple[int, int]] = []
    for extent in value if isinstance(value, list | tuple) else [value]:
        pair = [_plain(number) for number in extent] if isinstance(extent, list | tuple) else []
        if len(pair) != 2 or any(type(number) is not int for number in pair) or pair[0] < 0 or pair[1] < 1:
            raise ValueError(f"{extent!r} is no extent; write a list of [first PFN, number of pages]")
        extents.append((pair[0], pair[1]))
    return tuple(extents)


def _from_base(path: Path, info: ValidationInfo) -> Path:
    return info.context["base_dir"] / path if info.context else path


Integer: TypeAlias = Annotated[int, BeforeValidator(_plain), Field(strict=True)]
"""An integer, and no text or fraction that could be taken for one."""
DurationNs: TypeAlias = Annotated[Integer, BeforeValidator(_duration), Field(ge=0, le=INT64_MAX)]
"""Integer nanoseconds, or text such as "10 s"."""
SizeBytes: TypeAlias = Annotated[Integer, BeforeValidator(_size), Field(ge=0, le=INT64_MAX)]
"""Integer bytes, or text such as "64 MiB"."""
Count: TypeAlias = Annotated[Integer, Field(ge=1)]
"""How many there are, at least one."""
PageExtents: TypeAlias = Annotated[tuple[tuple[int, int], ...], BeforeValidator(_page_extents)]
"""Extents of 4 KiB pages, each [first PFN, number of pages]."""
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
"""A probability or share."""
Positive: TypeAlias = Annotated[float, Field(gt=0)]
NonNegative: TypeAlias = Annotated[float, Field(ge=0)]
Sigma: TypeAlias = Annotated[float, Field(ge=0, le=10)]
"""Standard deviation of a lognormal's logarithm. Past 10 variates spread over 70 decades, which no float carries."""
InputPath: TypeAlias = Annotated[Path, AfterValidator(_from_base)]
"""A path; validated with context ``{"base_dir": Path}`` it starts there."""
