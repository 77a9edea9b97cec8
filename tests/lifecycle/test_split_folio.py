"""1 GiB folios of a guest_memfd on HugeTLB: whole until a part is converted, in pages from then on, merged at last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gmemgpu.lifecycle.life_cycle import trace_from_vms
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import COLUMNS, Trace
from gmemgpu.trace.check import trace_problems
from gmemgpu.units import GIB, NS_PER_S, PAGES_PER_REGION
from gmemgpu.vmtable.assemble import vm_table
from gmemgpu.workload.guest_memory import GuestMemory

S, MS = NS_PER_S, 1_000_000
PLAIN: dict[str, Any] = {
    "placement": "pool_1g",
    "folio": "1G",
    "snp_pool": 1,
    "vmsa": "packed",
    "convert_sigma": 0,
    "convert_4k_ns": 1000,
    "convert_1g_ns": 10,
    "merge_ns": "5 ms",
    "rcu_sigma": 0,
    "launch_base_ns": 0,
    "launch_per_gib_ns": 0,
    "shared_min_bytes": 0,
    "shared_max_bytes": 0,
    "conversion_min_pages": 512,
    "conversions_per_s": 0.1,
}
FOLIOS = [PAGES_PER_REGION * region for region in (1, 2, 3)]


def trace_of(departures: list[int], *, arrivals: Any = 0, seed: int = 4, **memory: Any) -> Trace:
    # Regions 1 to 4 are the pool; 0 is the host's, 5 is for kernel pages, the RMP at its top.
    n = len(departures)
    vms = vm_table(
        arrival_ns=arrivals, departure_ns=departures, memory_bytes=3 * GIB, vcpus=1, snp=True, batch=np.arange(n)
    ) if n > 1 else vm_table(
        arrival_ns=[0], departure_ns=departures, memory_bytes=3 * GIB, vcpus=1, snp=True, batch=[0]
    )  # fmt: skip
    host = Host(memory_bytes=5 * GIB + GIB, nodes=1, cores=8, threads_per_core=2)
    made = trace_from_vms(vms, host, GuestMemory(**{**PLAIN, **memory}), horizon_ns=200 * S, warmup_ns=0, seed=seed)
    assert trace_problems(made.trace) == []
    return made.trace


def rows(trace: Trace, *kinds: str) -> list[tuple[Any, ...]]:
    columns = [getattr(trace, name).tolist() for name in COLUMNS]
    events = [(t, Kind(kind).text, *rest) for t, kind, *rest in zip(*columns, strict=True)]
    return [(t, kind, pfn, n, folio) for t, kind, pfn, n, _, inode, folio in events if inode >= 0 and kind in kinds]


def test_one_split_folio_and_two_whole_ones() -> None:
    trace = trace_of([10 * S])
    (converted,) = {pfn // PAGES_PER_REGION * PAGES_PER_REGION for _, _, pfn, _, _ in rows(trace, "share")}
    assert [row[2:] for row in rows(trace, "assign") if row[0] == 0] == [
        (pfn, PAGES_PER_REGION, 262_144) for pfn in FOLIOS
    ]
    t_ns = 10 * S
    expected = []
    for pfn in FOLIOS:
        split = pfn == converted
        folio = 1 if split else PAGES_PER_REGION
        begin_ns, t_ns = t_ns, t_ns + PAGES_PER_REGION * (1000 if split else 10)
        expected += [(begin_ns, "invalidate", pfn, PAGES_PER_REGION, folio)]
        expected += [(t_ns, kind, pfn, PAGES_PER_REGION, folio) for kind in ("release", "freed")]
        if split:
            merged = (t_ns + 5 * MS, "freed", pfn, PAGES_PER_REGION, PAGES_PER_REGION)
    assert sorted(rows(trace, "invalidate", "release", "freed")) == sorted([*expected, merged])
    assert int(trace.t_ns[trace.kind == Kind.EVICT_END][0]) == t_ns


def test_without_conversions_nothing_is_split() -> None:
    trace = trace_of([10 * S], conversions_per_s=0)
    assert [row[2:] for row in rows(trace, "freed")] == [(pfn, PAGES_PER_REGION, 262_144) for pfn in FOLIOS]


def test_a_merge_that_takes_no_time_comes_right_after_the_last_page() -> None:
    trace = trace_of([10 * S], merge_ns=0, conversions_per_s=5, granule_pages=65_536)
    of_one = [row for row in rows(trace, "freed") if row[2] // PAGES_PER_REGION == 1]
    # Every folio is split now: four granules of pages, and the whole folio at the instant of the last.
    assert [(n, folio) for *_, n, folio in of_one] == [(65_536, 1)] * 4 + [(PAGES_PER_REGION, PAGES_PER_REGION)]
    assert of_one[-1][0] == of_one[-2][0]
    assert len(rows(trace, "freed")) == 15


def test_a_region_returns_to_the_pool_when_its_folio_is_merged() -> None:
    # The second guest comes when all conversions are done and no merge is.
    done = 10 * S + 3 * PAGES_PER_REGION * 1000
    for late_ns, admitted in ((6 * S, True), (4 * S, False)):
        trace = trace_of([10 * S, 100 * S], arrivals=[0, done + late_ns], merge_ns="5 s", conversions_per_s=5)
        assert (1 in trace.vm.tolist()) is admitted


def test_a_folio_of_which_a_page_leaked_is_never_merged() -> None:
    trace = trace_of([10 * S], conversions_per_s=5, leak_per_page=1e-5)
    leaked = {
        int(pfn) // PAGES_PER_REGION
        for pfn in trace.pfn[(trace.kind == Kind.ASSIGN) & (trace.t_ns > 10 * S) & (trace.inode < 0)]
    }
    merged = {pfn // PAGES_PER_REGION for _, _, pfn, _, folio in rows(trace, "freed") if folio > 1}
    assert leaked
    assert merged == {1, 2, 3} - leaked


def test_a_pin_of_one_page_delays_the_merge_of_its_folio() -> None:
    trace = trace_of([10 * S], conversions_per_s=5, pinned_share=1e-5, pin_median_ns="40 s", pin_sigma=0)
    late = {pfn // PAGES_PER_REGION for t, _, pfn, n, _ in rows(trace, "freed") if t == 50 * S and n < 100}
    assert late
    for t, _, pfn, _, folio in rows(trace, "freed"):
        if folio > 1:
            assert (t == 50 * S + 5 * MS) is (pfn // PAGES_PER_REGION in late)


@pytest.mark.parametrize("gmems", [2, 3])
def test_folios_of_several_inodes(gmems: int) -> None:
    host = Host(memory_bytes=8 * GIB, nodes=1, cores=8, threads_per_core=2)
    vms = vm_table(arrival_ns=[0], departure_ns=10 * S, memory_bytes=6 * GIB, vcpus=1, snp=True, batch=0, gmems=gmems)
    made = trace_from_vms(
        vms, host, GuestMemory(**{**PLAIN, "conversions_per_s": 0.3}), horizon_ns=200 * S, warmup_ns=0, seed=5
    )
    split = {pfn // PAGES_PER_REGION for _, _, pfn, _, _ in rows(made.trace, "share")}
    assert 0 < len(split) < 6
    found = rows(made.trace, "freed")
    assert {pfn // PAGES_PER_REGION for _, _, pfn, _, folio in found if folio == 1} == split
    # One for each folio, whole or whole again; a split one 5 ms after its last page.
    assert sorted(pfn // PAGES_PER_REGION for _, _, pfn, _, folio in found if folio > 1) == [1, 2, 3, 4, 5, 6]
    for t, _, pfn, _, folio in found:
        if folio == 1:
            assert (t + 5 * MS, "freed", pfn, PAGES_PER_REGION, PAGES_PER_REGION) in found
