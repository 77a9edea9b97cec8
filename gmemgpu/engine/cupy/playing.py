"""Pieces on the device: played to states, states made to rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gmemgpu.engine.cupy.defines import THREADS, TraceField
from gmemgpu.engine.cupy.kernel import launch
from gmemgpu.engine.cupy.resident import Resident
from gmemgpu.engine.cupy.slices import STATES, Slice, piece_columns
from gmemgpu.engine.cupy.transfer import DeviceColumns
from gmemgpu.model.trace import Int32Array, Int64Array
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["SHARED_BYTES", "Playing", "owner_bytes", "play_trace", "timeline_blocks"]

_BITMAPS = 4
SHARED_BYTES = _BITMAPS * PAGES_PER_REGION // 8
"""Dynamic shared memory of a thread block that plays a region: no kernel takes more."""


def timeline_blocks(batch: Sequence[Resident]) -> int:
    """Return how many regions are played at a time: the bitmaps of one fill a multiprocessor's shared memory."""
    import cupy

    n_processors = int(cupy.cuda.Device().attributes["MultiProcessorCount"])
    return max(1, min(n_processors, sum(resident.input.n_regions for resident in batch)))


def owner_bytes(n_blocks: int) -> int:
    """Return the device memory in which thread blocks note the owner of each page of their region."""
    return n_blocks * PAGES_PER_REGION * 4


class Playing:
    """
    Slices whose pieces and states are on the device.

    Parameters
    ----------
    batch : sequence of Resident
        Uploaded.
    slices : sequence of Slice
    stream : cupy.cuda.Stream

    Attributes
    ----------
    states : list of dict of str to cupy.ndarray
        For each slice and `TraceField`, the state after each piece; there once played.
    """

    def __init__(self, batch: Sequence[Resident], slices: Sequence[Slice], stream: Any) -> None:
        import cupy

        self._keep: list[Any] = []
        self._batch = batch
        self._slices = slices
        self._jobs = np.array([(s.index, region) for s in slices for region in range(s.begin, s.end)], np.int64)
        self._stream = stream
        self._places: list[dict[str, int]] = []
        self.states: list[dict[str, Any]] = []
        for part in slices:
            pieces = batch[part.index].input.pieces
            first = int(pieces.offset[part.begin])
            n = int(pieces.offset[part.end]) - first
            columns = piece_columns(pieces, part.begin, part.end)
            on_device = DeviceColumns(columns, stream)
            self._keep.append(on_device)
            # Kernels count pieces from the first of the trace: addresses are moved back by those that are not here.
            place = {name: address - first * columns[name].itemsize for name, address in on_device.addresses().items()}
            with stream:
                states = {name: cupy.empty(max(n, 1), dtype) for name, dtype in STATES.items()}
            for name, column in states.items():
                place[name] = int(column.data.ptr) - first * column.itemsize
            self.states.append(states)
            self._places.append(place)

    def _tables(self, jobs: Int64Array) -> DeviceColumns:
        # The same trace may be here with several slices, each of which has its own row.
        traces = np.stack([self._batch[part.index].fields for part in self._slices])
        for row, place in zip(traces, self._places, strict=True):
            for name, address in place.items():
                row[TraceField[name]] = address
        tables = DeviceColumns({"traces": traces.view(np.uint64), "jobs": jobs}, self._stream)
        self._keep.append(tables)
        return tables

    def _rows(self) -> Int64Array:
        sizes = [part.end - part.begin for part in self._slices]
        rows = self._jobs.copy()
        rows[:, 0] = np.repeat(np.arange(len(sizes)), sizes)
        return rows

    def play(self, owners: Any, n_blocks: int) -> None:
        """Queue the kernel that finds the states; `owners` has room for so many thread blocks."""
        # The longest regions first: blocks take them in turn, and the last to end should be short ones.
        lengths = np.concatenate(
            [np.diff(self._batch[s.index].input.pieces.offset[s.begin : s.end + 1]) for s in self._slices]
        )
        order = np.argsort(-lengths, kind="stable")
        jobs = self._rows()[order[lengths[order] > 0]]
        tables = self._tables(jobs)
        arguments = (tables.array("traces"), tables.array("jobs"), np.int32(len(jobs)), owners)
        launch(
            "region_timeline", min(len(jobs), n_blocks), THREADS["TIMELINE"], arguments, self._stream,
            shared=SHARED_BYTES,
        )  # fmt: skip

    def make_rows(self, *, write: bool) -> None:
        """Queue the kernel that makes rows of the states: to count them, or to write them."""
        jobs = self._rows()
        tables = self._tables(jobs)
        arguments = (tables.array("traces"), tables.array("jobs"), np.int32(len(jobs)), np.int32(write))
        threads = THREADS["STATES"]
        launch("region_states", -(-len(jobs) * 32 // threads), threads, arguments, self._stream)


def play_trace(resident: Resident, stream: Any) -> dict[str, Int32Array]:
    """
    Find the state of every region after each of its pieces, and fetch it.

    Parameters
    ----------
    resident : Resident
        Uploaded.
    stream : cupy.cuda.Stream

    Returns
    -------
    dict of str to (n_pieces,) int
        STATE_ASSIGNED, STATE_GMEM, STATE_EVICTING, STATE_USED and STATE_FIRST: A, G, E, U and first block of MODEL.md
        section 4, in the order of ``resident.input.pieces``.
    """
    import cupy

    n_blocks = timeline_blocks([resident])
    with stream:
        owners = cupy.empty(owner_bytes(n_blocks) // 4, np.int32)
    playing = Playing([resident], [Slice(0, 0, resident.input.n_regions)], stream)
    playing.play(owners, n_blocks)
    n_pieces = len(resident.input.pieces)
    with stream:
        return {name: column.get()[:n_pieces].astype(np.int32) for name, column in playing.states[0].items()}
