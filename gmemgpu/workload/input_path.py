"""Names of files in a workload description: relative ones start at the folder of the file that says them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, ValidationInfo

__all__ = ["InputPath"]


def _from_base(path: Path, info: ValidationInfo) -> Path:
    return info.context["base_dir"] / path if info.context else path


InputPath: TypeAlias = Annotated[Path, AfterValidator(_from_base)]
"""A path; validated with context ``{"base_dir": Path}`` it starts there."""
