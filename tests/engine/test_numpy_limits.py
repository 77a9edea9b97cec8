"""What a CPU engine cannot count in 63 bits, it refuses; the reference can."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.registry import available_engines, engine
from gmemgpu.errors import BackendError
from gmemgpu.model.cost import MAX_COST_NS, Costs
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.units import TIB

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
def test_a_pass_that_cannot_be_counted_is_refused(fast: str) -> None:
    trace = empty_trace(Host(memory_bytes=4 * TIB, nodes=2, cores=8192, threads_per_core=2, window_bytes=4 * TIB))
    with pytest.raises(BackendError, match=r"63 bits.*8192 cores"):
        engine(fast).evaluate([trace], [SERIAL], DEAREST)
    assert engine("reference").evaluate([trace], [SERIAL], DEAREST)[0][0]["scan_wall_ns"] > 1 << 63
