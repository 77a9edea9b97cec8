"""Which host a workload runs on: a named one, with any of its properties changed."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from gmemgpu.fields import Section, SizeBytes
from gmemgpu.model.host import Host, host_problems
from gmemgpu.toml_file import packaged_toml, unknown_key
from gmemgpu.units import GIB, parse_bytes

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

    @cached_property
    def host(self) -> Host:
        """Host that results."""
        named = packaged_toml("hosts")[self.name]
        fields = {
            "memory_bytes": parse_bytes(named["memory"]),
            "nodes": named["nodes"],
            "cores": named["cores"],
            "threads_per_core": named["threads_per_core"],
        }
        if "window" in named:
            fields["window"] = named["window"]
        if "window_bytes" in named:
            fields["window_bytes"] = parse_bytes(named["window_bytes"])
        return Host(**{**fields, **self.model_dump(exclude={"name"}, exclude_none=True)})

    @model_validator(mode="after")
    def _possible(self) -> Self:
        hosts = packaged_toml("hosts")
        if self.name not in hosts:
            raise ValueError(f'name "{self.name}": {unknown_key(self.name, list(hosts), "host")}')
        problems = [f"{problem.where}: {problem.message}" for problem in host_problems(self.host, "")]
        if self.host.memory_bytes % GIB:
            problems.append(f"memory_bytes: {self.host.memory_bytes} is not a whole number of GiB")
        if problems:
            raise ValueError("; ".join(problem.lstrip(".") for problem in problems))
        return self
