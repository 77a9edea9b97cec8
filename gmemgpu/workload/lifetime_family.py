"""Families of lifetime distributions, as a workload or ``lifetimes.toml`` describes them."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from gmemgpu.fields import DurationNs, InputPath, Positive, Section, Share, Sigma
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable import lifetime

__all__ = ["Family"]


class _Family(Section):
    source: str = Field(default="", description="Where the figures come from; no effect.")


class LognormalMixture(_Family):
    """Lognormals, each met by its weight."""

    family: Literal["lognormal_mixture"] = Field(description="Lognormals, each met by its weight.")
    weight: tuple[Positive, ...] = Field(description="Weights of the parts; need not add up to 1.")
    median_ns: tuple[DurationNs, ...] = Field(description="Median of each part.")
    sigma: tuple[Sigma, ...] = Field(description="Spread of each part: standard deviation of the logarithm.")

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        if not self.weight:
            raise ValueError("weight is empty; give a component at least")
        if not len(self.weight) == len(self.median_ns) == len(self.sigma):
            raise ValueError("weight, median_ns and sigma differ in length; give one of each for every component")
        if not all(self.median_ns):
            raise ValueError("median_ns holds a 0; every median is longer")
        return self

    def components(self) -> list[lifetime.Component]:
        """Return the parts of the mixture."""
        return lifetime.lognormal_mixture(self.weight, [m / NS_PER_S for m in self.median_ns], self.sigma)


class Lognormal(_Family):
    """One lognormal."""

    family: Literal["lognormal"] = Field(description="One lognormal.")
    median_ns: DurationNs = Field(gt=0, description="Median.")
    sigma: Sigma = Field(description="Spread: standard deviation of the logarithm.")

    def components(self) -> list[lifetime.Component]:
        """Return the one part."""
        return lifetime.lognormal_mixture([1.0], [self.median_ns / NS_PER_S], [self.sigma])


class Weibull(_Family):
    """Weibull, by scale and shape."""

    family: Literal["weibull"] = Field(description="Weibull, by scale and shape.")
    scale_ns: DurationNs = Field(gt=0, description="Scale: 63 % of lives are shorter.")
    shape: Positive = Field(description="Shape: below 1 has a heavier tail than an exponential.")

    def components(self) -> list[lifetime.Component]:
        """Return the one part."""
        return lifetime.weibull(self.scale_ns / NS_PER_S, self.shape)


class Hyperexponential(_Family):
    """Exponentials, each met by its weight."""

    family: Literal["hyperexponential"] = Field(description="Exponentials, each met by its weight.")
    weight: tuple[Positive, ...] = Field(description="Weights of the parts; need not add up to 1.")
    mean_ns: tuple[DurationNs, ...] = Field(description="Mean of each part.")

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        if not self.weight:
            raise ValueError("weight is empty; give a component at least")
        if len(self.weight) != len(self.mean_ns):
            raise ValueError("weight and mean_ns differ in length; give one of each for every component")
        return self

    def components(self) -> list[lifetime.Component]:
        """Return the parts of the mixture."""
        return lifetime.hyperexponential(self.weight, [m / NS_PER_S for m in self.mean_ns])


class PiecewiseLogLinear(_Family):
    """A CDF linear in log time between published points."""

    family: Literal["piecewise_log_linear"] = Field(description="A CDF linear in log time between published points.")
    knot_ns: tuple[DurationNs, ...] = Field(description="Times of the points, ascending.")
    cdf: tuple[Share, ...] = Field(description="Share of lives that end by each, from 0 to 1.")

    @model_validator(mode="after")
    def _is_cdf(self) -> Self:
        if len(self.knot_ns) < 2:
            raise ValueError("knot_ns holds no two times; a CDF has a first and a last")
        if len(self.knot_ns) != len(self.cdf):
            raise ValueError("knot_ns and cdf differ in length; give one share for every time")
        if self.knot_ns[0] == 0 or any(a >= b for a, b in zip(self.knot_ns, self.knot_ns[1:], strict=False)):
            raise ValueError("knot_ns does not ascend from above 0")
        if self.cdf[0] != 0 or self.cdf[-1] != 1 or any(a > b for a, b in zip(self.cdf, self.cdf[1:], strict=False)):
            raise ValueError("cdf does not rise from 0 to 1")
        return self

    def components(self) -> list[lifetime.Component]:
        """Return the one part."""
        return lifetime.piecewise_log_linear([k / NS_PER_S for k in self.knot_ns], self.cdf)


class Constant(_Family):
    """The same lifetime for all."""

    family: Literal["constant"] = Field(description="The same lifetime for all.")
    value_ns: DurationNs = Field(gt=0, description="The lifetime.")

    def components(self) -> list[lifetime.Component]:
        """Return the one part."""
        return lifetime.constant(self.value_ns / NS_PER_S)


class Empirical(_Family):
    """A CDF read from a CSV file with columns ``lifetime_s`` and ``cdf``."""

    family: Literal["empirical"] = Field(description="A CDF from a CSV file.")
    path: InputPath = Field(
        description="A CSV file with columns lifetime_s and cdf; relative to the file that names it."
    )

    def components(self) -> list[lifetime.Component]:
        """Read the file, and return the one part."""
        # Arrow takes a tenth of a second to load, which those without such a file do not wait for.
        from gmemgpu.vmtable.cdf_file import read_cdf

        return lifetime.piecewise_log_linear(*read_cdf(self.path))


Family: TypeAlias = Annotated[
    LognormalMixture | Lognormal | Weibull | Hyperexponential | PiecewiseLogLinear | Constant | Empirical,
    Field(discriminator="family"),
]
