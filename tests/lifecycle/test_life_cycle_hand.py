"""Small VM tables whose traces can be written down."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from gmemgpu.catalogue import choose_policies, named_policies
from gmemgpu.engine.registry import engine
from gmemgpu.errors import SpecError
from gmemgpu.lifecycle.life_cycle import GeneratedTrace, trace_from_vms
from gmemgpu.model.cost import Costs
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import COLUMNS, Trace
from gmemgpu.trace.check import trace_problems
from gmemgpu.units import GIB, NS_PER_S
from gmemgpu.vmtable.table import VmTable
from gmemgpu.workload.guest_memory import GuestMemory

MIB = 1 << 20
S = NS_PER_S
GIB_PAGES = 262_144
# Nothing is drawn that could change a number.
PLAIN: dict[str, Any] = {
    "placement": "first_fit",
    "vmsa": "packed",
    "conversions_per_s": 0,
    "convert_sigma": 0,
    "convert_4k_ns": 1000,
    "rcu_sigma": 0,
    "launch_base_ns": 0,
    "launch_per_gib_ns": 0,
}


def vm_table(*rows: dict[str, Any]) -> VmTable:
    def column(name: str, default: Any, dtype: Any) -> Any:
        return np.array([row.get(name, default) for row in rows], dtype=dtype)

    return VmTable(
        arrival_ns=column("arrival", 0, np.int64),
        departure_ns=column("departure", 1 << 61, np.int64),
        memory_bytes=column("memory", GIB, np.int64),
        vcpus=column("vcpus", 1, np.int32),
        snp=column("snp", True, np.bool_),
        stock=column("stock", False, np.bool_),
        node=column("node", -1, np.int32),
        gmems=column("gmems", 1, np.int32),
        folio_pages=column("folio_pages", 0, np.int32),
        batch=np.arange(len(rows)),
    )


def generate(
    vms: VmTable, *, gib: int = 4, nodes: int = 1, horizon_s: int = 1000, warmup_s: int = 0, **memory: Any
) -> GeneratedTrace:
    host = Host(memory_bytes=gib * GIB, nodes=nodes, cores=8, threads_per_core=2)
    generated = trace_from_vms(
        vms, host, GuestMemory(**{**PLAIN, **memory}), horizon_ns=horizon_s * S, warmup_ns=warmup_s * S, seed=1
    )
    assert trace_problems(generated.trace) == []
    return generated


def rows(trace: Trace) -> list[tuple[Any, ...]]:
    """Give (t_ns, kind, pfn, npages, vm, inode, folio_pages) of every event but the host's own."""
    columns = [getattr(trace, name).tolist() for name in COLUMNS]
    events = [(t, Kind(kind).text, *rest) for t, kind, *rest in zip(*columns, strict=True)]
    return [event for event in events if event[4] >= 0 or event[0] > 0]


def kinds(trace: Trace) -> list[str]:
    return [row[1] for row in rows(trace)]


def test_one_snp_guest_from_arrival_to_grace_period() -> None:
    # 1 GiB: 6 % is 61.44 MiB, below the least of 64 MiB, 32 blocks; 480 blocks are private.
    vms = vm_table({"arrival": 5 * S, "departure": 20 * S, "vcpus": 2})
    trace = generate(vms).trace
    # Kernel pages share the first free block, 512: never its first page. The guest begins with block 513.
    guest, private = 513 * 512, (513 + 32) * 512
    cost = 480 * 512 * 1000
    assert rows(trace) == [
        (5 * S, "assign", 512 * 512 + 1, 1, 0, -1, 1),
        (5 * S, "assign", 512 * 512 + 2, 1, 0, -1, 1),
        (5 * S, "assign", 512 * 512 + 3, 1, 0, -1, 1),
        (5 * S, "use", guest, 32 * 512, 0, -1, 1),
        (5 * S, "assign", private, 480 * 512, 0, 0, 1),
        (20 * S, "release", 512 * 512 + 1, 1, 0, -1, 1),
        (20 * S, "release", 512 * 512 + 2, 1, 0, -1, 1),
        (20 * S, "release", 512 * 512 + 3, 1, 0, -1, 1),
        (20 * S, "vm_destroy", 0, 0, 0, -1, 0),
        (20 * S, "evict_begin", 0, 0, 0, 0, 0),
        (20 * S, "unuse", guest, 32 * 512, 0, -1, 1),
        (20 * S, "invalidate", private, 480 * 512, 0, 0, 1),
        (20 * S + cost, "release", private, 480 * 512, 0, 0, 1),
        (20 * S + cost, "freed", private, 480 * 512, 0, 0, 1),
        (20 * S + cost, "evict_end", 0, 0, 0, 0, 0),
        (20 * S + cost + 12_000_000, "inode_free", 0, 0, 0, 0, 0),
    ]


