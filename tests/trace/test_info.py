from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import traces
from gmemgpu.trace.info import trace_info
from gmemgpu.units import GIB, PAGES_PER_REGION


def trace_of(*rows: tuple[int, Kind, int, int, int, int]) -> Trace:
    """Rows of time, kind, pfn, npages, vm, inode."""
    columns = np.array(rows, np.int64).reshape(-1, 6).T
    return Trace(
        host=Host(memory_bytes=4 * GIB, nodes=1, cores=2, threads_per_core=1, window_bytes=3 * GIB),
        horizon_ns=100,
        warmup_ns=5,
        t_ns=columns[0],
        kind=columns[1].astype(np.int8),
        pfn=columns[2],
        npages=columns[3],
        vm=columns[4].astype(np.int32),
        inode=columns[5].astype(np.int32),
        folio_pages=np.where(columns[1] < Kind.EVICT_BEGIN, 1, 0).astype(np.int32),
    )


def test_what_a_small_trace_says() -> None:
    region = PAGES_PER_REGION
    info = trace_info(
        trace_of(
            (0, Kind.ASSIGN, 0, region, -1, -1),
            (0, Kind.ASSIGN, region - 1, 2, 7, 3),
            (10, Kind.USE, 3 * region, 5, -1, -1),
            # Inside one instant 2,000 pages more are assigned; no state ever has them.
            (20, Kind.ASSIGN, 2 * region, 2000, 8, 4),
            (20, Kind.RELEASE, 2 * region, 2000, 8, 4),
            (30, Kind.ASSIGN, 2 * region, 1000, 9, 4),
            (40, Kind.RELEASE, 0, 2 * region, 7, 3),
            (41, Kind.VM_DESTROY, 0, 0, 7, -1),
            (100, Kind.ASSIGN, 0, 9, 10, 10),
        )
    )
    assert info["host"]["window_bytes"] == 3 * GIB
    assert (info["regions"], info["regions_covered"]) == (4, 3)
    assert (info["events"], info["events_past_horizon"]) == (8, 1)
    assert {kind: n for kind, n in info["events_by_kind"].items() if n} == {
        "assign": 4,
        "release": 2,
        "use": 1,
        "vm_destroy": 1,
    }
    assert (info["first_ns"], info["last_ns"]) == (0, 41)
    assert (info["vms"], info["inodes"]) == (3, 2)
    assert (info["regions_assigned"], info["regions_used"]) == (3, 1)
    assert (info["assigned_pages_start"], info["assigned_pages_end"]) == (region + 1, 1000)
    assert (info["assigned_pages_max"], info["assigned_max_ns"]) == (region + 1001, 30)
    assert info["assigned_share_max"] == (region + 1001) / (4 * region)
    assert (info["free_regions_start"], info["free_regions_min"], info["free_regions_end"]) == (2, 1, 3)


def test_a_trace_without_events() -> None:
    info = trace_info(trace_of())
    assert (info["events"], info["first_ns"], info["last_ns"], info["vms"]) == (0, None, None, 0)
    assert (info["assigned_pages_max"], info["free_regions_min"]) == (0, 4)


@given(trace=traces())
def test_it_is_fit_for_json_and_adds_up(trace: Trace) -> None:
    info = json.loads(json.dumps(trace_info(trace)))
    assert sum(info["events_by_kind"].values()) == info["events"]
    assert info["events"] + info["events_past_horizon"] == len(trace)
    assert info["assigned_pages_max"] >= max(info["assigned_pages_start"], info["assigned_pages_end"])
    assert info["free_regions_min"] <= min(info["free_regions_start"], info["free_regions_end"])
    assert info["regions"] - info["free_regions_min"] <= info["regions_assigned"]
    assert info["assigned_share_max"] == pytest.approx(info["assigned_pages_max"] / max(1, trace.host.present_pages))


def test_what_lies_in_a_hole_is_not_counted() -> None:
    region = PAGES_PER_REGION
    of = trace_of((0, Kind.ASSIGN, 0, region, 1, 1))
    info = trace_info(replace(of, host=replace(of.host, holes=[[region, region], [2 * region, region // 2]])))
    assert (info["regions"], info["regions_covered"], info["free_regions_end"]) == (3, 2, 2)
    assert info["assigned_share_max"] == 1 / 2.5
    assert info["host"]["holes"] == ((region, region), (2 * region, region // 2))
