from __future__ import annotations

import pytest

from gmemgpu.errors import SpecError
from gmemgpu.model.host import Host
from gmemgpu.placement.host_map import map_host
from gmemgpu.units import GIB
from gmemgpu.workload.guest_memory import GuestMemory, Reserved

MIB_PAGES = 256


def host(gib: int, nodes: int = 1) -> Host:
    return Host(memory_bytes=gib * GIB, nodes=nodes, cores=8, threads_per_core=2)


def test_small_host_has_a_proportional_rmp_and_keeps_region_0() -> None:
    map_ = map_host(host(2), GuestMemory())
    # 2 GiB are 524288 pages of 16 bytes of RMP: 8 MiB, 2048 pages, at the top.
    assert map_.assigned == ((256, 8), (524_288 - 2048, 2048))
    assert map_.in_use == ((0, 262_144),)
    assert map_.free == (((512, 508),),)


def test_every_segment_has_its_rmp_at_its_top() -> None:
    map_ = map_host(host(160, 2), GuestMemory(firmware_pages=0))
    gib = 262_144
    # 64, 64 and 32 GiB: 256, 256 and 128 MiB.
    assert map_.assigned == (
        (64 * gib - 256 * MIB_PAGES, 256 * MIB_PAGES),
        (128 * gib - 256 * MIB_PAGES, 256 * MIB_PAGES),
        (160 * gib - 128 * MIB_PAGES, 128 * MIB_PAGES),
    )
    assert map_.node_blocks == 80 * 512
    assert map_.free == (
        ((512, 63 * 512 - 128), (64 * 512, 16 * 512)),
        ((80 * 512, 48 * 512 - 128), (128 * 512, 32 * 512 - 64)),
    )


def test_reserved_extents_are_no_guests_and_assigned_only_if_said() -> None:
    memory = GuestMemory(
        reserved=(
            Reserved(start_bytes="1025 MiB", size_bytes="4 KiB"),
            Reserved(start_bytes=GIB + 4096, size_bytes=5000, assigned=True),
        )
    )
    map_ = map_host(host(2), memory)
    # The first page of the odd MiB spoils block 512; so do two pages from page 1 of the same block.
    assert map_.free == (((513, 507),),)
    assert map_.assigned[-1] == (262_145, 2)
    assert len(map_.assigned) == 3


def test_what_does_not_fit_the_host_is_said_at_once() -> None:
    memory = GuestMemory(reserved=(Reserved(start_bytes="3 GiB", size_bytes="2 GiB"),))
    with pytest.raises(SpecError) as caught:
        map_host(Host(memory_bytes=4 * GIB, nodes=4096, cores=4096, threads_per_core=1), memory)
    assert [problem.where for problem in caught.value.problems] == ["host.memory_bytes", "memory.reserved[0]"]
    assert "move or shrink it" in str(caught.value)


def holed(gib: int, *holes: tuple[int, int]) -> Host:
    return Host(memory_bytes=gib * GIB, nodes=1, cores=8, threads_per_core=2, holes=holes)


def test_holes_are_no_guests() -> None:
    gib = 262_144
    # The second segment is a hole but for its first GiB, above which its RMP of 256 MiB finds no room.
    map_ = map_host(holed(128, (3 * gib, gib + 1), (65 * gib, 63 * gib)), GuestMemory(firmware_pages=0))
    rmp = 256 * MIB_PAGES
    assert map_.assigned == ((64 * gib - rmp, rmp), (65 * gib - rmp, rmp))
    # A block with a page of a hole is no guest's either.
    assert map_.free == (((512, 2 * 512), (4 * 512 + 1, 60 * 512 - 1 - 128), (64 * 512, 512 - 128)),)


def test_a_segment_without_memory_has_no_rmp() -> None:
    gib = 262_144
    map_ = map_host(holed(128, (64 * gib, 64 * gib)), GuestMemory(firmware_pages=0))
    assert len(map_.assigned) == 1


def test_holes_where_something_must_be_are_refused() -> None:
    gib = 262_144
    memory = GuestMemory(reserved=(Reserved(start_bytes="3 GiB", size_bytes="4 KiB"),))
    with pytest.raises(SpecError) as caught:
        map_host(holed(64, (0, 1), (2 * gib, gib + 1), (30_000, 20 * gib), (20 * gib, 44 * gib - 9)), memory)
    assert [problem.where for problem in caught.value.problems] == ["memory.reserved[0]", "host.holes", "host.holes"]
    assert "leave no 65536 pages in one piece" in caught.value.problems[2].message
