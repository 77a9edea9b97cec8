"""What every section of a workload has in common: frozen, and no unknown keys."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Section", "Share", "Positive", "NonNegative", "Sigma"]


class Section(BaseModel):
    """A table of a workload description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
"""A probability or share."""
Positive: TypeAlias = Annotated[float, Field(gt=0)]
NonNegative: TypeAlias = Annotated[float, Field(ge=0)]
Sigma: TypeAlias = Annotated[float, Field(ge=0, le=10)]
"""Standard deviation of a lognormal's logarithm. Past 10 variates spread over 70 decades, which no float carries."""
