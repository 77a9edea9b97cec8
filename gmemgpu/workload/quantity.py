"""Times and sizes in specs: text with a unit, or integers in the base unit."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from gmemgpu.units import INT64_MAX, parse_bytes, parse_duration_ns

__all__ = ["DurationNs", "SizeBytes"]


def _duration(value: object) -> object:
    return parse_duration_ns(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    return parse_bytes(value) if isinstance(value, str) else value


DurationNs: TypeAlias = Annotated[int, BeforeValidator(_duration), Field(ge=0, le=INT64_MAX, strict=True)]
"""Integer nanoseconds, or text such as "10 s"."""
SizeBytes: TypeAlias = Annotated[int, BeforeValidator(_size), Field(ge=0, le=INT64_MAX, strict=True)]
"""Integer bytes, or text such as "64 MiB"."""
