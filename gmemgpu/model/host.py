"""The host: memory, nodes, cores, and which cores' RMPOPT tables cover which region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gmemgpu.errors import Problem
from gmemgpu.units import INT64_MAX, PAGE_BYTES, PAGES_PER_REGION, REGION_BYTES, TIB

__all__ = ["Host", "Window", "host_problems"]

Window = Literal["global", "node"]


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
    problems = []

    def say(key: str, message: str) -> None:
        problems.append(Problem(f"{where}.{key}", message))

    for key in ("memory_bytes", "nodes", "cores", "threads_per_core"):
        value = getattr(host, key)
        if value < 1:
            say(key, f"{value} is not positive")
    if host.window not in get_args(Window):
        say("window", f'"{host.window}" is unknown; write "global" or "node"')
    if host.window_bytes < 0 or host.window_bytes % REGION_BYTES:
        say("window_bytes", f"{host.window_bytes} is not a whole number of 1 GiB regions; 2 TiB is {2 * TIB}")
    if problems:
        return problems
    if host.memory_bytes > INT64_MAX // PAGES_PER_REGION:
        say("memory_bytes", f"{host.memory_bytes} is more than a physical address can name")
    if host.memory_bytes % PAGE_BYTES:
        say("memory_bytes", f"{host.memory_bytes} is not a multiple of 4096")
    if host.memory_bytes % host.nodes:
        say("memory_bytes", f"{host.memory_bytes} does not divide evenly into {host.nodes} nodes")
    if host.cores % host.nodes:
        say("cores", f"{host.cores} cores do not divide evenly into {host.nodes} nodes")
    return problems
