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
from gmemgpu.model.trace import Int64Array, Trace

__all__ = ["EVENT_BYTES", "Events", "Pieces", "cut_events", "describe_pieces", "upload_events"]

EVENT_BYTES = 64
"""Device memory of an event: 29 of its columns, two counts of pieces, and what finds evictions."""

_COLUMNS = ("t_ns", "kind", "pfn", "npages", "inode")


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """
    All events of some traces on the device. Regions are numbered on from trace to trace.

    Parameters
    ----------
    columns : dict of str to device array
        Those of the traces that change states, and ``event_at`` and ``region_at``, int64: where each trace begins.
    region_at : (n_traces + 1,) int64
        The same on the host.
    evictions : (n,) int64 device array
        ``inode << 32 | event`` of all evictions, ascending.
    """

    columns: dict[str, Any]
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
    """

    begin: int
    end: int
    keys: Array
    at: Array

    def __len__(self) -> int:
        return len(self.keys)


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
    region_at = begins([trace.host.n_regions for trace in traces])
    parts = {name: [getattr(trace, name) for trace in traces] for name in _COLUMNS}
    edges = {"event_at": [begins([len(trace) for trace in traces])], "region_at": [region_at]}
    columns = arena.upload({**parts, **edges})
    kind = columns["kind"]
    evictions = xp.empty(0, np.int64)
    if len(kind):
        rows = xp.flatnonzero((kind == Kind.EVICT_BEGIN) | (kind == Kind.EVICT_END))
        if len(rows):
            evictions = xp.sort(columns["inode"][rows].astype(np.int64) << 32 | rows)
    return Events(columns, region_at, evictions)


class _Cut:
    # One way to cut: its launches, which count pieces or write their keys.

    def __init__(self, events: Events, begin: int, end: int, owned: Array, *, owners_only: bool) -> None:
        bounds = np.int64(begin), np.int64(end)
        self._arguments = (*events.arguments(), owned, np.int64(len(owned)), *bounds, np.int32(owners_only))
        self._n = len(events)

    def count(self, xp: CupyNamespace) -> tuple[int, Array]:
        counts = xp.empty(self._n, np.int64)
        self._launch(0, counts, counts)
        at = xp.cumsum(counts) if self._n else counts
        return (int(at[-1]) if self._n else 0), at

    def keys(self, n: int, at: Array, xp: CupyNamespace) -> Array:
        keys = xp.empty(n, np.int64)
        if not n:
            return keys
        self._launch(1, at, keys)
        return xp.sort(keys)

    def _launch(self, writes: int, at: Array, out: Array) -> None:
        n_blocks = -(-self._n // THREADS["EVENTS"])
        arguments = (*self._arguments, np.int32(writes), at, out, np.int64(self._n))
        launch_here("cut_events", n_blocks, THREADS["EVENTS"], arguments)


def cut_events(events: Events, begin: int, end: int, most: int, xp: CupyNamespace) -> Pieces | int:
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

    Returns
    -------
    Pieces or int
        How many there are, if those are too many.
    """
    none = xp.empty(0, np.int64)
    owners = _Cut(events, begin, end, none, owners_only=True)
    n_owned, at = owners.count(xp)
    if n_owned > most:
        return n_owned
    owned = xp.once(owners.keys(n_owned, at, xp))
    everything = _Cut(events, begin, end, owned, owners_only=False)
    n, at = everything.count(xp)
    if n > most:
        return n
    keys = everything.keys(n, at, xp)
    edges = xp.arange(begin, end + 1) << 32
    return Pieces(begin, end, keys, xp.searchsorted(keys, edges) if n else xp.zeros(end - begin + 1, np.int64))


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
