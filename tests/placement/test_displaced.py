"""Blocks that lie at random whatever the placement: which ones, where, and what that leaves free above 2 MiB."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.lifecycle.life_cycle import trace_from_vms
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.placement.displaced import interleaved
from gmemgpu.placement.extent_allocator import ExtentAllocator
from gmemgpu.units import GIB, PAGES_PER_REGION
from gmemgpu.vmtable.assemble import vm_table
from gmemgpu.workload.guest_memory import GuestMemory

S = 10**9
N_REGIONS = 128


@given(lengths=st.lists(st.integers(1, 6), max_size=6), places=st.sets(st.integers(0, 30)))
def test_displaced_blocks_take_their_places_among_the_others(lengths: list[int], places: set[int]) -> None:
    starts = [1000 * i for i in range(len(lengths))]
    rest = [start + i for start, length in zip(starts, lengths, strict=True) for i in range(length)]
    n = len(rest) + len(places)
    at = sorted(place for place in places if place < n)
    rest = rest[: n - len(at)]
    blocks = [-1 - i for i in range(len(at))]
    expected = [blocks.pop(0) if i in at else rest.pop(0) for i in range(n) if i in at or rest]
    merged = interleaved(list(zip(starts, lengths, strict=True)), at, [-1 - i for i in range(len(at))])
    assert [first + i for first, length in merged for i in range(length)] == expected


def test_displaced_blocks_by_hand() -> None:
    allocator = ExtentAllocator(2048, (((512, 100),), ((2048, 100),)), newest_first=False)
    # Draws are counted within the node: 600 is free, 0 is not, 600 is taken then, 520 is free.
    assert allocator.allocate_displaced(6, 0, [1, 5], iter([600, 0, 600, 520])) == [
        (512, 1), (600, 1), (513, 3), (520, 1),
    ]  # fmt: skip
    # What is left of node 0 is not enough: first come the blocks at random, then the rest spills.
    extents = allocator.allocate_displaced(100, 0, [0], iter([610]))
    assert extents == [(610, 1), (516, 4), (521, 79), (601, 9), (611, 1), (2048, 6)]
    assert allocator.allocate_displaced(95, 0, [0], itertools.repeat(0)) is None
    # Draws that never hit: any free block will do.
    assert allocator.allocate_displaced(94, 0, [0], itertools.repeat(0)) == [(2054, 94 - 93), (2055, 93)]


def test_blocks_that_were_displaced_draw_no_guest_to_where_they_lay() -> None:
    host = Host(memory_bytes=4 * GIB, nodes=1, cores=8, threads_per_core=2)
    vms = vm_table(
        arrival_ns=[0, 2 * S],
        departure_ns=[S, 9 * S],
        memory_bytes=[GIB, GIB],
        vcpus=1,
        snp=False,
        batch=[0, 1],
    )
    memory = GuestMemory(placement="lifo", displaced=0.5)
    trace = trace_from_vms(vms, host, memory, horizon_ns=10 * S, warmup_ns=0, seed=1).trace
    first, second = (
        {
            block
            for i in np.flatnonzero((trace.kind == Kind.USE) & (trace.vm == vm)).tolist()
            for block in range(trace.pfn[i] // 512, (trace.pfn[i] + trace.npages[i]) // 512)
        }
        for vm in (0, 1)
    )
    # The guest's ordered half lies at 512, 513, …, and the next one's does again.
    assert len(first & second & set(range(512, 512 + 220))) > 180


def free_regions(placement: str, displaced: float, load: float = 0.04) -> int:
    host = Host(memory_bytes=N_REGIONS * GIB, nodes=1, cores=8, threads_per_core=2)
    n = round(load * N_REGIONS / 0.25)
    vms = vm_table(
        arrival_ns=np.zeros(n, np.int64),
        departure_ns=1 << 61,
        memory_bytes=GIB // 4,
        vcpus=0,
        snp=True,
        stock=True,
        batch=np.arange(n),
    )
    memory = GuestMemory(
        placement=placement, displaced=displaced, context_pages=0, conversions_per_s=0, shared_min_bytes=0
    )
    trace = trace_from_vms(vms, host, memory, horizon_ns=S, warmup_ns=0, seed=1).trace
    assigned = trace.kind == Kind.ASSIGN
    busy = np.zeros(N_REGIONS, np.bool_)
    busy[trace.pfn[assigned] // PAGES_PER_REGION] = True
    busy[(trace.pfn[assigned] + trace.npages[assigned] - 1) // PAGES_PER_REGION] = True
    return int(N_REGIONS - np.count_nonzero(busy))


@pytest.mark.parametrize("placement", ["lifo", "first_fit"])
def test_between_order_and_chance(placement: str) -> None:
    # At 4 % load, 2460 blocks on 128 regions: 122 regions stay free in order, and with the share d at random those
    # that none of 2460 d blocks hit: about 122 × (1 - 1/128)^(2460 d).
    free = [free_regions(placement, displaced) for displaced in (0, 0.01, 0.1, 1)]
    scatter = free_regions("scatter", 0)
    assert free[0] > free[1] > free[2] > free[3] == scatter == 0
    assert free[0] >= 119
    for d, found in zip((0.01, 0.1), free[1:3], strict=True):
        assert found == pytest.approx(122 * (1 - 1 / 128) ** (2460 * d), abs=10)
