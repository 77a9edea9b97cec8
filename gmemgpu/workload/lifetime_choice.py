"""How long a workload's VMs live, and how much those of a batch agree."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Self

from pydantic import Field, TypeAdapter, model_validator

from gmemgpu.fields import DurationNs, Section, Share, Sigma
from gmemgpu.toml_file import packaged_toml, unknown_key
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.lifetime import Lifetime
from gmemgpu.workload.lifetime_family import Empirical, Family

__all__ = ["LifetimeChoice", "packaged_lifetimes"]


@cache
def packaged_lifetimes() -> dict[str, Family]:
    """Return the distributions of ``lifetimes.toml``, by name."""
    return TypeAdapter(dict[str, Family]).validate_python(packaged_toml("lifetimes"))


class LifetimeChoice(Section):
    """A named distribution, shifted or capped, and the likeness within a batch."""

    name: str = Field(default="azure2017", description="A distribution of lifetimes.toml or of `define`.")
    offset_ns: DurationNs = Field(default=0, description="Added to every lifetime, such as a keep-alive.")
    cap_ns: DurationNs | None = Field(default=None, gt=0, description="Lives that are longer end then.")
    copy_probability: Share = Field(
        default=0.92,
        description="Chance that a VM lives as long as its batch, else it draws its own life: gives the correlation "
        "of log lives within a batch (0.85) and the share that ends together (0.72) of Azure 2017.",
    )
    copy_sigma: Sigma = Field(
        default=0.10, description="Spread of the lognormal factor on a copied life; fitted with copy_probability."
    )
    define: dict[str, Family] = Field(default={}, description="Distributions of your own, by name.")

    @model_validator(mode="after")
    def _named(self) -> Self:
        known = [*packaged_lifetimes(), *self.define]
        if self.name not in known:
            raise ValueError(f'name "{self.name}": {unknown_key(self.name, known, "distribution")}')
        return self

    @property
    def is_file(self) -> bool:
        """Whether the distribution is in a file, which is read when VMs are drawn."""
        return isinstance(self.define.get(self.name), Empirical)

    @property
    def mean_s(self) -> float:
        """Mean lifetime in seconds; of one that `is_file` see `distribution`."""
        return _mean_s(self.model_dump_json())

    def distribution(self) -> Lifetime:
        """
        Build the distribution.

        Returns
        -------
        Lifetime
            Shifted and capped, ready to be drawn from.

        Raises
        ------
        TraceError
            If it is a file that cannot be read.
        """
        family = self.define.get(self.name) or packaged_lifetimes()[self.name]
        cap_s = None if self.cap_ns is None else self.cap_ns / NS_PER_S
        return Lifetime(tuple(family.components()), cap_s, self.offset_ns / NS_PER_S)


# Thousands of scenarios of a sweep have the same few, and the mean of a capped one takes some milliseconds.
@lru_cache(maxsize=256)
def _mean_s(choice: str) -> float:
    return LifetimeChoice.model_validate_json(choice).distribution().mean_s
