"""What was played of some traces, in slices of regions, as what array engines read of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gmemgpu.engine.array.columns import ClassRows, EventColumns, TraceColumns
from gmemgpu.engine.array.xp.namespace import Array
from gmemgpu.engine.array.xp.on_cupy import CupyNamespace
from gmemgpu.engine.cupy.pieces import Events
from gmemgpu.model.trace import COLUMNS, Int64Array, Trace
from gmemgpu.timeline.integral import UsedIntegral

__all__ = ["device_columns"]

_ROWS = ("class", "used")
_EDGES = ("class_at", "used_offset")
_ORDERED = ("inode", "vm", "clearing")
_KEYS = {"inode": "inode_keys", "vm": "vm_keys", "clearing": "clearing_event"}


def _joined(slices: Sequence[Mapping[str, Array]], xp: CupyNamespace) -> Mapping[str, Array]:
    # Of slices that follow each other by region.
    if len(slices) == 1:
        return slices[0]
    whole: dict[str, Array] = {}
    for name in slices[0]:
        parts = [part[name] for part in slices]
        if name in _EDGES:
            counts = xp.concatenate([xp.diff(part) for part in parts])
            whole[name] = xp.sums(counts)
        else:
            whole[name] = xp.concatenate(parts)
    for kind in _ORDERED:
        if _KEYS[kind] in whole:
            order = xp.stable_order(whole[_KEYS[kind]])
            whole |= {name: whole[name][order] for name in whole if name.startswith(kind)}
    return whole


def device_columns(
    traces: Sequence[Trace], events: Events, slices: Sequence[Mapping[str, Array]], xp: CupyNamespace
) -> TraceColumns:
    """
    Collect what is read of some traces, on the device.

    Parameters
    ----------
    traces : sequence of Trace
        Cut at their horizons.
    events : Events
        Theirs.
    slices : sequence of mapping of str to array
        Those of `Pieces.found` and of `region_rows`, of regions that follow each other.
    xp : CupyNamespace
    """
    columns = _joined(slices, xp)
    t_ns = events.columns["t_ns"]

    def owners(name: str) -> tuple[Array, Array]:
        return columns[f"{name}_keys"], columns[f"{name}_since_ns"]

    def clearings() -> tuple[Array, Array, Int64Array]:
        event = columns["clearing_event"]
        (at,) = xp.fetch(xp.searchsorted(event, events.columns["event_at"]))
        return t_ns[event], columns["clearing_region"], at

    used = UsedIntegral(*(columns[f"used_{name}"] for name in UsedIntegral.__slots__))
    return TraceColumns(
        xp=xp,
        traces=traces,
        event_at=events.event_at,
        region_at=events.region_at,
        events=EventColumns(**{name: events.columns[name] for name in COLUMNS}),
        rows=ClassRows(*(columns[f"class_{name}"] for name in ClassRows.__slots__)),
        used=used if bool(used.used.any()) else None,
        owners=owners,
        clearings=clearings,
    )