def test_host_is_there_before_everything() -> None:
    trace = generate(vm_table({"arrival": 0}), gib=2).trace
    first = [
        (Kind(k).text, p, n, v, i)
        for k, p, n, v, i in zip(
            trace.kind.tolist(),
            trace.pfn.tolist(),
            trace.npages.tolist(),
            trace.vm.tolist(),
            trace.inode.tolist(),
            strict=True,
        )
    ][:3]
    assert first == [
        ("assign", 256, 8, -1, -1),
        ("assign", 2 * GIB_PAGES - 2048, 2048, -1, -1),
        ("use", 0, GIB_PAGES, -1, -1),
    ]


def test_ordinary_guest_uses_and_leaves() -> None:
    vms = vm_table({"arrival": S, "departure": 3 * S, "snp": False, "memory": 3 * MIB})
    assert rows(generate(vms).trace) == [
        (S, "use", 512 * 512, 1024, 0, -1, 1),
        (3 * S, "unuse", 512 * 512, 1024, 0, -1, 1),
    ]


def test_inodes_go_one_after_another_and_the_vm_before_the_last() -> None:
    vms = vm_table({"departure": S, "memory": 512 * MIB, "gmems": 3, "vcpus": 0})
    trace = generate(vms, context_pages=1, shared_min_bytes=0, shared_max_bytes=0).trace
    # 256 blocks: 85, 85 and 86.
    t1, t2, t3 = (S + blocks * 512_000 for blocks in (85, 170, 256))
    start = [row for row in rows(trace) if row[0] == 0]
    assert [(row[1], row[3], row[5]) for row in start] == [
        ("assign", 1, -1),
        ("assign", 85 * 512, 0),
        ("assign", 85 * 512, 1),
        ("assign", 86 * 512, 2),
    ]
    assert [(row[0], row[1], row[5]) for row in rows(trace) if row[0] >= S and row[1] != "inode_free"] == [
        (S, "evict_begin", 0),
        (S, "invalidate", 0),
        (t1, "release", 0),
        (t1, "freed", 0),
        (t1, "evict_end", 0),
        (t1, "evict_begin", 1),
        (t1, "invalidate", 1),
        (t2, "release", 1),
        (t2, "freed", 1),
        (t2, "evict_end", 1),
        (t2, "release", -1),
        (t2, "vm_destroy", -1),
        (t2, "evict_begin", 2),
        (t2, "invalidate", 2),
        (t3, "release", 2),
        (t3, "freed", 2),
        (t3, "evict_end", 2),
    ]


def test_free_conversions_keep_their_order_at_one_instant() -> None:
    vms = vm_table({"departure": S, "gmems": 2})
    trace = generate(vms, convert_4k_ns=0, rcu_median_ns=0, rcu_min_ns=0, granule_pages=65_536).trace
    # Inode 0 has 32 of its 256 blocks shared: private pages 16384 to 131072, cut at 65536.
    one = ["invalidate", "release", "freed"]
    assert [row[1] for row in rows(trace) if row[0] == S] == [
        "evict_begin", "unuse", *one, *one, "evict_end", "inode_free",
        "release", "release", "vm_destroy", "evict_begin", *one, *one, "evict_end", "inode_free",
    ]  # fmt: skip


def test_granules_are_released_as_their_conversion_ends() -> None:
    vms = vm_table({"departure": S, "memory": 3 * 512 * MIB})
    trace = generate(vms, granule_pages=100_000, shared_min_bytes=0, shared_max_bytes=0).trace
    releases = [(row[0] - S, row[3]) for row in rows(trace) if row[1] == "release" and row[5] == 0]
    invalidates = [row[0] - S for row in rows(trace) if row[1] == "invalidate"]
    assert releases == [(10**8, 10**5), (2 * 10**8, 10**5), (3 * 10**8, 10**5), (393_216_000, 93_216)]
    assert invalidates == [0, 10**8, 2 * 10**8, 3 * 10**8]


