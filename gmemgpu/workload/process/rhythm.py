"""Batches at a rate that follows the day and the week: what clouds see."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gmemgpu.fields import DurationNs, NonNegative
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.arrival import rhythmic_times
from gmemgpu.workload.process.process import BatchProcess

__all__ = ["Rhythm"]


class Rhythm(BatchProcess):
    """A Poisson process of batches with a daily and a weekly rhythm; day 0 is a Monday."""

    process: Literal["batches"] = Field(description="Batches at a rate that follows the day and the week.")
    batches_per_day: NonNegative | None = Field(
        default=None,
        le=10_000_000,
        description="Batches a day that send this host something; as many as `running` asks for if left out.",
    )
    amplitude_24h: NonNegative = Field(default=0.377, le=10, description="Of the daily cosine: Azure 2017.")
    amplitude_12h: NonNegative = Field(default=0.031, le=10, description="Of the half-daily cosine: Azure 2017.")
    peak_ns: DurationNs = Field(default=14 * 3600 * NS_PER_S, description="Busiest time of the day: Azure 2017.")
    weekend_factor: NonNegative = Field(default=0.93, description="Rate on low days over that of others: Azure 2017.")
    weekend_days: int = Field(default=2, ge=0, le=7, description="Low days at the end of each week.")
    day_factor_cv: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="Spread of a Gamma factor for each day; 0.2 for drift as seen, 0 for none. Assumed."
    )

    @property
    def is_balanced(self) -> bool:
        """Whether there is no rate of its own."""
        return self.batches_per_day is None

    def expected_batches(self, horizon_ns: int, batches_per_s: float) -> float:
        """Return rate times time."""
        return self._per_day(batches_per_s) * horizon_ns / (86_400 * NS_PER_S)

    def _per_day(self, batches_per_s: float) -> float:
        return 86_400 * batches_per_s if self.batches_per_day is None else self.batches_per_day

    def times(self, seed: int, horizon_ns: int, batches_per_s: float) -> Int64Array:
        """Draw the times of batches."""
        return rhythmic_times(
            seed,
            horizon_ns,
            per_day=self._per_day(batches_per_s),
            amplitude_24h=self.amplitude_24h,
            amplitude_12h=self.amplitude_12h,
            peak_ns=self.peak_ns,
            weekend_factor=self.weekend_factor,
            weekend_days=self.weekend_days,
            day_factor_cv=self.day_factor_cv,
        )
