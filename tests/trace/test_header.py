"""A header read from a document: all its faults at once, and back from what it is written as."""

from __future__ import annotations

from typing import Any

import pytest

from gmemgpu.errors import Problem
from gmemgpu.model.host import Host
from gmemgpu.trace.header import MAX_HORIZON_NS, Header, header_document, header_from_document
from gmemgpu.units import GIB

HOST = {"memory_bytes": 2 * GIB, "nodes": 1, "cores": 4, "threads_per_core": 2}


def read(document: dict[str, Any]) -> tuple[Header | None, list[str]]:
    problems: list[Problem] = []
    header = header_from_document(document, "t", problems)
    return header, [str(problem) for problem in problems]


def test_is_read_back() -> None:
    header = Header(Host(**HOST, window="node"), 100, 7)
    assert read(header_document(header)) == (header, [])


def test_warm_up_is_nothing_if_left_out() -> None:
    assert read({"host": HOST, "horizon_ns": 100}) == (Header(Host(**HOST), 100, 0), [])


def test_a_wrong_type_and_an_unknown_key_hide_nothing() -> None:
    host = {"memory_bytes": "4 GiB", "nodes": 3, "cores": -4, "threads_per_core": 1, "frob": 1, "window": "local"}
    header, problems = read({"host": host, "horizon_ns": -4, "warmup_ns": -1})
    assert header is None
    assert [problem.split(" is ")[0] for problem in problems] == [
        "t: host.frob: unknown key; known: memory_bytes, nodes, cores, threads_per_core, window_bytes, window",
        "t: host.memory_bytes: '4 GiB'",
        "t: host.cores: -4",
        't: host.window: "local"',
        "t: horizon_ns: -4",
        "t: warmup_ns: -1",
    ]


def test_values_that_cannot_fit_together_beside_one_that_is_wrong_alone() -> None:
    host = {"memory_bytes": 4_096_000_001, "nodes": 3, "cores": -4, "threads_per_core": 1}
    assert [problem.split(": ", 1)[1] for problem in read({"host": host, "horizon_ns": -4})[1]] == [
        "host.cores: -4 is not positive",
        "host.memory_bytes: 4096000001 is not a multiple of 4096",
        "host.memory_bytes: 4096000001 does not divide evenly into 3 nodes",
        f"horizon_ns: -4 is outside 1 to {MAX_HORIZON_NS} ns; write the end of the trace",
    ]


@pytest.mark.parametrize(
    ("times", "problems"),
    [
        ({"warmup_ns": 5}, ["t: horizon_ns: is missing; write the end of the trace in integer ns"]),
        (
            {"horizon_ns": "1 s", "warmup_ns": -5},
            [
                "t: horizon_ns: '1 s' is not an integer of nanoseconds",
                f"t: warmup_ns: -5 is outside 0 to {MAX_HORIZON_NS - 1} ns; it must end before the horizon",
            ],
        ),
        ({"horizon_ns": 10, "warmup_ns": 1.5}, ["t: warmup_ns: 1.5 is not an integer of nanoseconds"]),
        ({"horizon_ns": None}, ["t: horizon_ns: None is not an integer of nanoseconds"]),
        (
            {"horizon_ns": 10, "warmup_ns": 10},
            ["t: warmup_ns: 10 is outside 0 to 9 ns; it must end before the horizon"],
        ),
    ],
)
def test_times(times: dict[str, Any], problems: list[str]) -> None:
    assert read({"host": HOST, **times}) == (None, problems)
