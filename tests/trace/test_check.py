from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gmemgpu.errors import TraceError
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.trace.check import check_trace, trace_problems
from gmemgpu.units import GIB, INT64_MAX

PAGES = 2 * 262_144
HOST = Host(memory_bytes=2 * GIB, nodes=1, cores=4, threads_per_core=2)
ASSIGN, USE, EVICT_BEGIN, VM_DESTROY = 0, 5, 7, 10


def trace_of(*rows: tuple[int, int, int, int, int, int, int], host: Host = HOST, **header: int) -> Trace:
    columns = np.array(rows, np.int64).reshape(-1, 7).T
    return Trace(
        host=host,
        horizon_ns=header.get("horizon_ns", 1000),
        warmup_ns=header.get("warmup_ns", 0),
        t_ns=columns[0],
        kind=columns[1].astype(np.int8),
        pfn=columns[2],
        npages=columns[3],
        vm=columns[4].astype(np.int32),
        inode=columns[5].astype(np.int32),
        folio_pages=columns[6].astype(np.int32),
    )


def texts(trace: Trace) -> list[str]:
    return [str(problem) for problem in trace_problems(trace, "t")]


@pytest.mark.parametrize(
    "row",
    [
        (0, ASSIGN, 0, 1, 1, 1, 1),
        (0, ASSIGN, 0, PAGES, -1, -1, 262_144),
        (0, USE, PAGES - 1, 1, 2**31 - 1, 2**31 - 1, 512),
        (0, ASSIGN, PAGES, 0, 1, 1, 1),
        (0, VM_DESTROY, 0, 0, -1, -1, 0),
    ],
)
def test_sound_rows(row: tuple[int, int, int, int, int, int, int]) -> None:
    assert texts(trace_of(row)) == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ((-1, ASSIGN, 0, 1, 1, 1, 1), "t: row 1, column t_ns: -1 is negative; a trace starts at 0"),
        ((0, 15, 0, 0, 1, 1, 0), "t: row 1, column kind: code 15 is unknown; codes are 0 to 14"),
        ((0, -3, 0, 0, 1, 1, 0), "t: row 1, column kind: code -3 is unknown; codes are 0 to 14"),
        ((0, ASSIGN, PAGES, 1, 1, 1, 1), "1 pages from 524288 are not inside the host of 524288 pages"),
        ((0, ASSIGN, PAGES + 1, 0, 1, 1, 1), "0 pages from 524289 are not inside the host"),
        ((0, ASSIGN, 1, PAGES, 1, 1, 1), "524288 pages from 1 are not inside the host of 524288 pages"),
        ((0, ASSIGN, INT64_MAX, INT64_MAX, 1, 1, 1), f"{INT64_MAX} pages from {INT64_MAX} are not inside the host"),
        ((0, ASSIGN, 1, INT64_MAX, 1, 1, 1), f"{INT64_MAX} pages from 1 are not inside the host"),
        ((0, ASSIGN, -1, 1, 1, 1, 1), "1 pages from -1 are not inside the host"),
        ((0, ASSIGN, PAGES, 1, 1, 1, 1), "memory_bytes is where physical addresses end, holes included"),
        ((0, ASSIGN, -INT64_MAX - 1, 1, 1, 1, 1), f"1 pages from {-INT64_MAX - 1} are not inside the host"),
        ((0, ASSIGN, 0, -1, 1, 1, 1), "t: row 1, column npages: -1 is negative; an extent has 0 or more pages"),
        (
            (0, ASSIGN, 0, 1, 1, 1, 2),
            "t: row 1, column folio_pages: 2 is no folio size; an extent takes 1, 512, 262144",
        ),
        ((0, ASSIGN, 0, 1, 1, 1, 0), "t: row 1, column folio_pages: 0 is no folio size"),
        (
            (0, EVICT_BEGIN, 7, 0, 1, 1, 0),
            "t: row 1, column pfn: 7 with kind evict_begin, which has no extent; write 0",
        ),
        ((0, EVICT_BEGIN, 0, 7, 1, 1, 0), "t: row 1, column npages: 7 with kind evict_begin"),
        ((0, EVICT_BEGIN, 0, 0, 1, 1, 1), "t: row 1, column folio_pages: 1 with kind evict_begin"),
        ((0, ASSIGN, 0, 1, -2, 1, 1), "t: row 1, column vm: -2 is no id; write -1 for none"),
        ((0, ASSIGN, 0, 1, 1, -2, 1), "t: row 1, column inode: -2 is no id; write -1 for none"),
    ],
)
def test_a_broken_row_is_one_problem(row: tuple[int, int, int, int, int, int, int], problem: str) -> None:
    (text,) = texts(trace_of(row))
    assert problem in text


def test_a_trace_of_which_nothing_counts_is_refused() -> None:
    rows = [(t, EVICT_BEGIN, 0, 0, 1, 1, 0) for t in (1000, 1000, INT64_MAX)]
    assert texts(trace_of(*rows)) == [
        "t: column t_ns: none of 3 events is before the horizon, 1000, so that nothing counts; the first is at 1000. "
        "Times are from the start of the trace: subtract that from each, or raise horizon_ns"
    ]
    assert texts(trace_of((999, EVICT_BEGIN, 0, 0, 1, 1, 0), *rows)) == []


