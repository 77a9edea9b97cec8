from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.protocol import Engine
from gmemgpu.engine.registry import available_engines, engine
from gmemgpu.model.cost import Costs
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.units import GIB

ENGINES = available_engines()
ON_CPU = [found for found in ENGINES if found.name in ("reference", "numpy")]


def trace_of(n: int) -> Trace:
    # A guest gets n + 1 pages and gives them back.
    host = Host(memory_bytes=4 * GIB, nodes=1, cores=4, threads_per_core=2)
    columns: dict[str, Any] = {
        "t_ns": np.array([10, 20 + n, 30 + n], np.int64),
        "kind": np.array([Kind.ASSIGN, Kind.RELEASE, Kind.FREED], np.int8),
        "pfn": np.full(3, 512),
        "npages": np.full(3, n + 1),
        "vm": np.ones(3, np.int32),
        "inode": np.ones(3, np.int32),
        "folio_pages": np.ones(3, np.int32),
    }
    return Trace(host=host, horizon_ns=1_000_000, **columns)


@pytest.mark.parametrize("found", ENGINES, ids=lambda found: found.name)
def test_traces_may_come_from_a_generator(found: Engine) -> None:
    traces = [trace_of(n) for n in range(3)]
    expected = engine("reference").evaluate(traces, named_policies(), Costs())
    assert found.evaluate((trace for trace in traces), named_policies(), Costs()) == expected
    assert found.evaluate(iter(()), named_policies(), Costs()) == []


@pytest.mark.parametrize("found", ENGINES, ids=lambda found: found.name)
def test_what_the_caller_raises_comes_out_as_it_is(found: Engine) -> None:
    class Stop(Exception):
        pass

    def traces() -> Iterator[Trace]:
        yield trace_of(0)
        raise Stop("the second trace cannot be made")

    with pytest.raises(Stop, match="the second trace cannot be made"):
        found.evaluate(traces(), named_policies()[:3], Costs())


@pytest.mark.parametrize("found", ON_CPU, ids=lambda found: found.name)
def test_an_engine_on_a_cpu_holds_one_trace_at_a_time(found: Engine) -> None:
    held: list[weakref.ref[Any]] = []

    def made(n: int) -> Trace:
        assert not [alive for alive in held if alive() is not None], f"trace {n - 1} is alive while {n} is made"
        trace = trace_of(n)
        held.append(weakref.ref(trace.t_ns))
        return trace

    assert len(found.evaluate((made(n) for n in range(4)), named_policies()[:3], Costs())) == 4
    assert len(held) == 4
