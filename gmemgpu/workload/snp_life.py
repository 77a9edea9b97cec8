"""When SNP is shut down and initialized again, and when KVM is unloaded."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from gmemgpu.fields import DurationNs, Section
from gmemgpu.units import NS_PER_S

__all__ = ["SnpLife"]


class SnpLife(Section):
    """
    What the host's administrator does to SNP and KVM, each at most once; SNP is on and KVM loaded from 0.

    Firmware refuses a shutdown while guests run, and KVM cannot be unloaded while VMs do: both wait.
    """

    shutdown_ns: DurationNs | None = Field(
        default=None,
        description="When SNP is to be shut down. It begins 1 ns after the last vm_destroy at the earliest; SNP guests "
        "that arrive from here until the next SNP_INIT are rejected.",
    )
    shutdown_length_ns: DurationNs = Field(
        default=NS_PER_S, description="How long the shutdown takes, until SNP is off. Assumed."
    )
    init_ns: DurationNs | None = Field(
        default=None,
        description="When SNP_INIT follows, which loads KVM too; right after the shutdown or the unload, if those end "
        "later.",
    )
    kvm_unload_ns: DurationNs | None = Field(
        default=None,
        description="When KVM is to be unloaded: 1 ns after the last guest of any kind is gone at the earliest. Nobody "
        "who arrives from here until the next SNP_INIT is admitted.",
    )
    force: bool = Field(
        default=False, description="Wait for no guest: a fault to be shown, which neither firmware nor KVM allows."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        begins = [time for time in (self.shutdown_ns, self.kvm_unload_ns) if time is not None]
        if not begins:
            raise ValueError("says nothing; set shutdown_ns or kvm_unload_ns")
        if self.init_ns is not None and self.init_ns < max(begins):
            raise ValueError(
                f"init_ns {self.init_ns} is before shutdown_ns or kvm_unload_ns, which it is to follow; move it"
            )
        return self
