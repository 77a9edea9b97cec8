"""What a pass costs, in integer nanoseconds (MODEL.md section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from gmemgpu.fields import Integer
from gmemgpu.validation import checked_dataclass

__all__ = ["Costs", "MAX_COST_NS"]

MAX_COST_NS = 10**9
"""No single cost may exceed 1 s: nothing that RMPOPT does is near that, and sums of it stay countable."""


def _without_source(value: object) -> object:
    # A costs file may say where a figure comes from: base = {ns = 30, source = "measured here"}.
    if not isinstance(value, Mapping):
        return value
    if "ns" not in value or value.keys() - {"ns", "source"}:
        raise ValueError(f"{dict(value)} cannot be used: a table of a cost has ns, in integer ns, and source")
    return value["ns"]


CostNs: TypeAlias = Annotated[Integer, BeforeValidator(_without_source), Field(ge=0, le=MAX_COST_NS)]


@checked_dataclass(kw_only=True)
class Costs:
    """
    Cost table in integer ns, each default with its source.

    Only whole-pass times were ever published (LKML, v2 thread of "Add RMPOPT support", March 2026); the single costs
    are fitted to them and are estimates, not measurements. tests/test_calibration.py checks the fit.
    """

    base: CostNs = Field(
        default=30,
        description="Leader: entering RMPOPT. Estimate: the shortest single RMPOPT reported, 60 cycles at about "
        "2.0 GHz (serial run, 4 Mar 2026).",
    )
    block: CostNs = Field(
        default=60,
        description="Leader: each 2 MiB block looked at. Estimate: 512 blocks in about 30 µs, the middle of the "
        "uncached single-CPU scans of 17 to 42 µs (4 Mar 2026).",
    )
    cached: CostNs = Field(
        default=2_800,
        description="Leader: finding the bit set. Estimate: mean serial RMPOPT of 5,658 cycles at about 2.0 GHz on a "
        "mostly optimized host (4 Mar 2026).",
    )
    round_clean: CostNs = Field(
        default=121_000,
        description="The round of followers after the leader, region clean. Fit: 2048 clean regions in 311.1 ms, "
        "leader first, less the leader's scan (16 Mar 2026).",
    )
    round_cached: CostNs = Field(
        default=172_000,
        description="The round of followers, bit set. Fit: 1848 optimized, 100 freed, 100 busy regions in 317.0 and "
        "369.7 ms (11 Mar 2026).",
    )
    round_fail: CostNs = Field(
        default=46_000,
        description="The round of followers, region busy. Fit: 2048 regions with their first page assigned in 95.3 ms "
        "(16 Mar 2026).",
    )
    busy_clean: CostNs = Field(
        default=4_000,
        description="What one core or thread spends on its RMPOPT, region clean. Assumption: between a serial RMPOPT "
        "(2.6 µs) and one among many in parallel (57 µs); never published.",
    )
    busy_cached: CostNs = Field(
        default=4_000, description="What one core or thread spends, bit set. Assumption, as busy_clean."
    )
    busy_fail: CostNs = Field(
        default=1_500,
        description="What one core or thread spends, region busy. Assumption: interrupt entry and exit, no scan.",
    )
    cores_clean: CostNs = Field(
        default=190_000,
        description="A region visited on every core at once (v1), clean. Fit: between leader-and-followers and "
        "all-threads whole passes; v1 itself was never measured.",
    )
    cores_cached: CostNs = Field(
        default=180_000, description="A region visited on every core at once, bit set. Fit, as cores_clean."
    )
    cores_fail: CostNs = Field(
        default=50_000, description="A region visited on every core at once, busy. Fit, as cores_clean."
    )
    threads_clean: CostNs = Field(
        default=230_000,
        description="A region visited on every thread at once (v2), clean. Fit: 2 TiB with two 100 GB guests, one "
        "ending, in 391.6 and 457.9 ms on all threads (11 Mar 2026).",
    )
    threads_cached: CostNs = Field(
        default=215_000,
        description="A region visited on every thread at once, bit set. Fit: as threads_clean; 1038 regions after a "
        "guest's exit in about 185 ms (4 Mar 2026).",
    )
    threads_fail: CostNs = Field(
        default=60_000, description="A region visited on every thread at once, busy. Fit, as threads_clean."
    )
    call: CostNs = Field(
        default=27_000,
        description="One synchronous call to another core (serial). Fit: 1038 regions on 1024 CPUs one after another "
        "in 31.9 s, some 30 µs a call of which RMPOPT about 9 % (4 Mar 2026).",
    )
