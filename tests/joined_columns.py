"""Columns of several traces, made on the host one by one: what the device makes of all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from gmemgpu.engine.array.columns import ClassRows, EventColumns, TraceColumns, host_columns
from gmemgpu.engine.array.xp.namespace import Array, Namespace, begins
from gmemgpu.engine.array.xp.on_numpy import NUMPY
from gmemgpu.model.trace import Int64Array, Trace
from gmemgpu.timeline.integral import UsedIntegral


def joined_columns(traces: Sequence[Trace], xp: Namespace = NUMPY) -> TraceColumns:
    """Join the columns of some traces, as arrays of any library."""
    each = [host_columns(trace) for trace in traces]
    event_at, region_at = (begins([int(getattr(c, name)[-1]) for c in each]) for name in ("event_at", "region_at"))

    def put(parts: Sequence[Any]) -> Array:
        return xp.asarray(np.concatenate(list(parts)))

    def edges(parts: Sequence[Int64Array]) -> Array:
        return xp.asarray(begins(np.concatenate([np.diff(part) for part in parts])))

    def whole(made: type, parts: Sequence[Any], at: str = "") -> Any:
        names = [field.name for field in fields(made)]
        return made(*((edges if name == at else put)([getattr(part, name) for part in parts]) for name in names))

    def used() -> UsedIntegral | None:
        if all(c.used is None for c in each):
            return None
        parts = []
        for c in each:
            none = np.zeros(int(c.region_at[-1]), np.int64)
            parts.append(c.used or UsedIntegral(np.arange(len(none) + 1), none, none, none, none))
        return whole(UsedIntegral, parts, "offset")  # type: ignore[no-any-return]

    def owners(name: str) -> tuple[Array, Array]:
        found = [c.owners(name) for c in each]
        keys = np.concatenate([keys + begin for (keys, _), begin in zip(found, region_at.tolist(), strict=False)])
        order = np.argsort(keys)
        return xp.asarray(keys[order]), xp.asarray(np.concatenate([since for _, since in found])[order])

    def clearings() -> tuple[Array, Array, Int64Array]:
        found = [c.clearings() for c in each]
        region = [of.astype(np.int64) + begin for (_, of, _), begin in zip(found, region_at.tolist(), strict=False)]
        return put([t_ns for t_ns, _, _ in found]), put(region), begins([len(of) for of in region])

    return TraceColumns(
        xp=xp,
        traces=[trace for c in each for trace in c.traces],
        event_at=event_at,
        region_at=region_at,
        events=whole(EventColumns, [c.events for c in each]),
        rows=whole(ClassRows, [c.rows for c in each], "at"),
        used=used(),
        owners=owners,
        clearings=clearings,
    )
