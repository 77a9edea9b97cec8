"""Small traces and policies written by hand, at costs that are easy to add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gmemgpu.engine.registry import available_engines
from gmemgpu.model.cost import Costs
from gmemgpu.model.event import KIND_BY_NAME, LIFE_CYCLE_KINDS
from gmemgpu.model.host import Host
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy, Timer
from gmemgpu.model.trace import COLUMNS, Trace
from gmemgpu.units import PAGES_PER_REGION, REGION_BYTES

__all__ = ["COSTS", "host", "ev", "trace", "policy", "row", "rows"]

# Round figures: a clean attempt of leader and followers takes 1000 ns, a cached one 100, fail(k) 50 + k.
COSTS = Costs(
    base=10, block=1, cached=30, round_clean=478, round_cached=70, round_fail=39,
    busy_clean=7, busy_cached=5, busy_fail=3, cores_clean=2000, cores_cached=200, cores_fail=60,
    threads_clean=3000, threads_cached=300, threads_fail=70, call=1000,
)  # fmt: skip


def host(regions: int = 1, **changes: Any) -> Host:
    """Give a host of whole regions with four cores."""
    return Host(**{"memory_bytes": regions * REGION_BYTES, "nodes": 1, "cores": 4, "threads_per_core": 2, **changes})


def ev(
    t_ns: int, kind: str, region: int = 0, pages: int = 1, *, page: int = 0, vm: int = 1, inode: int = 1, folio: int = 1
) -> tuple[int, ...]:
    """Write one event; the extent begins at a page of a region."""
    code = KIND_BY_NAME[kind]
    if code in LIFE_CYCLE_KINDS:
        return (t_ns, code, 0, 0, vm, inode, 0)
    return (t_ns, code, region * PAGES_PER_REGION + page, pages, vm, inode, folio)


def trace(*events: tuple[int, ...], horizon: int = 100_000, warmup: int = 0, on: Host | None = None) -> Trace:
    """Give the trace of some events."""
    columns = np.array(events, np.int64).reshape(-1, 7).T
    types = (np.int64, np.int8, np.int64, np.int64, np.int32, np.int32, np.int32)
    values = {name: column.astype(type_) for name, column, type_ in zip(COLUMNS, columns, types, strict=True)}
    return Trace(host=on or host(), horizon_ns=horizon, warmup_ns=warmup, **values)


def policy(hook: str = "vm_destroy", timer: str = "immediate", **choices: Any) -> Policy:
    """Give a policy that runs at once, over the window, with no boot pass, unless said."""
    plain: dict[str, Any] = {"name": "p", "executor": "leader_followers", "boot": False}
    return Policy(**{**plain, **choices, "hook": hook, "timer": Timer.parse(timer)})


def row(of: Trace, by: Policy) -> MetricRow:
    """Evaluate one pair at `COSTS` on every engine that runs here; they must agree."""
    return rows([of], by)[0]


def rows(traces: Sequence[Trace], by: Policy) -> list[MetricRow]:
    """The same for some traces, which an engine takes at once."""
    first, *others = ([row for (row,) in engine.evaluate(traces, [by], COSTS)] for engine in available_engines())
    assert all(other == first for other in others), (first, others)
    return first
