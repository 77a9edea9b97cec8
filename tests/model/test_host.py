"""What makes a host impossible: each property alone, and those that must fit together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gmemgpu.model.host import Host, host_problems, host_value_problems
from gmemgpu.units import GIB

HOST = Host(memory_bytes=2 * GIB, nodes=1, cores=4, threads_per_core=2)


def texts(**changes: int) -> list[str]:
    return [str(problem) for problem in host_problems(replace(HOST, **changes))]


def test_a_wrong_property_does_not_hide_what_the_others_say() -> None:
    assert texts(memory_bytes=4_000_000_001, nodes=3, cores=-4) == [
        "host.cores: -4 is not positive",
        "host.memory_bytes: 4000000001 is not a multiple of 4096",
        "host.memory_bytes: 4000000001 does not divide evenly into 3 nodes",
    ]


def test_a_wrong_number_of_nodes_divides_nothing() -> None:
    assert texts(nodes=0, cores=3) == ["host.nodes: 0 is not positive"]


def test_memory_up_to_what_52_bits_address() -> None:
    assert texts(memory_bytes=1 << 52) == []
    assert texts(memory_bytes=(1 << 52) + 4096) == [
        "host.memory_bytes: 4503599627374592 is more than 4 PiB (4503599627370496), all that 52 bits can address"
    ]


@pytest.mark.parametrize(("cores", "threads", "sound"), [(1 << 30, 2, True), (1 << 30, 3, False), (1 << 32, 1, False)])
def test_threads_up_to_2_to_the_31(cores: int, threads: int, sound: bool) -> None:
    problem = f"host.cores: {cores} cores of {threads} threads are more than 2147483648 threads; lower either"
    assert texts(cores=cores, threads_per_core=threads) == ([] if sound else [problem])


def test_what_could_not_be_read_is_left_alone() -> None:
    assert host_value_problems({}, "host") == []
    assert [str(p) for p in host_value_problems({"nodes": 3, "cores": 4}, "h")] == [
        "h.cores: 4 cores do not divide evenly into 3 nodes"
    ]
