"""The memory side of a workload: placement, backing, launch, conversions, teardown cost and faults."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gmemgpu.fields import DurationNs, NonNegative, Positive, Section, Share, Sigma, SizeBytes
from gmemgpu.units import GIB, NS_PER_S, PAGE_BYTES, PAGES_PER_REGION

__all__ = ["GuestMemory", "Reserved", "FOLIO_PAGES_BY_NAME"]

FOLIO_PAGES_BY_NAME = {"4K": 1, "2M": 512, "1G": 262_144}
"""Backing to pages of a folio."""

_MIB = 1 << 20


class Reserved(Section):
    """An extent of the host that no guest gets: a hole, or memory of firmware."""

    start_bytes: SizeBytes = Field(description="Physical address of the first byte.")
    size_bytes: SizeBytes = Field(description="Length; pages that it touches are reserved whole.")
    assigned: bool = Field(
        default=False,
        description="Whether its pages are assigned in the RMP for ever, as firmware's are; HV-fixed pages are not.",
    )


class GuestMemory(Section):
    """
    How guests take, convert and give back memory; every field names what its default rests on.

    "Assumed" marks values that nothing published supports. Durations and sizes are text with a unit or integers.
    """

    placement: Literal["lifo", "first_fit", "scatter", "pool_1g"] = Field(
        default="lifo",
        description="lifo: most recently freed first, as hot reuse in the buddy allocator; first_fit: a fresh boot; "
        "scatter: random blocks, an aged host; pool_1g: whole regions of a share kept for SNP guests. Assumed.",
    )
    displaced: Share = Field(
        default=0.0,
        description="Of a guest's 2 MiB blocks the share, drawn block by block, that lies at random as with scatter, "
        "whatever the placement: 0, no fragmentation above 2 MiB; 1, hardly a region without a guest. Linux is in "
        "between (DIMES'24, doi 10.1145/3698783.3699378); sweep it. Not with pool_1g.",
    )
    snp_pool: Share = Field(
        default=0.5, description="pool_1g: share of each node's whole free regions kept for SNP guests. Assumed."
    )
    reserved: tuple[Reserved, ...] = Field(
        default=(), description="Holes and firmware ranges beyond region 0 and the RMP; none by default."
    )
    rmp_segment_bytes: SizeBytes = Field(
        default=64 * GIB,
        gt=0,
        multiple_of=PAGE_BYTES,
        description="Memory covered by one RMP segment (RMP_CFG 0x2401), whose table lies at its top (assumed).",
    )
    firmware_pages: int = Field(
        default=8, ge=0, le=65_536, description="Pages of the host in firmware state for ever, in region 0. Assumed."
    )
    context_pages: int = Field(
        default=1,
        ge=0,
        le=512,
        description="Firmware pages of each SNP guest, until its VM is destroyed: the guest context page.",
    )
    vmsa: Literal["scatter", "packed"] = Field(
        default="scatter",
        description="Where VMSA (one page a vCPU: snp_safe_alloc_page) and context pages go: each in a random free "
        "block, or together in common blocks. The share of either on real hosts is not known.",
    )

    folio: Literal["4K", "2M", "1G"] = Field(
        default="4K",
        description="Backing of guests whose VM table names none; guest_memfd is order 0 today. 1G needs pool_1g.",
    )
    folio_2m_success: Share = Field(
        default=0.9,
        description="Chance of a 2 MiB folio where asked for, else 4 KiB ones: 0.9 on a fresh host, 0.6 on an aged one "
        "(assumed; 23 % of a large fleet's hosts cannot form a free 2 MiB block at all: Contiguitas, ISCA'23). A "
        "guest's 4 KiB folios come last, as when the large chunks run out.",
    )

    shared_fraction: Share = Field(default=0.06, description="Shared part of an SNP guest: Linux swiotlb, 6 %.")
    shared_min_bytes: SizeBytes = Field(default=64 * _MIB, description="Its least size: Linux swiotlb, 64 MiB.")
    shared_max_bytes: SizeBytes = Field(default=GIB, description="Its greatest size: Linux swiotlb, 1 GiB.")

    touched: Literal["eager", "lazy"] = Field(
        default="eager",
        description="eager: all private memory is assigned during launch; lazy: a random share of it, ramping up. "
        "Half of all VMs never touch 50 % of their memory (Pond, ASPLOS'23).",
    )
    touched_alpha: Positive = Field(default=1.2, description="lazy: Beta(alpha, beta) of the touched share. Assumed.")
    touched_beta: Positive = Field(default=1.2, description="lazy: see touched_alpha; 1.2, 1.2 has median 0.5.")
    ramp_boot_base_bytes: SizeBytes = Field(
        default=4 * GIB, description="lazy: memory touched while booting, constant part. Assumed."
    )
    ramp_boot_fraction: Share = Field(
        default=0.075, description="lazy: memory touched while booting, share of the guest's memory. Assumed."
    )
    ramp_boot_ns: DurationNs = Field(default=10 * NS_PER_S, description="lazy: how long booting takes. Assumed.")
    ramp_constant_ns: DurationNs = Field(
        default=1800 * NS_PER_S, description="lazy: time constant of the exponential approach after that. Assumed."
    )
    ramp_unit_bytes: SizeBytes = Field(
        default=4 * _MIB,
        gt=0,
        multiple_of=PAGE_BYTES,
        description="lazy: guests accept memory in units of 4 MiB (Linux). Larger units make smaller traces.",
    )
    launch_base_ns: DurationNs = Field(
        default=10 * NS_PER_S,
        description="eager: launch time of an SNP guest, over which its memory is assigned, constant part: 8 to 10 s "
        "seen for small guests (TUM CVM_eval).",
    )
    launch_per_gib_ns: DurationNs = Field(
        default=NS_PER_S // 10,
        le=3600 * NS_PER_S,
        description="eager: launch time per GiB: 1 s per 10 GiB. Assumed; 6 to 35 s in all.",
    )

    conversions_per_s: NonNegative = Field(
        default=0.01,
        le=10_000,
        description="Run-time conversions of a running SNP guest, Poisson; 100 is stress. Assumed.",
    )
    conversion_min_pages: Literal[1, 2, 4, 8, 16, 32, 64, 128, 256, 512] = Field(
        default=1, description="Smallest converted extent; sizes are powers of two, all equally likely. Assumed."
    )
    conversion_max_pages: Literal[1, 2, 4, 8, 16, 32, 64, 128, 256, 512] = Field(
        default=512, description="Largest converted extent: 2 MiB. Assumed."
    )
    conversion_hold_ns: DurationNs = Field(
        default=60 * NS_PER_S,
        description="Mean time, exponential, until a converted extent is private again; the guest's next conversion "
        "ends it in any case. Assumed.",
    )

    granule_pages: int = Field(
        default=PAGES_PER_REGION,
        ge=1,
        le=1 << 40,
        description="Most pages of one assign, invalidate or release event; a folio is never cut, so that 1 gives each "
        "folio events of its own, as the kernel calls .free_folio. In 4 KiB folios that is a million events a GiB.",
    )
    convert_4k_ns: DurationNs = Field(
        default=1526,
        description="Conversion of a 4 KiB page at teardown, 4 KiB folios: 0.4 s/GiB. Assumed, between a cache flush "
        "alone (0.085 s/GiB, measured) and TDX teardown (1.17 to 1.33 s/GiB, linux-kernel).",
    )
    convert_2m_ns: DurationNs = Field(
        default=153, description="The same in 2 MiB folios: 0.04 s/GiB (assumed; flush alone 0.028 s/GiB)."
    )
    convert_1g_ns: DurationNs = Field(default=153, description="The same in 1 GiB folios: as 2 MiB ones. Assumed.")
    merge_ns: DurationNs = Field(
        default=1_000_000,
        description="1 GiB folios of which a part was converted at run time are split, and torn down in 4 KiB pages; "
        "so long after the last one is freed they are merged and given back whole. Assumed.",
    )
    convert_sigma: Sigma = Field(
        default=0.5, description="Spread of a guest's conversion speed: lognormal factor of median 1. Assumed."
    )
    rcu_median_ns: DurationNs = Field(
        default=12_000_000,
        description="RCU grace period, lognormal: median (assumed; 5.7 ms measured on 2 CPUs at HZ 250).",
    )
    rcu_sigma: Sigma = Field(default=0.6, description="Its spread (p90 8.0, p99 16 ms measured there).")
    rcu_min_ns: DurationNs = Field(default=4_000_000, description="Its least length: one jiffy at HZ 250.")

    leak_per_page: Share = Field(
        default=0.0,
        description="Chance that a private page cannot be converted at teardown and stays assigned for ever "
        "(snp_leaked_pages_list); 1e-7 makes a fault scenario. Assumed.",
    )
    pinned_share: Share = Field(
        default=0.0, description="Share of private folios that a DMA pin holds past eviction; 1e-6 to 1e-3. Assumed."
    )
    shared_pinned_share: Share = Field(
        default=0.0,
        description="Share of the shared part's pages that a DMA pin holds past the guest's end: they stay in use, and "
        "away from the allocator, until it is dropped. The hypervisor owns them, so they block no region. Assumed.",
    )
    pin_median_ns: DurationNs = Field(
        default=NS_PER_S, description="How long such a pin lasts from the inode's eviction on, lognormal. Assumed."
    )
    pin_sigma: Sigma = Field(default=1.0, description="Its spread. Assumed.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.displaced and self.placement == "pool_1g":
            raise ValueError(
                f'displaced {self.displaced} breaks up the regions of placement "pool_1g"; use "lifo" or "first_fit"'
            )
        if self.folio == "1G" and self.placement != "pool_1g":
            raise ValueError(f'folio "1G" cannot be had from placement "{self.placement}"; use placement "pool_1g"')
        if self.shared_min_bytes > self.shared_max_bytes:
            raise ValueError(
                f"shared_min_bytes {self.shared_min_bytes} is above shared_max_bytes {self.shared_max_bytes}; swap them"
            )
        if self.conversion_min_pages > self.conversion_max_pages:
            raise ValueError(
                f"conversion_min_pages {self.conversion_min_pages} is above conversion_max_pages "
                f"{self.conversion_max_pages}; swap them"
            )
        return self
