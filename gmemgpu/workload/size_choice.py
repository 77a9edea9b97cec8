"""How large a workload's VMs are."""

from __future__ import annotations

from functools import cache
from typing import Self

from pydantic import Field, TypeAdapter, model_validator

from gmemgpu.fields import NonNegative, Positive, Section, Share, SizeBytes
from gmemgpu.toml_file import packaged_toml, unknown_key
from gmemgpu.units import BLOCK_BYTES
from gmemgpu.vmtable.size import SizeMix

__all__ = ["Size", "Mix", "SizeChoice", "packaged_mixes"]

_LARGEST_BYTES = 1 << 50
"""More than any host has, and the pages of a million such VMs still fit 63 bits."""


class Size(Section):
    """One size of VM."""

    vcpus: int = Field(ge=1, le=4096, description="Virtual CPUs.")
    memory_bytes: SizeBytes = Field(gt=0, description="Memory of such a VM.")
    weight: NonNegative = Field(default=1.0, description="Share among arrivals; need not add up to 1.")


class Mix(Section):
    """Sizes and their shares."""

    source: str = Field(default="", description="Where the figures come from; no effect.")
    size: tuple[Size, ...] = Field(description="The sizes, each with its share.")

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if not any(size.weight for size in self.size):
            raise ValueError("size holds none with a weight above 0; one must be possible")
        return self

    def scaled(self, factor: float) -> SizeMix:
        """
        Build the mix with all memory multiplied.

        Parameters
        ----------
        factor : float
            The results are rounded to whole blocks of 2 MiB, and are one at least; with factor 1 they stay as they are.

        Returns
        -------
        SizeMix
            Ready to be drawn from.
        """
        memory = [size.memory_bytes for size in self.size]
        if factor != 1:
            memory = [max(1, round(m * factor / BLOCK_BYTES)) * BLOCK_BYTES for m in memory]
        return SizeMix([size.vcpus for size in self.size], memory, [size.weight for size in self.size])


@cache
def packaged_mixes() -> dict[str, Mix]:
    """Return the mixes of ``sizes.toml``, by name."""
    return TypeAdapter(dict[str, Mix]).validate_python(packaged_toml("sizes"))


class SizeChoice(Section):
    """Named mixes for ordinary and for confidential guests."""

    plain: str = Field(default="azure2017", description="Mix of ordinary guests: one of sizes.toml or of `define`.")
    snp: str = Field(default="snp_catalogue", description="Mix of confidential guests.")
    scale: Positive = Field(default=1.0, description="Factor on the memory of all sizes.")
    copy_probability: Share = Field(
        default=0.945,
        description="Chance that a VM has its batch's size, else it draws its own: then 80 % of batches have one "
        "size, as Azure 2017 had.",
    )
    define: dict[str, Mix] = Field(default={}, description="Mixes of your own, by name.")

    @property
    def known(self) -> list[str]:
        """Names of all mixes."""
        return [*packaged_mixes(), *self.define]

    @model_validator(mode="after")
    def _named(self) -> Self:
        known = self.known
        largest = max(size.memory_bytes for mix in {**packaged_mixes(), **self.define}.values() for size in mix.size)
        if largest * self.scale > _LARGEST_BYTES:
            raise ValueError(f"scale {self.scale} makes sizes of more than 1 PiB; shrink it")
        wrong = [
            f'{key} "{name}": {unknown_key(name, known, "mix")}'
            for key, name in (("plain", self.plain), ("snp", self.snp))
            if name not in known
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def mix(self, name: str) -> SizeMix:
        """
        Build a named mix, scaled.

        Parameters
        ----------
        name : str
            One of `known`.

        Returns
        -------
        SizeMix
            Ready to be drawn from.
        """
        return (self.define.get(name) or packaged_mixes()[name]).scaled(self.scale)
