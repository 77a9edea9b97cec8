from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from gmemgpu.generator import generate
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import traces
from gmemgpu.trace.assigned import replay_assigned
from gmemgpu.trace.warn import trace_doubts, trace_warnings
from gmemgpu.units import GIB, PAGES_PER_REGION
from gmemgpu.workload.preset import preset, preset_names, small_variant


def trace_of(*rows: tuple[Kind, int, int, int], horizon_ns: int = 1000) -> Trace:
    """Rows of kind, pfn, npages, inode, one a nanosecond."""
    n = len(rows)
    kinds, pfns, npages, inodes = np.array(rows, np.int64).reshape(-1, 4).T
    return Trace(
        host=Host(memory_bytes=4 * GIB, nodes=1, cores=1, threads_per_core=1),
        horizon_ns=horizon_ns,
        t_ns=np.arange(n),
        kind=kinds.astype(np.int8),
        pfn=pfns,
        npages=npages,
        vm=np.zeros(n, np.int32),
        inode=inodes.astype(np.int32),
        folio_pages=np.where(kinds < Kind.EVICT_BEGIN, 1, 0).astype(np.int32),
    )


def texts(trace: Trace) -> list[str]:
    return [str(warning) for warning in trace_warnings(trace, "t")]


@given(trace=traces())
def test_changes_are_those_of_a_page_array(trace: Trace) -> None:
    assigned = np.zeros(trace.host.pages, bool)
    busy = 0
    pages, regions = [], []
    columns = zip(trace.kind.tolist(), trace.pfn.tolist(), trace.npages.tolist(), strict=True)
    for kind, pfn, npages in columns:
        before = int(assigned[pfn : pfn + npages].sum())
        if kind in (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE):
            assigned[pfn : pfn + npages] = kind == Kind.ASSIGN
        pages.append(int(assigned[pfn : pfn + npages].sum()) - before)
        now = sum(bool(assigned[at : at + PAGES_PER_REGION].any()) for at in range(0, len(assigned), PAGES_PER_REGION))
        regions.append(now - busy)
        busy = now
    replay = replay_assigned(trace)
    assert replay.pages.tolist() == pages
    assert replay.regions.tolist() == regions


def test_a_clean_life_has_no_warning() -> None:
    rows = [
        (Kind.ASSIGN, 0, 3 * PAGES_PER_REGION, 1),
        (Kind.EVICT_BEGIN, 0, 0, 1),
        (Kind.SHARE, 0, 700, 1),
        (Kind.RELEASE, 700, 3 * PAGES_PER_REGION - 700, 1),
        (Kind.EVICT_END, 0, 0, 1),
        (Kind.EVICT_END, 0, 0, -1),
        (Kind.ASSIGN, 5, 1, 2),
    ]
    assert texts(trace_of(*rows)) == []


def test_double_assigns_and_idle_releases_are_counted_to_the_page() -> None:
    border = PAGES_PER_REGION
    rows = [
        (Kind.ASSIGN, border - 10, 20, 1),
        (Kind.ASSIGN, border - 3, 6, 2),
        (Kind.RELEASE, border - 20, 15, 1),
        (Kind.SHARE, 2 * border, 5, 1),
        (Kind.ASSIGN, 0, 2 * border, 3),
    ]
    assert texts(trace_of(*rows)) == [
        "t: assign of pages that are assigned already: 21 pages in 2 rows",
        "t: row 2, column npages: assign of 6 pages of which 6 are assigned already",
        "t: row 5, column npages: assign of 524288 pages of which 15 are assigned already",
        "t: release of pages that are not assigned: 10 pages in 1 row",
        "t: row 3, column npages: release of 15 pages of which 10 are not assigned",
        "t: share of pages that are not assigned: 5 pages in 1 row",
        "t: row 4, column npages: share of 5 pages of which 5 are not assigned",
    ]


def test_an_end_without_a_beginning() -> None:
    rows = [
        (Kind.EVICT_BEGIN, 0, 0, 1),
        (Kind.EVICT_END, 0, 0, 2),
        (Kind.EVICT_END, 0, 0, 1),
        (Kind.EVICT_END, 0, 0, 1),
    ]
    assert texts(trace_of(*rows)) == [
        "t: row 2, column inode: evict_end of inode 2, whose eviction did not begin",
        "t: row 4, column inode: evict_end of inode 1, whose eviction did not begin",
    ]


