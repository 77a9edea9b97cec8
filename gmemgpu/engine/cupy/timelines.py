"""Timelines on the device: pieces in, rows of states out, in as many slices as memory asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gmemgpu.engine.cupy.defines import THREADS
from gmemgpu.engine.cupy.kernel import launch
from gmemgpu.engine.cupy.playing import Playing, owner_bytes, timeline_blocks
from gmemgpu.engine.cupy.resident import Resident
from gmemgpu.engine.cupy.slices import Slice, cut_slices
from gmemgpu.engine.cupy.transfer import DeviceColumns
from gmemgpu.errors import BackendError

__all__ = ["build_timelines"]


def build_timelines(batch: Sequence[Resident], slices_bytes: int, rows_bytes: int, stream: Any) -> int:
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

    Returns
    -------
    int
        Lists of slices that it took.

    Raises
    ------
    BackendError
        If a single region, or the rows of all, do not fit.
    """
    import cupy

    lists = cut_slices(batch, slices_bytes)
    n_blocks = timeline_blocks(batch)
    with stream:
        owners = cupy.empty(owner_bytes(n_blocks) // 4, np.int32)
    if len(lists) == 1:
        playing = Playing(batch, lists[0], stream)
        playing.play(owners, n_blocks)
        playing.make_rows(write=False)
        _allocate(batch, rows_bytes, stream)
        playing.make_rows(write=True)
        stream.synchronize()
    else:
        for write in (False, True):
            for slices in lists:
                _play_slices(batch, slices, owners, n_blocks, stream, write=write)
            if not write:
                _allocate(batch, rows_bytes, stream)
    _totals(batch, stream)
    return len(lists)


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
    playing = Playing(batch, slices, stream)
    playing.play(owners, n_blocks)
    playing.make_rows(write=write)
    stream.synchronize()  # the next ones need the room


def _totals(batch: Sequence[Resident], stream: Any) -> None:
    traces = np.stack([resident.fields for resident in batch])
    jobs = np.array([(i, region) for i, item in enumerate(batch) for region in range(item.input.n_regions)], np.int64)
    tables = DeviceColumns({"traces": traces.view(np.uint64), "jobs": jobs}, stream)
    threads = THREADS["TOTALS"]
    arguments = (tables.array("traces"), tables.array("jobs"), np.int32(len(jobs)))
    launch("region_totals", -(-len(jobs) // threads), threads, arguments, stream)
    stream.synchronize()