def test_launch_assigns_granule_after_granule() -> None:
    vms = vm_table({"arrival": S, "departure": 100 * S, "memory": 4 * GIB})
    trace = generate(vms, gib=8, launch_base_ns="8 s", launch_per_gib_ns="1 s", shared_max_bytes=0, shared_min_bytes=0)
    assigned = [(row[0], row[3]) for row in rows(trace.trace) if row[1] == "assign" and row[5] == 0]
    # 12 s in all, a quarter of the memory at a time. Kernel pages took one block, so no extent is broken.
    assert assigned == [(S, GIB_PAGES), (4 * S, GIB_PAGES), (7 * S, GIB_PAGES), (10 * S, GIB_PAGES)]


def test_departure_during_launch_leaves_the_rest_unassigned() -> None:
    vms = vm_table({"arrival": 0, "departure": 6 * S, "memory": 4 * GIB})
    trace = generate(
        vms, gib=8, launch_base_ns="12 s", shared_max_bytes=0, shared_min_bytes=0, convert_4k_ns=1000
    ).trace
    # At 6 s the third of four quarters would begin: it does not any more.
    assert sum(row[3] for row in rows(trace) if row[1] == "assign" and row[5] == 0) == 2 * GIB_PAGES
    assert sum(row[3] for row in rows(trace) if row[1] == "release" and row[5] == 0) == 2 * GIB_PAGES
    assert [row[0] for row in rows(trace) if row[1] == "evict_end"] == [6 * S + 2 * GIB_PAGES * 1000]


def test_stock_is_in_place_at_once() -> None:
    vms = vm_table({"stock": True, "memory": 2 * GIB}, {"stock": True, "snp": False, "memory": GIB})
    trace = generate(vms, gib=8, launch_base_ns="10 s", touched="lazy").trace
    assert set(trace.t_ns.tolist()) == {0}


def test_memory_is_reused_from_evict_end_on_and_not_before() -> None:
    # The host has 1532 blocks but region 0 and the RMP: room for one guest of 2 GiB and its kernel pages.
    cost = (1024 - 62) * 512 * 1000
    early = vm_table({"departure": S, "memory": 2 * GIB}, {"arrival": S + cost - 1, "memory": 2 * GIB})
    just = vm_table({"departure": S, "memory": 2 * GIB}, {"arrival": S + cost, "memory": 2 * GIB})
    assert (generate(early).admitted, generate(early).rejected) == (1, 1)
    generated = generate(just)
    assert (generated.admitted, generated.rejected) == (2, 0)
    at_once = [(row[1], row[4]) for row in rows(generated.trace) if row[0] == S + cost]
    assert at_once[:3] == [("release", 0), ("freed", 0), ("evict_end", 0)]
    assert {vm for _, vm in at_once[3:]} == {1}


