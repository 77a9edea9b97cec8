"""Traces that a spec writes out: rows, repetitions, and mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gmemgpu.errors import SpecError
from gmemgpu.generator import generate
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import COLUMNS
from gmemgpu.workload.preset import workload_from_mapping
from gmemgpu.workload.spec import Workload

HOST = {"memory_bytes": "4 GiB", "nodes": 1, "cores": 4, "threads_per_core": 2}


def workload(*events: dict[str, Any], **more: Any) -> Workload:
    table = {"host": HOST, "horizon_ns": "1 min", "event": list(events), **more}
    return workload_from_mapping(table, "", Path())


def rows(*events: dict[str, Any]) -> list[tuple[int, ...]]:
    trace = generate(workload(*events), seed=0).trace
    return list(zip(*(getattr(trace, name).tolist() for name in COLUMNS), strict=True))


def test_repetitions_step_in_time_memory_and_ids() -> None:
    event = {"t_ns": "1 us", "kind": "release", "pfn": 8, "npages": 2, "vm": 3, "inode": 5, "times": 3}
    steps = {"step_ns": 7, "step_pages": 0x40000, "step_ids": 10}
    found = rows({**event, **steps})
    assert found == [
        (1000, Kind.RELEASE, 8, 2, 3, 5, 1),
        (1007, Kind.RELEASE, 8 + 0x40000, 2, 13, 15, 1),
        (1014, Kind.RELEASE, 8 + 0x80000, 2, 23, 25, 1),
    ]


def test_rows_are_sorted_by_time_and_ties_stay_as_written() -> None:
    found = rows(
        {"t_ns": 5, "kind": "vm_destroy", "vm": 1},
        {"t_ns": 0, "kind": "assign", "npages": 1, "times": 2, "step_ns": 5, "step_pages": 1},
        {"t_ns": 5, "kind": "snp_init"},
    )
    assert [(row[0], row[1]) for row in found] == [
        (0, Kind.ASSIGN),
        (5, Kind.VM_DESTROY),
        (5, Kind.ASSIGN),
        (5, Kind.SNP_INIT),
    ]
    # Who has no id gets none by being repeated; life-cycle kinds have no folio.
    assert [row[4:] for row in found] == [(-1, -1, 1), (1, -1, 0), (-1, -1, 1), (-1, -1, 0)]


def test_nothing_may_happen() -> None:
    made = generate(workload(), seed=0)
    assert len(made.trace) == 0
    assert (made.trace.horizon_ns, made.trace.host.n_regions) == (60 * 10**9, 4)
    assert (made.admitted, made.rejected) == (0, 0)


@pytest.mark.parametrize(
    ("event", "more", "message"),
    [
        ({"kind": "asign"}, {}, 'event[0].kind: "asign": unknown kind; did you mean "assign"?'),
        ({"kind": "use", "pfn": 0xFFFFF, "npages": 2}, {}, "2 pages from 1048575 are not inside the host of 1048576"),
        ({"kind": "evict_end", "npages": 2}, {}, "2 with kind evict_end, which has no extent; write 0"),
        ({"kind": "vm_destroy", "vm": 1, "times": 2}, {}, "VM 1 is destroyed again, after row 1"),
        ({"kind": "snp_init", "times": 99, "step_ns": 1 << 60}, {}, "step_ns 1152921504606846976 leads past 2^63 ns"),
        ({"kind": "snp_init", "vm": 1, "times": 99, "step_ids": 1 << 30}, {}, "step_ids 1073741824 leads past 2^31"),
        ({"kind": "snp_init"}, {"stock": {"vms": 3}}, "stock means nothing beside event; remove it"),
        ({"kind": "snp_init"}, {"preset": "iaas-mixed"}, "preset means nothing beside event; remove it"),
    ],
)
def test_mistakes_are_named(event: dict[str, Any], more: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        workload({"t_ns": 0, **event}, **more)
    assert message in str(caught.value)


def test_a_mistake_that_is_repeated_is_named_once() -> None:
    past = {"t_ns": 0, "kind": "assign", "npages": 0x40000, "times": 99, "step_pages": 0x40000}
    with pytest.raises(SpecError) as caught:
        workload({"t_ns": 0, "kind": "snp_init"}, past, {**past, "kind": "use", "times": 2, "step_pages": 0x100000})
    text = str(caught.value)
    assert text.count("event: row 2, column pfn: 262144 pages from 1048576 are not inside") == 1
    assert text.count("event: row 2") == 1
    assert "more rows" in text
