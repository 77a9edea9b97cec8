"""What makes a host impossible: each property alone, and those that must fit together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gmemgpu.errors import SpecError
from gmemgpu.model.host import Host
from gmemgpu.units import GIB, TIB

SOUND = {"memory_bytes": 2 * GIB, "nodes": 1, "cores": 4, "threads_per_core": 2}


def texts(**changes: Any) -> list[str]:
    try:
        Host(**{**SOUND, **changes})
    except SpecError as error:
        return [str(problem).removeprefix("host.") for problem in error.problems]
    return []


def test_a_wrong_property_does_not_hide_what_the_others_say() -> None:
    assert texts(memory_bytes=4_096_000_000, nodes=3, cores=-4, window_bytes=5, window="local", core=4) == [
        "nodes: 3 nodes do not divide memory_bytes 4096000000 evenly",
        "cores: -4 cannot be used: it must be greater than or equal to 1",
        "window_bytes: 5 cannot be used: it must be a multiple of 1073741824",
        'window: "local" is unknown; did you mean "global"?',
        'core: unknown key; did you mean "cores"?',
    ]


def test_a_wrong_number_of_nodes_divides_nothing() -> None:
    assert texts(nodes=0, cores=3) == ["nodes: 0 cannot be used: it must be greater than or equal to 1"]


def test_cores_are_spread_over_nodes() -> None:
    assert texts(nodes=2, cores=3) == ["cores: 3 cores do not divide evenly into 2 nodes"]


def test_memory_up_to_what_52_bits_address() -> None:
    assert texts(memory_bytes=1 << 52) == []
    assert texts(memory_bytes=(1 << 52) + 4096) == [
        "memory_bytes: 4503599627374592 cannot be used: it must be less than or equal to 4503599627370496"
    ]
    assert texts(memory_bytes=4097) == ["memory_bytes: 4097 cannot be used: it must be a multiple of 4096"]


@pytest.mark.parametrize(("cores", "threads", "sound"), [(1 << 30, 2, True), (1 << 30, 3, False), (1 << 32, 1, False)])
def test_threads_up_to_2_to_the_31(cores: int, threads: int, sound: bool) -> None:
    problem = f"threads_per_core: {cores} cores of {threads} threads are more than 2147483648 threads; lower either"
    assert texts(cores=cores, threads_per_core=threads) == ([] if sound else [problem])


def test_what_is_left_out_is_named_with_its_meaning() -> None:
    with pytest.raises(SpecError) as caught:
        Host(memory_bytes=GIB)  # type: ignore[call-arg]
    assert [str(problem) for problem in caught.value.problems] == [
        "host.nodes: is missing: NUMA nodes, of equal size and with equally many cores.",
        "host.cores: is missing: Cores, not threads: the RMPOPT table is per core.",
        "host.threads_per_core: is missing: Sibling threads of a core.",
    ]


def test_sizes_as_text_and_counts_from_arrays() -> None:
    host = Host(memory_bytes="1.5 TiB", nodes=np.int64(2), cores=np.uint8(4), threads_per_core=1)  # type: ignore[arg-type]
    assert host == Host(memory_bytes=3 * TIB // 2, nodes=2, cores=4, threads_per_core=1)
    assert [type(count) for count in (host.nodes, host.cores)] == [int, int]


@pytest.mark.parametrize("value", [True, 4.0, "4", None])
def test_a_count_is_an_integer(value: object) -> None:
    (text,) = texts(cores=value)
    assert text.endswith("cannot be used: it must be a valid integer")


R = 262_144


def holed(*holes: tuple[int, int], pages: int = 4 * R) -> Host:
    return Host(memory_bytes=pages * 4096, nodes=1, cores=4, threads_per_core=2, holes=holes)


def test_holes_as_a_file_has_them() -> None:
    host = Host(**SOUND, holes=[[7, np.int32(3)]])  # type: ignore[arg-type]
    assert host.holes == ((7, 3),)
    assert (host.pages, host.present_pages, host.n_regions) == (2 * R, 2 * R - 3, 2)


def test_holes_that_overlap_or_touch_are_one() -> None:
    host = holed((20, 5), (10, 5), (12, 1), (15, 4), (19, 1), (100, 1))
    assert host.hole_spans() == [(10, 25), (100, 101)]
    assert host.present_pages == host.pages - 16
    assert holed().hole_spans() == []


@pytest.mark.parametrize(
    ("holes", "regions"),
    [
        ([(0, R)], [0]),
        ([(1, 4 * R - 1)], [1, 2, 3]),
        ([(R, 2 * R - 1)], [1]),
        ([(R - 1, R)], []),
        ([(R, R - 1), (2 * R - 1, 1)], [1]),
    ],
)
def test_regions_wholly_inside_holes_are_covered_by_no_core(holes: list[tuple[int, int]], regions: list[int]) -> None:
    assert holed(*holes).hole_regions() == regions
    assert holed(*holes).covering_cores() == [0 if region in regions else 4 for region in range(4)]


def test_a_partial_last_region_may_be_in_a_hole() -> None:
    assert holed((R, 5), pages=R + 5).hole_regions() == [1]
    assert holed((R, 4), pages=R + 5).hole_regions() == []


@pytest.mark.parametrize(
    ("holes", "problem"),
    [
        ([[2 * R - 1, 2]], "holes: [524287, 2] ends past page 524288; memory_bytes is where physical addresses end"),
        ([[0, 1], [5]], "holes: [5] is no extent; write a list of [first PFN, number of pages]"),
        ([0, 1], "holes: 0 is no extent"),
        ([[-1, 2]], "holes: [-1, 2] is no extent"),
        ([[1, 0]], "holes: [1, 0] is no extent"),
        ([[1, 2.0]], "holes: [1, 2.0] is no extent"),
        ([[1, True]], "holes: [1, True] is no extent"),
        ("none", "holes: 'none' is no extent"),
    ],
)
def test_holes_that_cannot_be(holes: object, problem: str) -> None:
    (text,) = texts(holes=holes)
    assert text.startswith(problem)
