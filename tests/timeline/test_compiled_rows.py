"""Compiled timelines against plain ones: the same arrays, to the dtype."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

from gmemgpu.generator import generate
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import traces
from gmemgpu.timeline.build import build_timeline
from gmemgpu.units import PAGES_PER_REGION, REGION_BYTES
from gmemgpu.workload.preset import preset, small_variant

pytest.importorskip("numba")

NOT_COMPILED = "NUMBA_DISABLE_JIT" in os.environ


def assert_equal_timelines(trace: Trace) -> None:
    compiled, plain = (build_timeline(trace, compiled=compiled) for compiled in (True, False))
    for name in ("offset", "t_ns", "assigned", "gmem", "evicting", "used", "first"):
        one, other = getattr(compiled, name), getattr(plain, name)
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, name)


def dense_trace(inodes: tuple[int, int, int]) -> Trace:
    # Single pages everywhere, so that lists of runs grow past the room that they begin with; and every kind at once.
    rng = np.random.default_rng(7)
    n = 3000
    kinds = [Kind.ASSIGN, Kind.ASSIGN, Kind.RELEASE, Kind.SHARE, Kind.USE, Kind.USE, Kind.UNUSE]
    kind = rng.choice([*kinds, Kind.EVICT_BEGIN, Kind.EVICT_END], n)
    has_pages = kind < Kind.EVICT_BEGIN
    pfn = rng.integers(0, 2 * PAGES_PER_REGION - 40, n)
    return Trace(
        host=Host(memory_bytes=3 * REGION_BYTES, nodes=1, cores=1, threads_per_core=1),
        horizon_ns=n,
        t_ns=np.sort(rng.integers(0, n, n)),
        kind=kind.astype(np.int8),
        pfn=np.where(has_pages, pfn, 0),
        npages=np.where(has_pages, rng.choice([1, 1, 1, 40], n), 0),
        vm=np.zeros(n, np.int32),
        inode=rng.choice([-1, *inodes], n).astype(np.int32),
        folio_pages=has_pages.astype(np.int32),
    )


@settings(max_examples=settings.default.max_examples * (2 if NOT_COMPILED else 5) // 5)
@given(traces(60))
def test_drawn_traces(trace: Trace) -> None:
    assert_equal_timelines(trace)


@pytest.mark.parametrize("inodes", [(0, 1, 2), (0, 5, 2**31 - 1)])
def test_many_runs_and_ids_far_apart(inodes: tuple[int, int, int]) -> None:
    assert_equal_timelines(dense_trace(inodes))


@pytest.mark.skipif(NOT_COMPILED, reason="takes minutes without a compiler")
@pytest.mark.parametrize("name", ["iaas-mixed", "coco-pods", "mixed-pods", "leak-fault", "last-big-VM"])
def test_presets(name: str) -> None:
    assert_equal_timelines(generate(small_variant(preset(name)), 7).trace)


@pytest.mark.skipif(NOT_COMPILED, reason="is that run")
def test_the_text_of_compiled_code_without_a_compiler() -> None:
    # Compiled code neither checks bounds nor says where it went wrong.
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        check=True,
    )
