"""The RMP image holds exactly the pages that events before a time left assigned."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.rmp.image import REGION_IMAGE_BYTES, WORDS_PER_REGION, rmp_image
from gmemgpu.rmp.scan import scan_regions
from gmemgpu.testing.strategies import traces
from gmemgpu.timeline.build import build_timeline
from gmemgpu.units import PAGES_PER_REGION


def trace_of(pages: int, events: list[tuple[int, Kind, int, int]], horizon_ns: int = 100) -> Trace:
    t_ns, kind, pfn, npages = (np.array(column, np.int64) for column in zip(*events, strict=True))
    ids = np.zeros(len(events), np.int32)
    return Trace(
        host=Host(memory_bytes=4096 * pages, nodes=1, cores=1, threads_per_core=1),
        horizon_ns=horizon_ns,
        t_ns=t_ns,
        kind=kind.astype(np.int8),
        pfn=pfn,
        npages=npages,
        vm=ids,
        inode=ids,
        folio_pages=np.ones(len(events), np.int32),
    )


def pages_of(trace: Trace, t_ns: int) -> list[int]:
    bits = np.unpackbits(rmp_image(trace, t_ns).view(np.uint8), bitorder="little")
    return np.flatnonzero(bits).tolist()


def test_a_bit_a_page_from_the_lowest() -> None:
    last = PAGES_PER_REGION - 1
    trace = trace_of(PAGES_PER_REGION, [(0, Kind.ASSIGN, pfn, 1) for pfn in (0, 63, 64, last)])
    image = rmp_image(trace, 0)
    assert (image.shape, image.dtype, image[0].nbytes) == ((1, WORDS_PER_REGION), np.uint64, REGION_IMAGE_BYTES)
    assert {int(i): int(image[0, i]) for i in np.flatnonzero(image)} == {0: 1 << 63 | 1, 1: 1, 4095: 1 << 63}


def test_time_decides_and_then_the_order_of_events() -> None:
    events = [
        (0, Kind.ASSIGN, 10, 4),
        (5, Kind.RELEASE, 11, 1),
        (5, Kind.ASSIGN, 20, 1),
        (7, Kind.ASSIGN, 11, 1),
        (7, Kind.SHARE, 11, 2),
        (9, Kind.USE, 50, 1),
        (9, Kind.INVALIDATE, 10, 4),
        (100, Kind.RELEASE, 0, 100),
    ]
    trace = trace_of(100, events)
    assert pages_of(trace, -1) == []
    assert pages_of(trace, 4) == [10, 11, 12, 13]
    assert pages_of(trace, 5) == pages_of(trace, 6) == [10, 12, 13, 20]
    assert pages_of(trace, 7) == [10, 13, 20]
    assert pages_of(trace, 10**18) == [10, 13, 20]  # nothing happens at the horizon


def test_extents_cross_regions_and_the_last_region_is_padded() -> None:
    pages = 2 * PAGES_PER_REGION + 100
    trace = trace_of(pages, [(0, Kind.ASSIGN, PAGES_PER_REGION - 3, PAGES_PER_REGION + 103)])
    image = rmp_image(trace, 0)
    assert image.shape == (3, WORDS_PER_REGION)
    assert np.bitwise_count(image).sum(axis=1).tolist() == [3, PAGES_PER_REGION, 100]
    assert pages_of(trace, 0)[-1] == pages - 1


@given(trace=traces(), data=st.data())
def test_the_image_agrees_with_the_timeline(trace: Trace, data: st.DataObject) -> None:
    t_ns = data.draw(st.sampled_from([0, *trace.t_ns.tolist()]) | st.integers(0, trace.horizon_ns - 1))
    if t_ns >= trace.horizon_ns:
        t_ns = trace.horizon_ns - 1
    timeline = build_timeline(trace)
    scan = scan_regions(rmp_image(trace, t_ns))
    for region in range(trace.host.n_regions):
        rows = slice(timeline.offset[region], timeline.offset[region + 1])
        row = int(np.searchsorted(timeline.t_ns[rows], t_ns, "right")) - 1
        assert scan.assigned[region] == timeline.assigned[rows][row]
        assert scan.first[region] == timeline.first[rows][row]
