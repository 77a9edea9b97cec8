"""Which host a workload runs on: a named one, with any of its properties changed."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, Self

from pydantic import Field, TypeAdapter, field_validator, model_validator

from gmemgpu.fields import PageExtents, Section, SizeBytes
from gmemgpu.model.host import Host
from gmemgpu.toml_file import packaged_toml, unknown_key
from gmemgpu.units import GIB

__all__ = ["HostChoice"]


class HostChoice(Section):
    """A host of ``hosts.toml`` and what differs from it."""

    name: str = Field(default="cloud", description="A host of hosts.toml: lab, pod, tera, cloud or big.")
    memory_bytes: SizeBytes | None = Field(default=None, description="RAM, whole GiB; that of the named host.")
    nodes: int | None = Field(default=None, ge=1, description="NUMA nodes.")
    cores: int | None = Field(default=None, ge=1, description="Cores, not threads.")
    threads_per_core: int | None = Field(default=None, ge=1, description="Sibling threads of a core.")
    window_bytes: SizeBytes | None = Field(default=None, description="What one core's RMPOPT table covers; 2 TiB.")
    window: Literal["global", "node"] | None = Field(default=None, description="Where a table begins; global.")
    holes: PageExtents | None = Field(
        default=None,
        description="Addresses without memory: a list of [first PFN, pages], above the first GiB.",
    )

    @cached_property
    def host(self) -> Host:
        """Host that results."""
        named = {key: value for key, value in packaged_toml("hosts")[self.name].items() if key != "source"}
        changes = self.model_dump(exclude={"name"}, exclude_none=True)
        return TypeAdapter(Host).validate_python({**named, **changes})

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        hosts = packaged_toml("hosts")
        if name not in hosts:
            raise ValueError(f'"{name}": {unknown_key(name, list(hosts), "host")}')
        return name

    @model_validator(mode="after")
    def _possible(self) -> Self:
        # What `Host` finds wrong is listed with the problems of the workload.
        if self.host.memory_bytes % GIB:
            raise ValueError(f"memory_bytes {self.host.memory_bytes} is not a whole number of GiB")
        return self
