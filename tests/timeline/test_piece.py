"""Extents cut at region borders."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.timeline.piece import cut_at_regions
from gmemgpu.units import PAGES_PER_REGION, REGION_BYTES

extent = st.tuples(st.integers(0, 4 * PAGES_PER_REGION), st.integers(0, 3 * PAGES_PER_REGION))


@given(st.lists(extent, max_size=8))
def test_pieces_cover_each_extent_in_order_and_stay_in_their_region(extents: list[tuple[int, int]]) -> None:
    n = len(extents)
    pfn, npages = np.array(extents, np.int64).reshape(-1, 2).T
    trace = Trace(
        host=Host(memory_bytes=8 * REGION_BYTES, nodes=1, cores=1, threads_per_core=1),
        horizon_ns=1,
        t_ns=np.zeros(n, np.int64),
        kind=np.full(n, Kind.ASSIGN, np.int8),
        pfn=pfn,
        npages=npages,
        vm=np.zeros(n, np.int32),
        inode=np.zeros(n, np.int32),
        folio_pages=np.ones(n, np.int32),
    )
    pieces = cut_at_regions(trace, np.arange(n))
    assert ((pieces.lo >= 0) & (pieces.lo < pieces.hi) & (pieces.hi <= PAGES_PER_REGION)).all()
    for event, (begin, length) in enumerate(extents):
        mine = pieces.event == event
        at = begin
        for region, lo, hi in zip(pieces.region[mine], pieces.lo[mine], pieces.hi[mine], strict=True):
            assert region * PAGES_PER_REGION + lo == at
            at = region * PAGES_PER_REGION + hi
        assert at == begin + length or not length
