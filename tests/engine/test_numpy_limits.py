"""What a CPU engine cannot count in 63 bits, it refuses; the reference can."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.registry import available_engines, engine
from gmemgpu.errors import BackendError
from gmemgpu.model.cost import MAX_COST_NS, Costs
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.policy import Timer
from gmemgpu.model.trace import Trace
from gmemgpu.units import PAGES_PER_REGION, TIB

FAST = [found.name for found in available_engines() if found.name in ("numpy", "numba")]
DEAREST = Costs(**{field.name: MAX_COST_NS for field in fields(Costs)})
SERIAL = replace(named_policies()[1], name="serial", executor="serial")


def empty_trace(host: Host) -> Trace:
    none = np.zeros(0, np.int64)
    return Trace(
        host=host,
        horizon_ns=1,
        t_ns=none,
        kind=none.astype(np.int8),
        pfn=none,
        npages=none,
        vm=none.astype(np.int32),
        inode=none.astype(np.int32),
        folio_pages=none.astype(np.int32),
    )


@pytest.mark.parametrize("fast", FAST)
def test_dearest_costs_on_a_large_host_agree(fast: str) -> None:
    trace = empty_trace(Host(memory_bytes=2 * TIB, nodes=2, cores=1024, threads_per_core=2))
    rows = [engine(name).evaluate([trace], [SERIAL], DEAREST)[0][0] for name in ("reference", fast)]
    assert rows[0] == rows[1]
    assert rows[0]["scan_wall_ns"] == 2048 * 1024 * (2 * MAX_COST_NS + 512 * MAX_COST_NS)


@pytest.mark.parametrize("fast", FAST)
@pytest.mark.parametrize("busy", ["rerun", "drop"])
@pytest.mark.parametrize("boot", [True, False])
def test_requests_whose_passes_would_take_longer_than_63_bits_together(boot: bool, busy: Any, fast: str) -> None:
    # Each request with a pass of its own would sum up to more than 63 bits hold; most of them have to share one.
    host = Host(memory_bytes=TIB // 16, nodes=2, cores=32768, threads_per_core=2)
    longest_ns = 64 * 32768 * 514 * MAX_COST_NS
    horizon_ns = 4 * longest_ns
    # The last page of every region is taken: each visit looks at all its blocks, and fails.
    n, n_regions = 60, host.n_regions
    kind = np.repeat([int(Kind.ASSIGN), int(Kind.VM_DESTROY)], [n_regions, n])
    extents = kind == Kind.ASSIGN
    trace = Trace(
        host=host,
        horizon_ns=horizon_ns,
        t_ns=np.append(np.zeros(n_regions, np.int64), np.arange(n) * (horizon_ns // n)),
        kind=kind.astype(np.int8),
        pfn=np.append((np.arange(n_regions) + 1) * PAGES_PER_REGION - 1, np.zeros(n, np.int64)),
        npages=extents.astype(np.int64),
        vm=np.arange(n_regions + n, dtype=np.int32),
        inode=np.where(extents, 1, -1).astype(np.int32),
        folio_pages=extents.astype(np.int32),
    )
    policy = replace(SERIAL, hook="vm_destroy", timer=Timer(), busy=busy, boot=boot)
    rows = [engine(name).evaluate([trace], [policy], DEAREST)[0][0] for name in ("reference", fast)]
    assert rows[0] == rows[1]
    assert n * longest_ns > 1 << 63 > horizon_ns + longest_ns
    assert 4 <= rows[0]["passes"] <= 8


@pytest.mark.parametrize("fast", FAST)
def test_a_pass_that_cannot_be_counted_is_refused(fast: str) -> None:
    trace = empty_trace(Host(memory_bytes=4 * TIB, nodes=2, cores=8192, threads_per_core=2, window_bytes=4 * TIB))
    with pytest.raises(BackendError, match=r"63 bits.*8192 cores"):
        engine(fast).evaluate([trace], [SERIAL], DEAREST)
    assert engine("reference").evaluate([trace], [SERIAL], DEAREST)[0][0]["scan_wall_ns"] > 1 << 63
