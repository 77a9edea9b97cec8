"""Images at many times are what the timeline and the judge say, whatever makes and scans them."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmemgpu.engine.protocol import Engine
from gmemgpu.engine.registry import available_engines
from gmemgpu.model.region_scan import RegionScan
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import traces
from gmemgpu.timeline.build import build_timeline

ENGINES = available_engines()


def by_timeline(trace: Trace, times_ns: list[int]) -> RegionScan:
    """Look up each region's row at each time."""
    line = build_timeline(trace)
    rows = [
        [
            bisect_right(line.t_ns.tolist(), t_ns, begin, end) - 1
            for begin, end in zip(line.offset[:-1].tolist(), line.offset[1:].tolist(), strict=True)
        ]
        for t_ns in times_ns
    ]
    at = np.array(rows, np.int64).reshape(len(times_ns), trace.host.n_regions)
    return RegionScan(line.assigned[at], line.first[at])


@st.composite
def traces_and_times(draw: st.DrawFn) -> tuple[Trace, list[int]]:
    trace = draw(traces())
    of_events = st.sampled_from([0, *trace.t_ns.tolist()])
    times = draw(st.lists(of_events | st.integers(0, trace.horizon_ns - 1), max_size=6))
    return trace, sorted(min(t_ns, trace.horizon_ns - 1) for t_ns in times)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda one: one.name)
@settings(max_examples=settings.default.max_examples // 2)
@given(drawn=traces_and_times())
def test_every_engine_scans_what_the_timeline_says(engine: Engine, drawn: tuple[Trace, list[int]]) -> None:
    expected, found = by_timeline(*drawn), engine.scan_rmp(*drawn)
    for wanted, got in ((expected.assigned, found.assigned), (expected.first, found.first)):
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        assert np.array_equal(got, wanted)
