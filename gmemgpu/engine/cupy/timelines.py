"""Timelines of many traces, page-exact: events go up, class rows stay there, in as many slices as memory asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from gmemgpu.engine.array.columns import TraceColumns
from gmemgpu.engine.array.xp.namespace import Array
from gmemgpu.engine.array.xp.on_cupy import CupyNamespace
from gmemgpu.engine.cupy.defines import THREADS, Needs, Play
from gmemgpu.engine.cupy.kernel import launch_here
from gmemgpu.engine.cupy.pieces import EVENT_BYTES, Events, Pieces, cut_events, describe_pieces, upload_events
from gmemgpu.engine.cupy.played import device_columns
from gmemgpu.engine.cupy.rows import STATES, region_rows
from gmemgpu.engine.cupy.transfer import Arena
from gmemgpu.errors import BackendError
from gmemgpu.model.trace import Trace
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["SHARED_BYTES", "PlayedTraces", "least_bytes", "play_traces"]

_BITMAP_BYTES = PAGES_PER_REGION // 8
_BITMAPS = {Play.GUESTS: 2, Play.EVICTIONS: 3, Play.USES: 2}
SHARED_BYTES = max(_BITMAPS.values()) * _BITMAP_BYTES
"""Dynamic shared memory of a thread block that plays a region: no kernel takes more."""
_STATIC_SHARED_BYTES = 2048
"""Beside it, that of the kernel and of the driver, at most."""

_OWNER_BYTES = (PAGES_PER_REGION + PAGES_PER_REGION // 32) * 4
PIECE_BYTES = 128
"""Device memory of a piece at its most: keys and their sort, or states and rows, or the integral of rows."""
REGION_BYTES = 192
"""The same of a region: it has two rows however little happens there."""
_LEAST_BYTES = 1 << 15
"""Beside them, for all that is rounded up."""


@dataclass(frozen=True, slots=True, eq=False)
class PlayedTraces:
    """
    What became of some traces.

    Parameters
    ----------
    columns : TraceColumns
        On the device.
    slice_pieces : list of int
        How many pieces were played at a time.
    predicted_bytes : int
        Device memory that it was expected to take at most.
    """

    columns: TraceColumns
    slice_pieces: list[int]
    predicted_bytes: int


@cache
def _multiprocessors(device_id: int) -> tuple[int, int]:
    # How many there are, and the shared memory of each. CuPy asks the driver for a hundred things each time.
    import cupy

    attributes = cupy.cuda.Device(device_id).attributes
    return int(attributes["MultiProcessorCount"]), int(attributes["MaxSharedMemoryPerMultiprocessor"])


def _n_blocks(play: Play, n_regions: int) -> int:
    # As many as the shared memory of all multiprocessors has room for.
    import cupy

    n, room = _multiprocessors(cupy.cuda.Device().id)
    return min(n * max(1, room // (_BITMAPS[play] * _BITMAP_BYTES + _STATIC_SHARED_BYTES)), n_regions)


def least_bytes(n_events: int, n_regions: int) -> int:
    """Return the device memory of events, and of what notes the owners of pages, beside that of pieces."""
    owners = _n_blocks(Play.EVICTIONS, n_regions) * _OWNER_BYTES
    return n_events * EVENT_BYTES + owners + n_regions * REGION_BYTES + _LEAST_BYTES


def play_traces(
    traces: Sequence[Trace], budget_bytes: int, arena: Arena, stream: Any, *, clearings: bool = False
) -> PlayedTraces:
    """
    Find what engines read of every region, on the current device.

    Parameters
    ----------
    traces : sequence of Trace
        At least one, cut at their horizons.
    budget_bytes : int
        Device memory to take.
    arena : Arena
    stream : cupy.cuda.Stream
    clearings : bool
        Whether policies read which pieces clear pages.

    Raises
    ------
    BackendError
        If the events, or the pieces of a single region, do not fit.
    """
    import cupy

    xp = CupyNamespace(cupy, launch_here)
    n_events, n_regions = sum(map(len, traces)), sum(trace.host.n_regions for trace in traces)
    least = least_bytes(n_events, n_regions)
    room = budget_bytes - least
    slice_pieces: list[int] = []
    parts: list[dict[str, Array]] = []
    kept_bytes = most_bytes = 0
    with stream:
        _check_room("this trace", least, budget_bytes)
        events = upload_events(traces, arena, xp)
        waiting = [(0, n_regions)]
        while waiting:
            begin, end = waiting.pop()
            most = max(0, (room - kept_bytes) // PIECE_BYTES)
            pieces = cut_events(events, begin, end, most, xp, clearings=clearings)
            if isinstance(pieces, Pieces):
                slice_pieces.append(len(pieces))
                most_bytes = max(most_bytes, kept_bytes + len(pieces) * PIECE_BYTES)
                parts.append(_tables(events, pieces, xp))
                # The first rows of regions are reckoned already.
                n_bytes = sum(column.nbytes for column in parts[-1].values())
                kept_bytes += max(0, n_bytes - (end - begin) * REGION_BYTES)
                del pieces
                continue
            if end - begin == 1:
                _check_room("a region of this trace", least + kept_bytes + pieces * PIECE_BYTES, budget_bytes)
            middle = (begin + end) // 2
            waiting += [(middle, end), (begin, middle)]
        columns = device_columns(traces, events, parts, xp)
    return PlayedTraces(columns, slice_pieces, least + most_bytes)


def _check_room(what: str, needed_bytes: int, budget_bytes: int) -> None:
    if needed_bytes > budget_bytes:
        raise BackendError(
            f'backend "cupy": {what} needs {needed_bytes} bytes on the device, and {max(budget_bytes, 0)} are free; '
            "take numpy, or a device with more memory"
        )


def _tables(events: Events, pieces: Pieces, xp: CupyNamespace) -> dict[str, Array]:
    return pieces.found | region_rows(events, pieces, _states(events, pieces, xp), xp)


def _states(events: Events, pieces: Pieces, xp: CupyNamespace) -> dict[str, Array]:
    n = len(pieces)
    described, needs = describe_pieces(events, pieces, xp)
    assigned, gmem, evicting = (xp.empty(n, np.int32) for _ in range(3))
    states = dict(zip(STATES, (assigned, gmem, evicting, xp.zeros(n, np.int32), xp.empty(n, np.int16)), strict=True))
    if not n:
        return states
    # The longest regions first: blocks take them in turn, and the last to end should be short ones.
    sizes = xp.diff(pieces.at)
    order = xp.stable_order(sizes.max() - sizes)
    needs = needs[order]
    evicts = (needs & int(Needs.EVICTING)) > 0
    jobs = {
        Play.EVICTIONS: order[xp.flatnonzero(evicts)],
        Play.GUESTS: order[xp.flatnonzero(~evicts & (sizes[order] > 0))],
        Play.USES: order[xp.flatnonzero(needs & int(Needs.USED))],
    }
    owners = xp.empty(_n_blocks(Play.EVICTIONS, len(jobs[Play.EVICTIONS])) * _OWNER_BYTES // 4, np.int32)
    for play, regions in jobs.items():
        launch_here(
            "region_timeline",
            _n_blocks(play, len(regions)),
            THREADS["TIMELINE"],
            (regions, np.int32(len(regions)), pieces.at, described, np.int32(play), owners, *states.values()),
            shared_bytes=_BITMAPS[play] * _BITMAP_BYTES,
        )
    return states
