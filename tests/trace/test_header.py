"""A header read from a document: all its faults at once, and back from what it is written as."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from gmemgpu.errors import SpecError
from gmemgpu.model.host import Host
from gmemgpu.trace.header import MAX_HORIZON_NS, Header
from gmemgpu.units import GIB
from gmemgpu.validation import validated

HOST = {"memory_bytes": 2 * GIB, "nodes": 1, "cores": 4, "threads_per_core": 2}


def read(document: dict[str, Any]) -> Header:
    return validated(Header, document, "t: ")


def problems(document: dict[str, Any]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read(document)
    return [str(problem) for problem in caught.value.problems]


def test_is_read_back() -> None:
    header = Header(host=Host(**HOST, window="node"), horizon_ns=100, warmup_ns=7)
    assert read(asdict(header)) == header


def test_warm_up_is_nothing_if_left_out() -> None:
    assert read({"host": HOST, "horizon_ns": 100}) == Header(host=Host(**HOST), horizon_ns=100)


def test_sizes_and_times_as_people_write_them() -> None:
    header = read({"host": {**HOST, "memory_bytes": "2 GiB"}, "horizon_ns": "8 d", "warmup_ns": "1 h"})
    assert header == Header(host=Host(**HOST), horizon_ns=691_200 * 10**9, warmup_ns=3600 * 10**9)


def test_every_mistake_at_once() -> None:
    host = {"memory_bytes": "4 gigs", "nodes": 3, "cores": 4, "threads_per_core": 1.5, "frob": 1, "window": "local"}
    assert [
        problem.split(";")[0] for problem in problems({"host": host, "horizon_ns": -4, "warmup_ns": -1, "x": 0})
    ] == [
        't: host.memory_bytes: "4 gigs" is not a size',
        "t: host.cores: 4 cores do not divide evenly into 3 nodes",
        "t: host.threads_per_core: 1.5 cannot be used: it must be a valid integer",
        't: host.window: "local" is unknown',
        "t: host.frob: unknown key",
        "t: horizon_ns: -4 cannot be used: it must be greater than 0",
        "t: warmup_ns: -1 cannot be used: it must be greater than or equal to 0",
        "t: x: unknown key",
    ]


def test_no_host() -> None:
    table = "A table of memory_bytes, nodes, cores and threads_per_core."
    assert problems({"horizon_ns": 1}) == [f"t: host: is missing: {table}"]
    assert problems({"host": "pod", "horizon_ns": 1}) == ['t: host: "pod" is no table of keys and values']


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"warmup_ns": 5}, ["t: horizon_ns: is missing: End of the trace, in integer ns."]),
        (
            {"horizon_ns": "1 parsec", "warmup_ns": MAX_HORIZON_NS},
            [
                't: horizon_ns: "1 parsec" is not a time; write a number and one of ns, us, µs, ms, s, min, h, d, as '
                'in "10 s"',
                f"t: warmup_ns: {MAX_HORIZON_NS} is outside 0 to {MAX_HORIZON_NS - 1} ns; it must end before the "
                "horizon",
            ],
        ),
        (
            {"horizon_ns": MAX_HORIZON_NS + 1},
            [f"t: horizon_ns: {MAX_HORIZON_NS + 1} cannot be used: it must be less than or equal to {MAX_HORIZON_NS}"],
        ),
        ({"horizon_ns": 10, "warmup_ns": 1.5}, ["t: warmup_ns: 1.5 cannot be used: it must be a valid integer"]),
        ({"horizon_ns": None}, ["t: horizon_ns: None cannot be used: it must be a valid integer"]),
        (
            {"horizon_ns": 10, "warmup_ns": 10},
            ["t: warmup_ns: 10 is outside 0 to 9 ns; it must end before the horizon"],
        ),
    ],
)
def test_times(times: dict[str, Any], expected: list[str]) -> None:
    assert problems({"host": HOST, **times}) == expected
