"""The host: memory, nodes, cores, and which cores' RMPOPT tables cover which region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from gmemgpu.errors import Problem
from gmemgpu.units import PAGE_BYTES, PAGES_PER_REGION, REGION_BYTES, TIB

__all__ = ["Host", "MAX_MEMORY_BYTES", "MAX_THREADS", "Window", "host_problems", "host_value_problems"]

Window = Literal["global", "node"]

MAX_MEMORY_BYTES = 1 << 52
"""x86 physical addresses have 52 bits at most."""
MAX_THREADS = 1 << 31
"""An attempt's cost times this still fits 63 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """
    A SEV-SNP host, as MODEL.md section 2 describes it.

    Parameters
    ----------
    memory_bytes : int
        RAM, physically contiguous from address 0; a multiple of 4096 that divides evenly into nodes.
    nodes : int
        NUMA nodes, of equal size and with equally many cores.
    cores : int
        Cores, not threads: the RMPOPT table is per core.
    threads_per_core : int
        Sibling threads of a core.
    window_bytes : int, default 2 TiB
        What one core's table covers, in whole regions.
    window : {"global", "node"}
        Where a core's table begins: at region 0, or at the first region of the core's own node.
    """

    memory_bytes: int
    nodes: int
    cores: int
    threads_per_core: int
    window_bytes: int = 2 * TIB
    window: Window = "global"

    @property
    def pages(self) -> int:
        """Number of 4 KiB pages."""
        return self.memory_bytes // PAGE_BYTES

    @property
    def n_regions(self) -> int:
        """Number of 1 GiB regions; the last may be partial."""
        return -(-self.pages // PAGES_PER_REGION)

    def covering_cores(self) -> list[int]:
        """
        Count, for every region, the cores whose window covers it.

        Returns
        -------
        list of int, n_regions long
            ``C_r`` of MODEL.md section 2; 0 where no pass can ever set the bit.
        """
        window_regions = self.window_bytes // REGION_BYTES
        if self.window == "global":
            bases = [(0, self.cores)]
        else:
            node_bytes = self.memory_bytes // self.nodes
            bases = [(i * node_bytes // REGION_BYTES, self.cores // self.nodes) for i in range(self.nodes)]
        counts = [0] * self.n_regions
        for base, cores in bases:
            for region in range(base, min(base + window_regions, self.n_regions)):
                counts[region] += cores
        return counts


def host_problems(host: Host, where: str = "host") -> list[Problem]:
    """
    List what makes a host impossible.

    Parameters
    ----------
    host : Host
        To be checked.
    where : str
        Prefix of every problem's place.

    Returns
    -------
    list of Problem
        Empty if the host is sound.
    """
    return host_value_problems(asdict(host), where)


def host_value_problems(values: Mapping[str, Any], where: str) -> list[Problem]:
    """
    List what makes some properties of a host impossible, each alone and those that must fit together.

    Parameters
    ----------
    values : mapping of str to int or str
        Fields of `Host`, of the right types; those that could not be read are left out, and nothing is said of them.
    where : str
        Prefix of every problem's place.

    Returns
    -------
    list of Problem
        Empty if no value is wrong.
    """
    problems = []

    def say(key: str, message: str) -> None:
        problems.append(Problem(f"{where}.{key}", message))

    # Counts that others are divided into or multiplied by: a wrong one is named once and then judges no other.
    sound: dict[str, int] = {}
    for key in ("memory_bytes", "nodes", "cores", "threads_per_core"):
        if key not in values:
            continue
        if values[key] < 1:
            say(key, f"{values[key]} is not positive")
        else:
            sound[key] = values[key]
    if "window" in values and values["window"] not in get_args(Window):
        say("window", f'"{values["window"]}" is unknown; write "global" or "node"')
    window_bytes = values.get("window_bytes", 0)
    if window_bytes < 0 or window_bytes % REGION_BYTES:
        say("window_bytes", f"{window_bytes} is not a whole number of 1 GiB regions; 2 TiB is {2 * TIB}")
    memory_bytes, nodes, cores = sound.get("memory_bytes"), sound.get("nodes"), sound.get("cores")
    if memory_bytes is not None:
        if memory_bytes > MAX_MEMORY_BYTES:
            say("memory_bytes", f"{memory_bytes} is more than 4 PiB ({MAX_MEMORY_BYTES}), all that 52 bits can address")
        if memory_bytes % PAGE_BYTES:
            say("memory_bytes", f"{memory_bytes} is not a multiple of 4096")
        if nodes is not None and memory_bytes % nodes:
            say("memory_bytes", f"{memory_bytes} does not divide evenly into {nodes} nodes")
    if cores is not None:
        if nodes is not None and cores % nodes:
            say("cores", f"{cores} cores do not divide evenly into {nodes} nodes")
        threads_per_core = sound.get("threads_per_core", 1)
        if cores * threads_per_core > MAX_THREADS:
            say(
                "cores",
                f"{cores} cores of {threads_per_core} threads are more than {MAX_THREADS} threads; lower either",
            )
    return problems
