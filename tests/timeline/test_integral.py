"""Exact sums and integrals far past 63 bits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.engine.array.columns import host_columns
from gmemgpu.engine.array.constants import empty_rows
from gmemgpu.engine.array.tables import Tables
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.timeline.integral import exact_sum
from gmemgpu.units import INT64_MAX, NS_PER_S, PAGES_PER_REGION, REGION_BYTES

QUARTER_NS = 90 * 86_400 * NS_PER_S


@given(st.lists(st.integers(-INT64_MAX - 1, INT64_MAX)))
def test_exact_sum_is_pythons(values: list[int]) -> None:
    assert exact_sum(np.array(values, np.int64)) == sum(values)


def test_a_quarter_of_a_full_host() -> None:
    # 2048 regions wholly in use from t = 1: every integral passes 2^63, and must still be exact.
    host = Host(memory_bytes=2048 * REGION_BYTES, nodes=1, cores=512, threads_per_core=2)
    trace = Trace(
        host=host,
        horizon_ns=QUARTER_NS,
        t_ns=np.array([1]),
        kind=np.array([Kind.USE], np.int8),
        pfn=np.array([0]),
        npages=np.array([host.pages]),
        vm=np.array([-1], np.int32),
        inode=np.array([-1], np.int32),
        folio_pages=np.array([1], np.int32),
    )
    constant = empty_rows(Tables(host_columns(trace)))[0][0]
    assert constant["optimizable_ns"] == 2048 * QUARTER_NS > INT64_MAX
    assert constant["in_use_ns"] == 2048 * PAGES_PER_REGION * (QUARTER_NS - 1)
