"""Timelines of the device are those of the CPU: the rows that engines read, of whole batches and in slices."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from by_hand import ev, host, trace
from hypothesis import given, settings
from hypothesis import strategies as st
from joined_columns import joined_columns

from gmemgpu.engine.array.constants import used_between
from gmemgpu.engine.array.xp.on_numpy import NUMPY
from gmemgpu.engine.cupy.timelines import PIECE_BYTES, PlayedTraces, least_bytes, play_traces
from gmemgpu.engine.cupy.transfer import Arena
from gmemgpu.generator import generate
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import traces
from gmemgpu.timeline.integral import UsedIntegral
from gmemgpu.units import PAGES_PER_REGION
from gmemgpu.workload.preset import preset, preset_names, small_variant

cupy = pytest.importorskip("cupy", reason="no device, and no g++ to emulate one")

FEWER = settings(max_examples=settings.default.max_examples * 3 // 5)
"""An emulated example takes some hundredths of a second; tests/engine/test_parity.py has them all."""

BATCHES = st.lists(traces(max_events=40), min_size=1, max_size=4)


def same(got: Any, wanted: Any) -> None:
    """Compare two dataclasses of arrays, types included."""
    for field in fields(wanted):
        one, other = getattr(got, field.name), getattr(wanted, field.name)
        assert one.dtype == other.dtype, field.name
        assert one.tolist() == other.tolist(), field.name


def played(of: Sequence[Trace], most_pieces: int = 1 << 20) -> PlayedTraces:
    """Play traces with room for so many pieces, and compare the rows of each with those of the CPU."""
    cut = [each.before_horizon() for each in of]
    stream = cupy.cuda.Stream(non_blocking=True)
    least = least_bytes(sum(map(len, cut)), sum(each.host.n_regions for each in cut))
    found = play_traces(cut, least + most_pieces * PIECE_BYTES, Arena(), stream, clearings=True)
    wanted = joined_columns(cut)
    columns = found.columns
    for name in ("event_at", "region_at"):
        assert getattr(columns, name).tolist() == getattr(wanted, name).tolist()
    same(columns.events, wanted.events)
    same(columns.rows, wanted.rows)
    for got, right in zip(columns.clearings(), wanted.clearings(), strict=True):
        assert got.tolist() == right.tolist()
    for name in ("inode", "vm"):
        for got, right in zip(columns.owners(name), wanted.owners(name), strict=True):
            assert got.tolist() == right.tolist()
    assert (columns.used is None) == (wanted.used is None)
    if columns.used is not None and wanted.used is not None:
        used = UsedIntegral(*(getattr(columns.used, name).get() for name in UsedIntegral.__slots__))
        for name in ("offset", "t_ns", "used"):
            assert getattr(used, name).tolist() == getattr(wanted.used, name).tolist(), name
        region = np.arange(int(wanted.region_at[-1]), dtype=np.int32)
        ends_ns = np.repeat([each.horizon_ns for each in cut], np.diff(wanted.region_at))
        for begin_ns in (0 * ends_ns, ends_ns // 3):
            both = (used_between(NUMPY, of, region, begin_ns, ends_ns) for of in (used, wanted.used))
            for got, right in zip(*both, strict=True):
                assert got.tolist() == right.tolist()
    return found


@FEWER
@given(of=BATCHES)
def test_rows_of_batches(of: list[Trace]) -> None:
    assert len(played(of).slice_pieces) == 1


@FEWER
@given(of=BATCHES)
def test_rows_of_slices(of: list[Trace]) -> None:
    found = played(of, most_pieces=40)
    assert max(found.slice_pieces) <= 40
    assert sum(found.slice_pieces) == sum(played(of).slice_pieces)


@pytest.mark.parametrize("name", preset_names())
def test_rows_of_presets(name: str) -> None:
    workload = small_variant(preset(name))
    played([generate(workload, seed).trace for seed in range(2)])


NO_EVENTS = trace(on=host(2))
NO_EVICTION = trace(ev(1, "assign", 0, inode=1), ev(2, "use", 1), ev(3, "release", 0, inode=1), on=host(3))
EVICTIONS_ONLY = trace(ev(1, "evict_begin", inode=3), ev(2, "evict_end", inode=3), ev(3, "evict_begin"), on=host(1))


@pytest.mark.parametrize(
    "of",
    [
        [NO_EVENTS],
        [EVICTIONS_ONLY],
        [NO_EVENTS, NO_EVICTION, NO_EVENTS],
        # The same ids in each: an eviction concerns its own trace.
        [NO_EVICTION, EVICTIONS_ONLY, replace(NO_EVICTION, horizon_ns=3), NO_EVICTION],
    ],
)
def test_traces_that_lack_something(of: list[Trace]) -> None:
    played(of)


def test_owners_of_shared_words() -> None:
    # Pages of three inodes in one word of 32, of which one comes anew, goes in part, or is evicted.
    events = [
        ev(1, "assign", 0, inode=1, page=0, pages=40),
        ev(2, "assign", 0, inode=2, page=5, pages=7),
        ev(3, "assign", 0, inode=3, page=9, pages=9),
        ev(4, "evict_begin", inode=2),
        ev(5, "assign", 0, inode=2, page=31, pages=2),
        ev(6, "release", 0, page=6, pages=2),
        ev(7, "assign", 0, inode=1, page=6, pages=1),
        ev(8, "evict_begin", inode=1),
        ev(9, "evict_end", inode=2),
        ev(10, "assign", 0, inode=3, page=0, pages=64),
        ev(11, "evict_begin", inode=3),
    ]
    found = played([trace(*events, on=host(1))])
    assert found.columns.rows.evicting.tolist()[-1] == 64


@pytest.mark.parametrize("n_ties", [1, 2, 5])
def test_ties(n_ties: int) -> None:
    # Of many events at once the last one counts, also at 0.
    events = [ev(t, ("assign", "release")[k % 2], 0, page=k % 3) for t in (0, 0, 4, 9) for k in range(n_ties)]
    played([trace(*events, on=host(1))] * 2)


def test_an_event_over_many_regions() -> None:
    whole = ev(1, "use", 0, page=7, pages=5 * PAGES_PER_REGION)
    found = played([trace(whole, ev(2, "assign", 2, inode=1), on=host(6))], most_pieces=2)
    assert sum(found.slice_pieces) == 7


def test_no_more_memory_is_taken_than_was_predicted() -> None:
    if not hasattr(cupy, "is_emulated"):
        pytest.skip("what else uses a real device cannot be told apart")
    from strict_cupy import device

    # Each event changes the class and what is in use: all pieces are rows.
    kinds = ("use", "assign", "release", "unuse")
    busy = trace(*[ev(1 + t, kinds[t % 4], 0, page=7) for t in range(4_000)], on=host(1))
    gc.collect()
    before = device.used_bytes
    device.peak_bytes = before
    found = played([busy])
    noted = least_bytes(0, 1) - least_bytes(0, 0)  # owners of pages: nothing is evicted here
    # What sorts and sums take beside their arrays is not emulated.
    assert 0.5 < (device.peak_bytes - before) / (found.predicted_bytes - noted) < 0.9
