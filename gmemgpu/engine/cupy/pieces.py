"""Events of many traces, cut at region borders on the device: pieces by region, each region's in event order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmemgpu.engine.array.xp.namespace import Array, begins
from gmemgpu.engine.array.xp.on_cupy import CupyNamespace
from gmemgpu.engine.cupy.defines import THREADS
from gmemgpu.engine.cupy.kernel import launch_here
from gmemgpu.engine.cupy.transfer import Arena
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import COLUMNS, Int64Array, Trace
from gmemgpu.timeline.piece import EVICT_BEGIN, EVICT_END

__all__ = ["EVENT_BYTES", "Events", "Pieces", "cut_events", "describe_pieces", "stage_events", "upload_events"]

EVENT_BYTES = 72
"""Device memory of an event: 37 of its columns, two counts of pieces, and what finds evictions."""

_LOW_BITS = (1 << 32) - 1
_IDS = ("inode", "vm")


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """
    All events of some traces on the device. Regions are numbered on from trace to trace.

    Parameters
    ----------
    columns : dict of str to device array
        Those of the traces, and ``event_at`` and ``region_at``, int64: where each trace begins.
    event_at, region_at : (n_traces + 1,) int64
        The same on the host.
    evictions : (n,) int64 device array
        ``inode << 32 | event`` of all evictions, ascending.
    """

    columns: dict[str, Any]
    event_at: Int64Array
    region_at: Int64Array
    evictions: Array

    def __len__(self) -> int:
        return len(self.columns["kind"])

    def arguments(self) -> tuple[Any, ...]:
        """Return what kernels are given of them."""
        names = ("kind", "pfn", "npages", "inode", "event_at", "region_at")
        return (*(self.columns[name] for name in names), np.int32(len(self.region_at) - 1))


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """
    What changes the states of some regions.

    Parameters
    ----------
    begin, end : int
        The regions.
    keys : (n,) int64 device array
        ``region << 32 | event``, ascending.
    at : (end - begin + 1,) int64 device array
        First piece of each region.
    found : dict of str to device array
        Where ids ever had pages: `inode_keys` and `vm_keys`, ``id << 32 | region``, ascending, each once, and
        `inode_since_ns`, `vm_since_ns`. If asked for, `release` and `share` pieces in event order: `clearing_region`,
        `clearing_event`.
    """

    begin: int
    end: int
    keys: Array
    at: Array
    found: dict[str, Array]

    def __len__(self) -> int:
        return len(self.keys)


def _edges(traces: Sequence[Trace]) -> tuple[Int64Array, Int64Array]:
    # Where the events and the regions of each begin.
    return begins([len(trace) for trace in traces]), begins([trace.host.n_regions for trace in traces])


def stage_events(traces: Sequence[Trace], arena: Arena) -> None:
    """
    Copy events to where the device takes them from, which can be done ahead, by any thread.

    Parameters
    ----------
    traces : sequence of Trace
        Cut at their horizons.
    arena : Arena
        Whose last copy is over.
    """
    event_at, region_at = _edges(traces)
    parts = {name: [getattr(trace, name) for trace in traces] for name in COLUMNS}
    arena.stage(traces, {**parts, "event_at": [event_at], "region_at": [region_at]})


def upload_events(traces: Sequence[Trace], arena: Arena, xp: CupyNamespace) -> Events:
    """
    Copy events to the device.

    Parameters
    ----------
    traces : sequence of Trace
        Cut at their horizons.
    arena : Arena
    xp : CupyNamespace
    """
    import cupy

    event_at, region_at = _edges(traces)
    if not arena.holds(traces):
        cupy.cuda.get_current_stream().synchronize()  # what went last has left
        stage_events(traces, arena)
    columns = arena.send()
    kind = columns["kind"]
    evictions = xp.empty(0, np.int64)
    if len(kind):
        rows = xp.flatnonzero((kind == EVICT_BEGIN) | (kind == EVICT_END))
        if len(rows):
            evictions = xp.sort(columns["inode"][rows].astype(np.int64) << 32 | rows)
    return Events(columns, event_at, region_at, evictions)


class _Cut:
    # One way to cut: its launches, which count pieces or write their keys, in event order.

    def __init__(self, events: Events, begin: int, end: int, owned: Array | None, id_name: str = "inode") -> None:
        known = events.evictions[:0] if owned is None else owned
        self._arguments = (
            *events.arguments(), events.columns[id_name], known, np.int64(len(known)), np.int64(begin), np.int64(end),
            np.int32(owned is None),
        )  # fmt: skip
        self._n = len(events)

    def count(self, xp: CupyNamespace) -> tuple[int, Array]:
        # How many there are, and how many up to and with each event.
        counts = xp.empty(self._n, np.int64)
        if not self._n:
            return 0, counts
        self._launch(0, counts, counts)
        at = xp.cumsum(counts)
        return int(at[-1]), at

    def keys(self, n: int, at: Array, xp: CupyNamespace) -> Array:
        keys = xp.empty(n, np.int64)
        if n:
            self._launch(1, at, keys)
        return keys

    def _launch(self, writes: int, at: Array, out: Array) -> None:
        n_blocks = -(-self._n // THREADS["EVENTS"])
        arguments = (*self._arguments, np.int32(writes), at, out, np.int64(self._n))
        launch_here("cut_events", n_blocks, THREADS["EVENTS"], arguments)


def _owned(keys: Array, at: Array, t_ns: Array, xp: CupyNamespace) -> dict[str, Array]:
    # Each key once, ascending, and the time of its first event.
    if not len(keys):
        return {"keys": keys, "since_ns": keys}
    order = xp.stable_order(keys)
    keys = keys[order]
    first = xp.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    first = xp.flatnonzero(first)
    return {"keys": keys[first], "since_ns": t_ns[xp.searchsorted(at, order[first], "right")]}


def _clearings(events: Events, keys: Array, xp: CupyNamespace) -> dict[str, Array]:
    # The `release` and `share` pieces among all, in event order.
    if not len(keys):
        return {"region": keys, "event": keys}
    event = keys & _LOW_BITS
    kind = events.columns["kind"][event]
    kept = xp.flatnonzero((kind == int(Kind.RELEASE)) | (kind == int(Kind.SHARE)))
    return {"region": keys[kept] >> 32, "event": event[kept]}


def cut_events(
    events: Events, begin: int, end: int, most: int, xp: CupyNamespace, *, clearings: bool = False
) -> Pieces | int:
    """
    Cut events at region borders.

    Parameters
    ----------
    events : Events
    begin, end : int
        Only pieces in these regions are wanted.
    most : int
        How many pieces there may be.
    xp : CupyNamespace
    clearings : bool
        Whether to find those that clear pages, too.

    Returns
    -------
    Pieces or int
        How many there are, if those are too many.
    """
    found: dict[str, Array] = {}
    for name in _IDS:
        owners = _Cut(events, begin, end, None, name)
        n, at = owners.count(xp)
        if n > most:
            return n
        owned = _owned(owners.keys(n, at, xp), at, events.columns["t_ns"], xp)
        found |= {f"{name}_{column}": values for column, values in owned.items()}
    everything = _Cut(events, begin, end, found["inode_keys"])
    n, at = everything.count(xp)
    if n > most:
        return n
    keys = everything.keys(n, at, xp)
    if clearings:
        found |= {f"clearing_{column}": values for column, values in _clearings(events, keys, xp).items()}
    if not n:
        return Pieces(begin, end, keys, xp.zeros(end - begin + 1, np.int64), found)
    keys = xp.sort(keys)
    return Pieces(begin, end, keys, xp.searchsorted(keys, xp.arange(begin, end + 1) << 32), found)


def describe_pieces(events: Events, pieces: Pieces, xp: CupyNamespace) -> tuple[Array, Array]:
    """
    Look up what each piece does.

    Returns
    -------
    pieces : (n, 4) int32 device array
        Pages of the region, half open; inode; `PieceOp`.
    needs : (n_regions,) int32 device array
        `Needs` of each region.
    """
    n = len(pieces)
    described, needs = xp.empty((n, 4), np.int32), xp.zeros(pieces.end - pieces.begin, np.int32)
    evictions = events.evictions, np.int64(len(events.evictions))
    arguments = pieces.keys, np.int64(n), *events.arguments(), *evictions, np.int64(pieces.begin), described, needs
    launch_here("describe_pieces", -(-n // THREADS["PIECES"]), THREADS["PIECES"], arguments)
    return described, needs