def test_rejected_vms_leave_no_trace() -> None:
    vms = vm_table({"memory": 2 * GIB}, {"memory": 2 * GIB}, {"memory": GIB // 2}, {"arrival": 1000 * S})
    generated = generate(vms)
    # The last one arrives at the horizon: it does not exist.
    assert (generated.admitted, generated.rejected) == (2, 1)
    assert set(generated.trace.vm.tolist()) == {-1, 0, 2}


def test_vms_run_from_arrival_to_departure_between_warm_up_and_horizon() -> None:
    vms = vm_table(
        {"departure": 90 * S},  # gone before the warm-up ends
        {"departure": 150 * S, "snp": False},
        {"arrival": 120 * S, "departure": 180 * S},
        {"arrival": 130 * S, "departure": 140 * S, "memory": 4 * GIB},  # no room
        {"arrival": 900 * S},
        {"arrival": 2000 * S},
    )
    generated = generate(vms, warmup_s=100)
    assert (generated.admitted, generated.rejected) == (4, 1)
    assert generated.running_vm_ns == (50 + 60 + 100) * S
    assert generated.running_snp_vm_ns == (60 + 100) * S


def test_guests_without_room_for_their_vmsas_are_rejected() -> None:
    # 3 GiB less region 0 and 12 MiB of RMP are 1018 blocks: with 3 scattered pages there is room for 1015.
    vms = vm_table({"memory": 1015 * 2 * MIB, "vcpus": 2})
    assert generate(vms, gib=3, vmsa="scatter").admitted == 1
    assert generate(vm_table({"memory": 1016 * 2 * MIB, "vcpus": 2}), gib=3, vmsa="scatter").rejected == 1
    assert generate(vm_table({"memory": 1017 * 2 * MIB, "vcpus": 2}), gib=3, vmsa="packed").admitted == 1


def test_a_full_node_spills_to_the_next() -> None:
    vms = vm_table({"memory": 3 * GIB, "node": 1, "snp": False})
    trace = generate(vms, gib=4, nodes=2).trace
    # Node 1 is blocks 1024 to 2048 less 8 of RMP; the rest comes from node 0, above region 0.
    assert rows(trace) == []
    vms = vm_table({"memory": 5 * 512 * MIB, "node": 1, "snp": False})
    trace = generate(vms, gib=4, nodes=2).trace
    assert [(row[2] // 512, row[3] // 512) for row in rows(trace)] == [(1024, 1016), (512, 264)]


def test_2m_folios_come_first_and_cost_less() -> None:
    vms = vm_table({"departure": S})
    memory: dict[str, Any] = {"shared_min_bytes": 0, "shared_max_bytes": 0, "convert_2m_ns": 100}
    none = generate(vms, folio="2M", folio_2m_success=0, **memory).trace
    some = generate(vms, folio="2M", folio_2m_success=0.5, **memory).trace
    every = generate(vms, folio="2M", folio_2m_success=1, **memory).trace
    assert [(row[3], row[6]) for row in rows(none) if row[1] == "freed"] == [(GIB_PAGES, 1)]
    assert [(row[3], row[6]) for row in rows(every) if row[1] == "freed"] == [(GIB_PAGES, 512)]
    (big, big_folio), (small, small_folio) = ((row[3], row[6]) for row in rows(some) if row[1] == "freed")
    assert (big_folio, small_folio, big + small, big % 512) == (512, 1, GIB_PAGES, 0)
    # 512 trials at one half: 256, standard deviation 11.3.
    assert 200 < big // 512 < 312
    end = {row[1]: row[0] for row in rows(some)}["evict_end"]
    assert end == S + big * 100 + small * 1000


def test_1g_folios_are_whole_regions_of_the_pool() -> None:
    vms = vm_table({"departure": S, "memory": 3 * GIB}, {"memory": GIB, "snp": False})
    trace = generate(vms, gib=8, placement="pool_1g", folio="1G", snp_pool=0.6, convert_1g_ns=10).trace
    # Six whole regions, 1 to 6; the upper four are the pool. The first GiB is partly shared: small folios.
    small = GIB_PAGES - 93 * 512
    assert [(row[2], row[3], row[6]) for row in rows(trace) if row[1] == "release" and row[5] == 0] == [
        (3 * GIB_PAGES + 93 * 512, small, 1),
        (4 * GIB_PAGES, GIB_PAGES, 262_144),
        (5 * GIB_PAGES, GIB_PAGES, 262_144),
    ]
    assert [row[0] for row in rows(trace) if row[1] == "evict_end"] == [S + small * 1000 + 2 * GIB_PAGES * 10]
    assert [(row[2], row[3]) for row in rows(trace) if row[1] == "use" and row[4] == 1] == [
        (GIB_PAGES + 512, GIB_PAGES)
    ]


def test_1g_folios_without_a_pool_are_refused_by_row() -> None:
    vms = vm_table({}, {"folio_pages": 262_144}, {"folio_pages": 262_144, "snp": False})
    with pytest.raises(SpecError) as caught:
        generate(vms)
    assert [problem.where for problem in caught.value.problems] == ["VM table: row 1, column folio_pages"]


def test_lazy_guests_ramp_up_to_a_share() -> None:
    vms = vm_table({"departure": 900 * S, "memory": 2 * GIB})
    trace = generate(
        vms,
        touched="lazy",
        touched_alpha=50,
        touched_beta=50,
        ramp_boot_base_bytes="256 MiB",
        ramp_boot_fraction=0,
        ramp_boot_ns="10 s",
        ramp_constant_ns="60 s",
        ramp_unit_bytes="32 MiB",
    ).trace
    assigned = [(row[0], row[3]) for row in rows(trace) if row[1] == "assign" and row[5] == 0]
    pages = sum(n for _, n in assigned)
    # Beta(50, 50) is 0.5, standard deviation 0.05.
    assert 0.3 * 962 * 512 < pages < 0.7 * 962 * 512
    assert [t for t, _ in assigned] == sorted(t for t, _ in assigned)
    # The first 256 MiB within 10 s; after a minute more all but 1/e of the rest.
    assert sum(n for t, n in assigned if t < 10 * S) in range(65_536, 65_536 + 8192)
    late = sum(n for t, n in assigned if t > 70 * S)
    assert late == pytest.approx((pages - 65_536) / np.e, abs=8192)
    assert sum(row[3] for row in rows(trace) if row[1] == "release" and row[5] == 0) == pages


def test_every_page_can_leak() -> None:
    vms = vm_table({"departure": S, "memory": 2 * MIB}, {"arrival": 2 * S, "memory": 4 * MIB, "snp": False})
    trace = generate(vms, shared_min_bytes=0, shared_max_bytes=0, leak_per_page=1).trace
    after = [row for row in rows(trace) if S <= row[0] < 2 * S and row[5] != 0 and row[1] == "assign"]
    first = 513 * 512
    assert [(row[2], row[3], row[4], row[5]) for row in after] == [(first + i, 1, -1, -1) for i in range(512)]
    assert [row[0] for row in after] == [S + 1000 * (i + 1) for i in range(512)]
    assert [row for row in rows(trace) if row[1] in ("release", "freed") and row[5] == 0] == []
    # The block of the kernel pages is free again, the leaked one is not.
    assert [(row[2], row[3]) for row in rows(trace) if row[1] == "use"] == [(512 * 512, 512), (514 * 512, 512)]


def test_pinned_folios_are_freed_and_reused_late() -> None:
    vms = vm_table(
        {"departure": S, "memory": 2 * MIB, "folio_pages": 512},
        {"arrival": 3 * S, "memory": 4 * MIB, "snp": False},
        {"arrival": 6 * S, "memory": 2 * MIB, "snp": False},
    )
    trace = generate(
        vms,
        shared_min_bytes=0,
        shared_max_bytes=0,
        folio_2m_success=1,
        convert_2m_ns=100,
        pinned_share=1,
        pin_median_ns="4 s",
        pin_sigma=0,
    ).trace
    times = {row[1]: row[0] for row in rows(trace) if row[5] == 0}
    assert times["release"] == times["evict_end"] == S + 51_200
    assert [(row[0], row[3]) for row in rows(trace) if row[1] == "freed"] == [(5 * S, 512)]
    # At 3 s the pinned block is passed over; at 6 s it is the lowest free one.
    assert [(row[2] // 512, row[3] // 512) for row in rows(trace) if row[1] == "use"] == [(512, 1), (514, 1), (513, 1)]


def test_a_pin_holds_its_folio_and_no_other() -> None:
    trace = generate(
        vm_table({"departure": S, "memory": 64 * MIB, "folio_pages": 512}),
        shared_min_bytes=0,
        shared_max_bytes=0,
        folio_2m_success=1,
        convert_2m_ns=0,
        pinned_share=0.5,
        pin_median_ns="4 s",
        pin_sigma=0,
    ).trace
    events = [row for row in rows(trace) if row[1] == "freed"]
    at_once, late = (
        [page for row in events if row[0] == t for page in range(row[2], row[2] + row[3])] for t in (S, 5 * S)
    )
    assert sorted(at_once + late) == list(range(513 * 512, 545 * 512))
    pinned = {page // 512 for page in late}
    # Of 32 folios one half, standard deviation 2.8.
    assert 6 <= len(pinned) <= 26
    assert len(late) == 512 * len(pinned)


def test_pinned_shared_pages_stay_in_use_and_block_nothing() -> None:
    vms = vm_table(
        {"departure": S, "memory": 64 * MIB},
        {"arrival": 3 * S, "memory": 64 * MIB, "snp": False},
        {"arrival": 6 * S, "memory": 64 * MIB, "snp": False},
    )
    shared: dict[str, Any] = {"shared_min_bytes": "4 MiB", "shared_fraction": 0}
    pins: dict[str, Any] = {"shared_pinned_share": 1, "pin_median_ns": "4 s", "pin_sigma": 0}
    free, held = (generate(vms, **shared, **more).trace for more in ({}, pins))
    # The shared part is blocks 513 and 514, the private one ends with 544.
    of_guest = [[row for row in rows(trace) if row[4] == 0] for trace in (free, held)]
    unuse = [[row for row in found if row[1] == "unuse"] for found in of_guest]
    assert unuse[0] == [(S, "unuse", 513 * 512, 1024, 0, -1, 1)]
    assert unuse[1] == [(5 * S, "unuse", 513 * 512 + i, 1, 0, -1, 1) for i in range(1024)]
    # All else is the same: what is assigned, and so which regions are free, knows no such pin.
    private = [[row for row in found if row[1] != "unuse"] for found in of_guest]
    assert private[0] == private[1]
    # Nobody gets the blocks while they are pinned; the guest of 6 s does.
    where = [(row[4], row[2] // 512, row[3] // 512) for row in rows(held) if row[1] == "use" and row[4] > 0]
    assert where == [(1, 512, 1), (1, 515, 31), (2, 513, 2), (2, 546, 30)]
    regions = region_states([free, held])
    assert regions[0] == regions[1]


def region_states(traces: list[Trace]) -> list[tuple[int, int]]:
    found = engine("numpy").evaluate(traces, choose_policies(["refcount"], named_policies()), Costs())
    return [(rows_of_one[0]["optimizable_ns"], rows_of_one[0]["optimized_ns"]) for rows_of_one in found]


@pytest.mark.parametrize("leak_per_page", [0.01, 0.02, 0.3])
def test_a_pinned_folio_with_leaked_pages_is_held_but_for_those(leak_per_page: float) -> None:
    vms = vm_table(
        {"departure": S, "memory": 4 * MIB, "folio_pages": 512},
        {"arrival": 2 * S, "memory": 1526 * 2 * MIB, "snp": False},
        {"arrival": 6 * S, "memory": 2 * MIB, "snp": False},
    )
    trace = generate(
        vms,
        shared_min_bytes=0,
        shared_max_bytes=0,
        folio_2m_success=1,
        convert_2m_ns=100,
        pinned_share=1,
        pin_median_ns="4 s",
        pin_sigma=0,
        leak_per_page=leak_per_page,
    ).trace
    guest = range(513 * 512, 515 * 512)
    leaked = [row[2] for row in rows(trace) if row[1] == "assign" and row[0] >= S]
    assert leaked
    assert set(leaked) < set(guest)
    # Whatever page of a folio leaked, the first one too: the pin keeps all others.
    freed = [(row[0], page) for row in rows(trace) if row[1] == "freed" for page in range(row[2], row[2] + row[3])]
    assert freed == [(5 * S, page) for page in guest if page not in leaked]
    # Host and RMP have blocks 0 to 511 and 2040 to 2047, and the guest of 2 s takes 512 and 515 to 2039: all but these
    # two. Both have leaked pages, so that the pin's end gives neither to the guest of 6 s.
    assert {page // 512 for page in leaked} == {513, 514}
    used = [(row[4], row[2] // 512, row[3] // 512) for row in rows(trace) if row[1] == "use" and row[4] > 0]
    assert used == [(1, 512, 1), (1, 515, 1525)]


@pytest.mark.parametrize("granule_pages", [1, 100, 512, 1023])
def test_a_folio_is_torn_down_whole_though_the_granule_is_smaller(granule_pages: int) -> None:
    vms = vm_table({"departure": S, "memory": 8 * MIB, "folio_pages": 512})
    trace = generate(
        vms,
        shared_min_bytes=0,
        shared_max_bytes=0,
        folio_2m_success=1,
        convert_2m_ns=100,
        granule_pages=granule_pages,
    ).trace
    for kind, delay in ("invalidate", 0), ("release", 51_200), ("freed", 51_200):
        assert [(row[0], row[2], row[3]) for row in rows(trace) if row[1] == kind and row[5] == 0] == [
            (S + i * 51_200 + delay, (513 + i) * 512, 512) for i in range(4)
        ]


def test_granules_of_whole_folios_keep_to_the_folios_of_each_size() -> None:
    vms = vm_table({"departure": S, "memory": 3 * GIB, "folio_pages": 262_144})
    trace = generate(vms, gib=8, placement="pool_1g", snp_pool=1, convert_1g_ns=10, granule_pages=65_536).trace
    released = [(row[3], row[6]) for row in rows(trace) if row[1] == "release" and row[5] == 0]
    # 93 of the first GiB's 512 blocks are shared; its 4 KiB pages go in granules, the others by the folio.
    assert released == [(65_536 - 93 * 512, 1), *[(65_536, 1)] * 3, (GIB_PAGES, 262_144), (GIB_PAGES, 262_144)]


def test_conversions_share_and_take_back() -> None:
    vms = vm_table({"departure": 500 * S})
    trace = generate(vms, conversions_per_s=1, conversion_hold_ns="300 ms").trace
    low, high = (513 + 32) * 512, (513 + 512) * 512
    events = [row for row in rows(trace) if 0 < row[0] < 500 * S]
    shares = [row for row in events if row[1] == "share"]
    assert 400 < len(shares) < 600
    open_extent = None
    for _, kind, pfn, npages, vm, inode, folio in events:
        assert (vm, inode, folio) == (0, 0, 1)
        assert low <= pfn < pfn + npages <= high
        if kind in ("share", "use"):
            assert open_extent in (None, (pfn, npages)) if kind == "use" else open_extent is None
            open_extent = (pfn, npages)
        else:
            assert open_extent == (pfn, npages) if kind == "assign" else open_extent in (None, (pfn, npages))
            open_extent = None
    sizes = {row[3] for row in shares}
    assert sizes == {1 << i for i in range(10)}
    assert all(row[2] % row[3] == 0 for row in shares)
    assert len([row for row in rows(trace) if row[1] == "use"]) == len(shares) + 1
    assert len([row for row in rows(trace) if row[1] == "unuse"]) == len(shares) + 1


def test_what_is_drawn_for_a_vm_does_not_depend_on_placement() -> None:
    vms = vm_table(*({"arrival": i * S, "departure": (i + 40) * S, "memory": 256 * MIB} for i in range(20)))
    noisy: dict[str, Any] = {"convert_sigma": 0.5, "rcu_sigma": 0.6, "touched": "lazy", "conversions_per_s": 0.1}
    one, other = (generate(vms, gib=16, placement=placement, **noisy).trace for placement in ("lifo", "first_fit"))
    for kind in (Kind.EVICT_BEGIN, Kind.EVICT_END, Kind.INODE_FREE, Kind.SHARE):
        assert one.t_ns[one.kind == kind].tolist() == other.t_ns[other.kind == kind].tolist()


def test_a_longer_horizon_only_adds() -> None:
    vms = vm_table(*({"arrival": i * S, "departure": (i + 40) * S, "memory": 256 * MIB} for i in range(20)))
    short, long = (generate(vms, gib=16, horizon_s=h, placement="scatter", vmsa="scatter").trace for h in (45, 100))
    n = len(short)
    assert int(np.searchsorted(long.t_ns, 45 * S)) == n
    for name in COLUMNS:
        assert getattr(short, name).tolist() == getattr(long, name)[:n].tolist()


@pytest.mark.parametrize("n_vms", [0, 1])
def test_nothing_to_do_is_a_trace_too(n_vms: int) -> None:
    vms = vm_table(*({"arrival": 1000 * S} for _ in range(n_vms)))
    generated = generate(vms)
    assert (generated.admitted, generated.rejected, len(generated.trace)) == (0, 0, 3)


def test_the_same_seed_gives_the_same_trace_for_ever() -> None:
    vms = vm_table(
        *(
            {
                "arrival": i * S,
                "departure": (i + 5 + 7 * (i % 4)) * S,
                "memory": (i % 5 + 1) * 128 * MIB,
                "snp": i % 3 > 0,
                "gmems": i % 2 + 1,
            }
            for i in range(40)
        )
    )
    host = Host(memory_bytes=8 * GIB, nodes=2, cores=8, threads_per_core=2)
    memory = GuestMemory(
        touched="lazy", conversions_per_s=0.2, folio="2M", leak_per_page=1e-6, pinned_share=1e-4, launch_base_ns="1 s"
    )
    digests = {}
    for placement in ("lifo", "scatter"):
        changed = memory.model_copy(update={"placement": placement})
        traces = [
            trace_from_vms(vms, host, changed, horizon_ns=60 * S, warmup_ns=0, seed=seed).trace for seed in (3, 3, 4)
        ]
        hashes = [
            hashlib.sha256(b"".join(getattr(trace, name).tobytes() for name in COLUMNS)).hexdigest()[:16]
            for trace in traces
        ]
        assert hashes[0] == hashes[1] != hashes[2]
        digests[placement] = hashes[0]
    # Whoever changes these changes every generated trace: say so in the changelog.
    assert digests == {"lifo": "660ba344ae210277", "scatter": "569f29b2ce647d91"}
