"""Slices: the regions of a batch cut into lists whose pieces and states fit the device one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.cupy.defines import TraceField
from gmemgpu.engine.cupy.resident import Resident
from gmemgpu.engine.cupy.trace_input import Columns, PieceColumns
from gmemgpu.engine.cupy.transfer import aligned, packed_bytes
from gmemgpu.errors import BackendError

__all__ = ["N_LAUNCHES", "STATES", "Slice", "cut_slices", "piece_columns", "slice_bytes"]

STATES = {
    "STATE_ASSIGNED": np.int32,
    "STATE_GMEM": np.int32,
    "STATE_EVICTING": np.int32,
    "STATE_USED": np.int32,
    "STATE_FIRST": np.int16,
}
"""What is known after each piece, by `TraceField`."""
N_LAUNCHES = 3
"""Over the same slice: to play it, to count its rows and to write them, each with a table of traces and one of jobs."""


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


def piece_columns(pieces: PieceColumns, begin: int, end: int) -> Columns:
    """Return the pieces of some regions, by `TraceField`; views, no copies."""
    part = slice(pieces.offset[begin], pieces.offset[end])
    return {
        "PIECE_NS": pieces.ns[part],
        "PIECE_LO": pieces.lo[part],
        "PIECE_HI": pieces.hi[part],
        "PIECE_INODE": pieces.inode[part],
        "PIECE_OP": pieces.op[part],
    }


def slice_bytes(pieces: PieceColumns, begin: int, end: int) -> int:
    """Return the device memory that the regions of a slice take until their rows are written."""
    n = int(pieces.offset[end] - pieces.offset[begin])
    states = sum(aligned(n * np.dtype(dtype).itemsize) for dtype in STATES.values())
    tables = N_LAUNCHES * (aligned(16 * (end - begin)) + aligned(8 * len(TraceField)))
    return packed_bytes(piece_columns(pieces, begin, end)) + states + tables


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
