"""Timelines on the device are those of the CPU: the states after each piece, and the rows made of them."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from gmemgpu.engine.cupy.pieces import piece_columns
from gmemgpu.engine.cupy.timelines import owners_bytes, play_pieces
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import traces
from gmemgpu.timeline.build import Timeline, build_timeline, timeline_of, timeline_pieces
from gmemgpu.timeline.region_states import region_states

cupy = pytest.importorskip("cupy", reason="no device, and no g++ to emulate one")

FEWER = settings(max_examples=settings.default.max_examples * 3 // 5)
"""An emulated example takes some hundredths of a second; tests/engine/test_parity.py has them all."""


@pytest.mark.parametrize("room_bytes", [1 << 20, (1 << 13) + 2048])
@FEWER
@given(one=traces(max_events=80), other=traces(max_events=20))
def test_states_after_each_piece(room_bytes: int, one: Trace, other: Trace) -> None:
    found = [timeline_pieces(trace) for trace in (one, other)]
    columns = [piece_columns(each) for each in found]
    budget = owners_bytes(sum(len(each.sizes) for each in columns)) + room_bytes
    states, slice_pieces = play_pieces(columns, budget, cupy.cuda.Stream(non_blocking=True))
    assert sum(slice_pieces) == sum(len(each.op) for each in columns)
    for each, of_trace in zip(found, states, strict=True):
        cut, pieces = each.trace, each.pieces
        for begin, end in pairwise(np.searchsorted(pieces.region, np.arange(cut.host.n_regions + 1)).tolist()):
            event = pieces.event[begin:end]
            expected = region_states(
                cut.kind[event].tolist(), pieces.lo[begin:end].tolist(), pieces.hi[begin:end].tolist(),
                cut.inode[event].tolist(),
            )  # fmt: skip
            for column, wanted in zip(of_trace, expected, strict=True):
                assert column[begin:end].tolist() == wanted


@FEWER
@given(trace=traces(max_events=80))
def test_rows_of_states(trace: Trace) -> None:
    pieces = timeline_pieces(trace)
    (states,), _ = play_pieces([piece_columns(pieces)], 1 << 30, cupy.cuda.Stream(non_blocking=True))
    found, expected = timeline_of(pieces, states), build_timeline(trace)
    for field in fields(Timeline):
        if field.name not in ("trace", "by_inode", "assigns"):
            assert np.array_equal(getattr(found, field.name), getattr(expected, field.name)), field.name