def test_no_event_touches_a_hole() -> None:
    host = Host(memory_bytes=2 * GIB, nodes=1, cores=4, threads_per_core=2, holes=[[100, 5], [105, 5], [200, 10]])
    extents = [(0, 100), (110, 90), (210, 1), (105, 0), (95, 6), (109, 1), (0, PAGES), (150, 51), (PAGES, 1)]
    trace = trace_of(*((i, USE, pfn, npages, 1, 1, 1) for i, (pfn, npages) in enumerate(extents)), host=host)
    assert [text.partition(", where")[0] for text in texts(trace)] == [
        "t: row 9, column pfn: 1 pages from 524288 are not inside the host of 524288 pages; is it the trace of another "
        "host? memory_bytes is where physical addresses end, holes included: write what has no memory as holes = "
        "[[PFN, PAGES]] of the host",
        "t: row 5, column pfn: 6 pages from 95 touch the hole from 100 up to 110",
        "t: row 6, column pfn: 1 pages from 109 touch the hole from 100 up to 110",
        "t: row 7, column pfn: 524288 pages from 0 touch the hole from 100 up to 110",
        "t: row 8, column pfn: 51 pages from 150 touch the hole from 200 up to 210",
    ]
    assert texts(trace)[1].endswith(", where the host has no memory; no event may: mend the row, or the host's holes")


def test_unsorted_times_name_the_row_that_comes_too_late() -> None:
    rows = [(t, EVICT_BEGIN, 0, 0, 1, 1, 0) for t in (0, 5, 4, 4, 9, 8)]
    assert texts(trace_of(*rows)) == [
        "t: row 3, column t_ns: 4 is before 5 of the row above; sort the rows by t_ns, ties as they happened",
        "t: row 6, column t_ns: 8 is before 9 of the row above; sort the rows by t_ns, ties as they happened",
    ]


def test_a_vm_is_destroyed_once() -> None:
    vms = [4, -1, 2, 4, -1, 4]
    assert texts(trace_of(*((t, VM_DESTROY, 0, 0, vm, -1, 0) for t, vm in enumerate(vms)))) == [
        "t: row 4, column vm: VM 4 is destroyed again, after row 1; ids are never reused",
        "t: row 6, column vm: VM 4 is destroyed again, after row 1; ids are never reused",
    ]


def test_events_of_a_vm_after_its_destruction_are_sound() -> None:
    assert texts(trace_of((0, VM_DESTROY, 0, 0, 1, -1, 0), (1, ASSIGN, 0, 1, 1, 1, 1))) == []


def test_an_empty_trace_is_valid() -> None:
    assert texts(trace_of()) == []


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"horizon_ns": 0}, "t: horizon_ns: 0 cannot be used: it must be greater than 0"),
        ({"horizon_ns": -5}, "t: horizon_ns: -5 cannot be used"),
        ({"horizon_ns": INT64_MAX}, f"t: horizon_ns: {INT64_MAX} cannot be used: it must be less than or equal to"),
        ({"horizon_ns": 10, "warmup_ns": 10}, "t: warmup_ns: 10 is outside 0 to 9"),
        ({"warmup_ns": -1}, "t: warmup_ns: -1 cannot be used"),
    ],
)
def test_header_bounds(header: dict[str, int], problem: str) -> None:
    (text,) = texts(trace_of(**header))
    assert text.startswith(problem)


def test_every_rule_is_reported_at_once() -> None:
    rows = [(5, ASSIGN, PAGES, 1, -2, 1, 3), (4, 15, 0, 0, 1, 1, 0), (6, EVICT_BEGIN, 1, 0, 1, -9, 0)]
    blamed = [text.split(":")[1].strip() for text in texts(trace_of(*rows, horizon_ns=0))]
    assert blamed == [
        "horizon_ns",
        "row 2, column kind",
        "row 2, column t_ns",
        "row 1, column pfn",
        "row 1, column folio_pages",
        "row 3, column pfn",
        "row 1, column vm",
        "row 3, column inode",
    ]


def test_rows_beyond_twenty_are_counted() -> None:
    problems = texts(trace_of(*((t, ASSIGN, 0, 1, 1, 1, 3) for t in range(25))))
    assert len(problems) == 21
    assert problems[-1] == "t: column folio_pages: … and 5 more rows where it is no folio size"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"t_ns": np.zeros(1)}, "t: column t_ns: is float64 of shape (1,), not int64 of (1,)"),
        ({"vm": np.zeros(1, np.int64)}, "t: column vm: is int64 of shape (1,), not int32 of (1,)"),
        ({"pfn": np.zeros(2, np.int64)}, "t: column pfn: is int64 of shape (2,), not int64 of (1,)"),
        ({"kind": [0]}, "t: column kind: is list of shape (1,), not int8 of (1,)"),
    ],
)
def test_arrays_of_another_type_or_shape(change: dict[str, object], problem: str) -> None:
    trace = replace(trace_of((0, ASSIGN, 0, 1, 1, 1, 1)), **change)  # type: ignore[arg-type]
    assert texts(trace) == [problem]


def test_check_raises_all_of_it() -> None:
    check_trace(trace_of())
    with pytest.raises(TraceError) as caught:
        check_trace(trace_of((-1, ASSIGN, -1, 1, 1, 1, 1)), "mine")
    assert [problem.where for problem in caught.value.problems] == [
        "mine: row 1, column t_ns",
        "mine: row 1, column pfn",
    ]
