"""Timelines on the device are those of the CPU: states after each piece, rows that policies read, totals."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from gmemgpu.engine.class_code import ABSENT
from gmemgpu.engine.cupy.defines import GMEM_FLAG, TotalField
from gmemgpu.engine.cupy.playing import play_trace
from gmemgpu.engine.cupy.resident import Resident
from gmemgpu.engine.cupy.slices import slice_bytes
from gmemgpu.engine.cupy.timelines import build_timelines
from gmemgpu.engine.cupy.trace_input import TraceInput
from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import traces
from gmemgpu.timeline.piece import state_pieces
from gmemgpu.timeline.region_states import region_states
from gmemgpu.timeline.snp import FOREVER

cupy = pytest.importorskip("cupy", reason="no device, and no g++ to emulate one")

FEWER = settings(max_examples=settings.default.max_examples * 3 // 5)
"""An emulated example takes some hundredths of a second; tests/engine/test_parity.py has them all."""

_COLUMNS = ("ASSIGNED", "GMEM", "EVICTING", "USED", "FIRST")


def uploaded(trace: Trace) -> tuple[Resident, object]:
    stream = cupy.cuda.Stream(non_blocking=True)
    resident = Resident(TraceInput(trace), [])
    resident.upload(stream)
    return resident, stream


def with_rows(trace: Trace, lists: int = 1) -> tuple[Resident, object]:
    resident, stream = uploaded(trace)
    pieces, n_regions = resident.input.pieces, resident.input.n_regions
    whole = slice_bytes(pieces, 0, n_regions)
    largest = max(slice_bytes(pieces, region, region + 1) for region in range(n_regions))
    build_timelines([resident], max(-(-whole // lists), largest), 1 << 40, stream)
    return resident, stream


@FEWER
@given(trace=traces(max_events=80))
def test_states_after_each_piece(trace: Trace) -> None:
    resident, stream = uploaded(trace)
    found = play_trace(resident, stream)
    cut = resident.input.trace
    pieces = state_pieces(cut, resident.input.by_inode)
    for begin, end in pairwise(resident.input.pieces.offset.tolist()):
        event = pieces.event[begin:end]
        expected = region_states(
            cut.kind[event].tolist(), pieces.lo[begin:end].tolist(), pieces.hi[begin:end].tolist(),
            cut.inode[event].tolist(),
        )  # fmt: skip
        for name, column in zip(_COLUMNS, expected, strict=True):
            assert found[f"STATE_{name}"][begin:end].tolist() == column, name


@pytest.mark.parametrize("lists", [1, 4])
@FEWER
@given(trace=traces(max_events=80))
def test_class_rows_and_falls(lists: int, trace: Trace) -> None:
    resident, stream = with_rows(trace, lists)
    prepared = Prepared(trace)
    ns, code = (resident.rows[name].get().tolist() for name in ("CLASS_NS", "CLASS_CODE"))
    noticed = prepared.noticed
    bounds = noticed.searchsorted(prepared.timeline.offset)
    for (begin, end), (lo, hi) in zip(
        pairwise(resident.offsets["CLASS_OFFSET"].tolist()), pairwise(bounds.tolist()), strict=True
    ):
        # One more row ends each region's.
        assert ns[begin : end - 1] == prepared.timeline.t_ns[noticed[lo:hi]].tolist()
        assert [c & (GMEM_FLAG - 1) for c in code[begin : end - 1]] == prepared.codes[lo:hi].tolist()
        assert [c >= GMEM_FLAG for c in code[begin : end - 1]] == prepared.gmem[lo:hi].tolist()
        assert (ns[end - 1], code[end - 1]) == (FOREVER, ABSENT)
    fall_ns, position = resident.falls(stream)
    fell = prepared.runs.fell & prepared.cores[prepared.runs.region].astype(bool)
    assert sorted(zip(fall_ns.tolist(), resident.input.region_of[position].tolist(), strict=True)) == sorted(
        zip(prepared.runs.begin_ns[fell].tolist(), prepared.runs.region[fell].tolist(), strict=True)
    )


@FEWER
@given(trace=traces(max_events=80))
def test_rows_of_used_pages_carry_their_integral(trace: Trace) -> None:
    resident, _ = with_rows(trace)
    line = Prepared(trace).timeline
    ns, pages, high, low = (resident.rows[f"USED_{name}"].get().tolist() for name in ("NS", "PAGES", "HIGH", "LOW"))
    for region, (begin, end) in enumerate(pairwise(resident.offsets["USED_OFFSET"].tolist())):
        part = slice(line.offset[region], line.offset[region + 1])
        steps = [(line.t_ns[part][0], line.used[part][0])]
        steps += [(t, u) for t, u, d in zip(line.t_ns[part][1:], line.used[part][1:], np.diff(line.used[part])) if d]  # noqa: B905
        assert list(zip(ns[begin:end], pages[begin:end], strict=True)) == steps
        integral = 0
        for row in range(begin, end):
            if row > begin:
                integral += pages[row - 1] * (ns[row] - ns[row - 1])
            assert (high[row] << 20) + low[row] == integral


@FEWER
@given(trace=traces(max_events=80))
def test_totals(trace: Trace) -> None:
    resident, stream = with_rows(trace)
    prepared = Prepared(trace)
    totals = resident.totals(stream)
    assert int(totals[:, TotalField.EPISODES].sum()) == prepared.constant_metrics["episodes"]
    assert int(totals[:, TotalField.LASTING].sum()) == prepared.n_lasting


def test_a_region_without_pieces_is_free_for_ever() -> None:
    none = np.zeros(0, np.int64)
    from by_hand import host, trace

    resident, _ = with_rows(trace(on=host(2)))
    assert resident.rows["CLASS_NS"].get().tolist() == [0, FOREVER, 0, FOREVER]
    assert len(none) == resident.n_falls == 0