def test_events_past_the_horizon_are_counted_and_not_judged() -> None:
    rows = [(Kind.ASSIGN, 0, 1, 1), (Kind.RELEASE, 9, 1, 1), (Kind.RELEASE, 9, 1, 1)]
    assert texts(trace_of(*rows, horizon_ns=1)) == [
        "t: rows from 2: 2 of 3 events are at or after the horizon and do not count"
    ]


def test_no_events() -> None:
    assert texts(trace_of()) == ["t: has no events: every region is free from the start to the horizon"]


def test_many_rows_are_named_up_to_twenty() -> None:
    warnings = texts(trace_of(*[(Kind.RELEASE, i, 1, 1) for i in range(100)]))
    assert warnings[0] == "t: release of pages that are not assigned: 100 pages in 100 rows"
    assert len(warnings) == 22
    assert warnings[-1] == "t: column npages: … and 80 more rows where release meets pages that are not assigned"


def test_folios_begin_at_multiples_of_their_size() -> None:
    trace = trace_of((Kind.ASSIGN, 300_001, 512, 1), (Kind.ASSIGN, 1024, 512, 1), (Kind.RELEASE, 1025, 511, 1))
    assert texts(replace(trace, folio_pages=np.full(3, 512, np.int32))) == [
        "t: row 1, column pfn: a folio of 512 pages cannot begin at PFN 300001"
    ]


@pytest.mark.parametrize("name", ["leak-fault", "fragment-age", "confidential-only"])
def test_generated_folios_begin_where_they_can(name: str) -> None:
    workload = small_variant(preset(name))
    memory = workload.memory.model_copy(update={"folio": "2M", "leak_per_page": 1e-5, "pinned_share": 1e-3})
    trace = generate(workload.model_copy(update={"memory": memory}), 7).trace
    assert np.any(trace.folio_pages == 512)
    assert not [text for text in texts(trace) if "cannot begin" in text]


def test_an_inode_id_is_used_twice() -> None:
    rows = [
        (Kind.ASSIGN, 0, 9, 1),
        (Kind.ASSIGN, 9, 9, 2),
        (Kind.EVICT_BEGIN, 0, 0, 1),
        (Kind.EVICT_END, 0, 0, 1),
        (Kind.ASSIGN, 100, 1, 1),
        (Kind.INODE_FREE, 0, 0, 1),
        (Kind.INODE_FREE, 0, 0, 2),
        (Kind.ASSIGN, 101, 1, -1),
        (Kind.EVICT_BEGIN, 0, 0, 2),
        (Kind.RELEASE, 9, 9, 2),
    ]
    assert texts(trace_of(*rows)) == [
        "t: row 5, column inode: inode 1 comes again, after its evict_end in row 4; ids are unique in a trace",
        "t: row 9, column inode: inode 2 comes again, after its inode_free in row 7; ids are unique in a trace",
    ]


def test_an_inode_of_two_vms() -> None:
    trace = trace_of(*[(Kind.ASSIGN, i, 1, inode) for i, inode in enumerate([7, 8, 7, -1, 7, 8])])
    assert texts(replace(trace, vm=np.array([1, 2, 3, 4, 3, -1], np.int32))) == [
        "t: row 3, column inode: inode 7 is of VM 3 here, and of VM 1 in row 1; ids are unique in a trace"
    ]


def test_a_folio_is_whole() -> None:
    trace = trace_of((Kind.ASSIGN, 512, 700, 1), (Kind.RELEASE, 512, 700, 1), (Kind.ASSIGN, 0, 512, 2))
    assert texts(replace(trace, folio_pages=np.full(3, 512, np.int32))) == [
        "t: row 1, column npages: assign of 700 pages, which are no whole folios of 512"
    ]


@pytest.mark.parametrize("name", preset_names())
def test_nothing_is_doubtful_in_a_generated_trace(name: str) -> None:
    workload = small_variant(preset(name))
    for folio in ("4K", "2M", "1G"):
        changes = {"folio": folio, "leak_per_page": 1e-5, "pinned_share": 1e-3}
        if folio == "1G":
            changes["placement"] = "pool_1g"
        memory = workload.memory.model_copy(update=changes)
        assert trace_doubts(generate(workload.model_copy(update={"memory": memory}), 7).trace) == []
