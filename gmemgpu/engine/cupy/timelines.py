"""Timelines on the device: pieces in, rows of states out, in as many slices as memory asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmemgpu.engine.cupy.defines import THREADS, TraceField
from gmemgpu.engine.cupy.kernel import launch
from gmemgpu.engine.cupy.resident import Resident
from gmemgpu.engine.cupy.trace_input import Columns, PieceColumns
from gmemgpu.engine.cupy.transfer import DeviceColumns, aligned, packed_bytes
from gmemgpu.errors import BackendError
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["Slice", "build_timelines", "cut_slices", "owner_bytes", "slice_bytes", "timeline_blocks"]

_STATES = {
    "STATE_ASSIGNED": np.int32,
    "STATE_GMEM": np.int32,
    "STATE_EVICTING": np.int32,
    "STATE_USED": np.int32,
    "STATE_FIRST": np.int16,
}
_BITMAPS = 4
_SHARED_BYTES = _BITMAPS * PAGES_PER_REGION // 8


def timeline_blocks(device: Any) -> int:
    """Say how many thread blocks play regions at a time: a region's bitmaps fill a multiprocessor's shared memory."""
    return int(device.attributes["MultiProcessorCount"])


def owner_bytes(n_blocks: int) -> int:
    """Device memory in which thread blocks note the owner of each page of their region."""
    return n_blocks * PAGES_PER_REGION * 4


@dataclass(frozen=True, slots=True)
class Slice:
    """
    Consecutive regions of one trace.

    Parameters
    ----------
    index : int
        Of the trace in its batch.
    begin, end : int
        Regions, half open.
    """

    index: int
    begin: int
    end: int


def _columns(pieces: PieceColumns, begin: int, end: int) -> Columns:
    part = slice(pieces.offset[begin], pieces.offset[end])
    return {
        "PIECE_NS": pieces.ns[part],
        "PIECE_LO": pieces.lo[part],
        "PIECE_HI": pieces.hi[part],
        "PIECE_INODE": pieces.inode[part],
        "PIECE_OP": pieces.op[part],
    }


def slice_bytes(pieces: PieceColumns, begin: int, end: int) -> int:
    """Device memory that the regions of a slice take until their rows are written."""
    n = int(pieces.offset[end] - pieces.offset[begin])
    states = sum(aligned(n * np.dtype(dtype).itemsize) for dtype in _STATES.values())
    return packed_bytes(_columns(pieces, begin, end)) + states


def cut_slices(batch: Sequence[Resident], budget_bytes: int) -> list[list[Slice]]:
    """
    Cut a batch into lists of slices that fit the device one after another.

    Parameters
    ----------
    batch : sequence of Resident
    budget_bytes : int
        For one list.

    Raises
    ------
    BackendError
        If a single region does not fit.
    """
    lists: list[list[Slice]] = [[]]
    room = budget_bytes
    for index, resident in enumerate(batch):
        pieces, n_regions = resident.input.pieces, resident.input.n_regions
        begin = 0
        while begin < n_regions:
            end = _fitting(pieces, begin, n_regions, room)
            if end == begin and room == budget_bytes:
                raise BackendError(
                    f'backend "cupy": a region of this trace needs {slice_bytes(pieces, begin, begin + 1)} bytes on '
                    f"the device, and {budget_bytes} are free; take numpy, or a device with more memory"
                )
            if end > begin:
                lists[-1].append(Slice(index, begin, end))
                room -= slice_bytes(pieces, begin, end)
            if end < n_regions:
                lists.append([])
                room = budget_bytes
            begin = end
    return lists


def _fitting(pieces: PieceColumns, begin: int, n_regions: int, room: int) -> int:
    # The last region up to which a slice fits: sizes grow with it, so a bisection finds it.
    low, high = begin, n_regions
    while low < high:
        middle = (low + high + 1) // 2
        if slice_bytes(pieces, begin, middle) <= room:
            low = middle
        else:
            high = middle - 1
    return low


class _Playing:
    # Slices whose pieces and states are on the device.

    def __init__(self, batch: Sequence[Resident], slices: Sequence[Slice], stream: Any) -> None:
        import cupy

        self._keep: list[Any] = []
        self._batch = batch
        self._slices = slices
        self._jobs = np.array([(s.index, region) for s in slices for region in range(s.begin, s.end)], np.int64)
        self._stream = stream
        self._places: list[dict[str, int]] = []
        for part in slices:
            pieces = batch[part.index].input.pieces
            first = int(pieces.offset[part.begin])
            n = int(pieces.offset[part.end]) - first
            columns = _columns(pieces, part.begin, part.end)
            on_device = DeviceColumns(columns, stream)
            self._keep.append(on_device)
            # Kernels count pieces from the first of the trace: addresses are moved back by those that are not here.
            place = {name: address - first * columns[name].itemsize for name, address in on_device.addresses().items()}
            with stream:
                for name, dtype in _STATES.items():
                    states = cupy.empty(max(n, 1), dtype)
                    self._keep.append(states)
                    place[name] = int(states.data.ptr) - first * np.dtype(dtype).itemsize
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
            shared=_SHARED_BYTES,
        )  # fmt: skip

    def states(self, *, write: bool) -> None:
        jobs = self._rows()
        tables = self._tables(jobs)
        arguments = (tables.array("traces"), tables.array("jobs"), np.int32(len(jobs)), np.int32(write))
        threads = THREADS["STATES"]
        launch("region_states", -(-len(jobs) * 32 // threads), threads, arguments, self._stream)


def build_timelines(batch: Sequence[Resident], slices_bytes: int, rows_bytes: int, stream: Any) -> None:
    """
    Play the pieces of a batch and write the rows that policies read.

    Parameters
    ----------
    batch : sequence of Resident
        Uploaded.
    slices_bytes : int
        Device memory for pieces and states; if they need more, they come in slices, twice: once to count the rows and
        once to write them.
    rows_bytes : int
        Device memory for rows.
    stream : cupy.cuda.Stream

    Raises
    ------
    BackendError
        If a single region, or the rows of all, do not fit.
    """
    import cupy

    n_blocks = timeline_blocks(cupy.cuda.Device())
    lists = cut_slices(batch, slices_bytes)
    with stream:
        owners = cupy.empty(owner_bytes(n_blocks) // 4, np.int32)
    if len(lists) == 1:
        playing = _Playing(batch, lists[0], stream)
        playing.play(owners, n_blocks)
        playing.states(write=False)
        _allocate(batch, rows_bytes, stream)
        playing.states(write=True)
        stream.synchronize()
    else:
        for write in (False, True):
            for slices in lists:
                _play_slices(batch, slices, owners, n_blocks, stream, write=write)
            if not write:
                _allocate(batch, rows_bytes, stream)
    _totals(batch, stream)


def _allocate(batch: Sequence[Resident], room_bytes: int, stream: Any) -> None:
    for resident in batch:
        resident.count_rows(stream)
    needed = sum(resident.rows_bytes for resident in batch)
    if needed > room_bytes:
        raise BackendError(
            f'backend "cupy": the timelines of this trace need {needed} bytes on the device, and {room_bytes} are left '
            "for them; take numpy, or a device with more memory"
        )
    for resident in batch:
        resident.allocate_rows(stream)


def _play_slices(
    batch: Sequence[Resident], slices: Sequence[Slice], owners: Any, n_blocks: int, stream: Any, *, write: bool
) -> None:
    playing = _Playing(batch, slices, stream)
    playing.play(owners, n_blocks)
    playing.states(write=write)
    stream.synchronize()  # the next ones need the room


def _totals(batch: Sequence[Resident], stream: Any) -> None:
    traces = np.stack([resident.fields for resident in batch])
    jobs = np.array([(i, region) for i, item in enumerate(batch) for region in range(item.input.n_regions)], np.int64)
    tables = DeviceColumns({"traces": traces.view(np.uint64), "jobs": jobs}, stream)
    threads = THREADS["TOTALS"]
    arguments = (tables.array("traces"), tables.array("jobs"), np.int32(len(jobs)))
    launch("region_totals", -(-len(jobs) // threads), threads, arguments, stream)
    stream.synchronize()
