"""The host: memory, nodes, cores, and which cores' RMPOPT tables cover which region."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from gmemgpu.fields import Count, PageExtents, SizeBytes
from gmemgpu.units import PAGE_BYTES, PAGES_PER_REGION, REGION_BYTES, TIB
from gmemgpu.validation import checked_dataclass

__all__ = ["Host", "MAX_MEMORY_BYTES", "MAX_THREADS", "Window"]

Window = Literal["global", "node"]

MAX_MEMORY_BYTES = 1 << 52
"""x86 physical addresses have 52 bits at most."""
MAX_THREADS = 1 << 31
"""An attempt's cost times this still fits 63 bits."""


@checked_dataclass(kw_only=True)
class Host:
    """A SEV-SNP host, as MODEL.md section 2 describes it. Sizes are integer bytes, or text such as "1.5 TiB"."""

    memory_bytes: SizeBytes = Field(
        gt=0,
        le=MAX_MEMORY_BYTES,
        multiple_of=PAGE_BYTES,
        description="Where physical addresses end, holes included; whole 4 KiB pages that divide evenly into nodes.",
    )
    nodes: Count = Field(description="NUMA nodes, of equal size and with equally many cores.")
    cores: Count = Field(description="Cores, not threads: the RMPOPT table is per core.")
    threads_per_core: Count = Field(description="Sibling threads of a core.")
    window_bytes: SizeBytes = Field(
        default=2 * TIB, multiple_of=REGION_BYTES, description="What one core's table covers, in whole 1 GiB regions."
    )
    window: Window = Field(
        default="global",
        description="Where a core's table begins: at region 0 (global), or at the first region of its own node (node).",
    )
    holes: PageExtents = Field(
        default=(),
        description="Physical addresses without memory: a list of [first PFN, number of pages]. No event touches them.",
    )

    # What must fit together is checked at the later field; the earlier one is there only if it is sound by itself.
    @field_validator("nodes")
    @classmethod
    def _divide_memory(cls, nodes: int, info: ValidationInfo) -> int:
        memory_bytes = info.data.get("memory_bytes", 0)
        if memory_bytes % nodes:
            raise ValueError(f"{nodes} nodes do not divide memory_bytes {memory_bytes} evenly")
        return nodes

    @field_validator("cores")
    @classmethod
    def _spread_over_nodes(cls, cores: int, info: ValidationInfo) -> int:
        nodes = info.data.get("nodes", 1)
        if cores % nodes:
            raise ValueError(f"{cores} cores do not divide evenly into {nodes} nodes")
        return cores

    @field_validator("threads_per_core")
    @classmethod
    def _few_enough(cls, threads_per_core: int, info: ValidationInfo) -> int:
        cores = info.data.get("cores", 1)
        if cores * threads_per_core > MAX_THREADS:
            raise ValueError(
                f"{cores} cores of {threads_per_core} threads are more than {MAX_THREADS} threads; lower either"
            )
        return threads_per_core

    @field_validator("holes")
    @classmethod
    def _inside(cls, holes: PageExtents, info: ValidationInfo) -> PageExtents:
        pages = info.data.get("memory_bytes", MAX_MEMORY_BYTES) // PAGE_BYTES
        for pfn, npages in holes:
            if pfn + npages > pages:
                raise ValueError(
                    f"[{pfn}, {npages}] ends past page {pages}; memory_bytes is where physical addresses end, holes "
                    "included"
                )
        return holes

    @property
    def pages(self) -> int:
        """Number of 4 KiB page frames, holes included."""
        return self.memory_bytes // PAGE_BYTES

    @property
    def present_pages(self) -> int:
        """Number of 4 KiB pages that there is memory for."""
        return self.pages - sum(end - pfn for pfn, end in self.hole_spans())

    @property
    def n_regions(self) -> int:
        """Number of 1 GiB regions, those in holes included; the last may be partial."""
        return -(-self.pages // PAGES_PER_REGION)

    def hole_spans(self) -> list[tuple[int, int]]:
        """
        Merge the holes where they overlap or touch.

        Returns
        -------
        list of (int, int)
            First PFN of each and the one after its last, ascending; there is memory between any two.
        """
        spans: list[tuple[int, int]] = []
        for pfn, npages in sorted(self.holes):
            end = pfn + npages
            if spans and pfn <= spans[-1][1]:
                pfn, before = spans.pop()
                end = max(end, before)
            spans.append((pfn, end))
        return spans

    def hole_regions(self) -> list[int]:
        """
        List the regions that lie wholly inside holes: nobody's, they count in no metric.

        Returns
        -------
        list of int
            Ascending. A partial last region is among them if none of its pages has memory.
        """
        regions: list[int] = []
        for pfn, end in self.hole_spans():
            last = self.n_regions if end == self.pages else end // PAGES_PER_REGION
            regions.extend(range(-(-pfn // PAGES_PER_REGION), last))
        return regions

    def covering_cores(self) -> list[int]:
        """
        Count, for every region, the cores whose window covers it.

        Returns
        -------
        list of int, n_regions long
            ``C_r`` of MODEL.md section 2; 0 where no pass can ever set the bit, as in a hole.
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
        for region in self.hole_regions():
            counts[region] = 0
        return counts
