"""States of regions after each piece, page-exact: pieces up, states down, in as many slices as memory asks for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gmemgpu.engine.cupy.defines import THREADS
from gmemgpu.engine.cupy.kernel import launch
from gmemgpu.engine.cupy.pieces import PieceColumns
from gmemgpu.engine.cupy.transfer import DeviceColumns
from gmemgpu.errors import BackendError
from gmemgpu.model.trace import Int32Array, Int64Array
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["SHARED_BYTES", "PIECE_BYTES", "owners_bytes", "play_pieces"]

_BITMAPS = 4
SHARED_BYTES = _BITMAPS * PAGES_PER_REGION // 8
"""Dynamic shared memory of a thread block that plays a region: no kernel takes more."""

_STATES = (np.int32, np.int32, np.int32, np.int32, np.int16)
"""Types of A, G, E, U and first block."""

PIECE_BYTES = 13 + sum(np.dtype(dtype).itemsize for dtype in _STATES)
"""Device memory of a piece: its columns and the state after it."""
_SLICE_BYTES = 1 << 13
"""Beside pieces and regions, for all that is rounded up."""
_REGION_BYTES = 16


def _n_blocks(n_regions: int) -> int:
    # Regions are played one a multiprocessor at a time: the bitmaps of one fill its shared memory.
    import cupy

    return max(1, min(int(cupy.cuda.Device().attributes["MultiProcessorCount"]), n_regions))


def owners_bytes(n_regions: int) -> int:
    """Return the device memory in which thread blocks note the owner of each page of their region."""
    return _n_blocks(n_regions) * PAGES_PER_REGION * 4


def _slices(sizes: Int64Array, budget_bytes: int) -> list[int]:
    # Borders of slices of regions that fit the device one after another.
    ends = np.cumsum(sizes * PIECE_BYTES + _REGION_BYTES)
    room = budget_bytes - _SLICE_BYTES
    largest = int((sizes * PIECE_BYTES + _REGION_BYTES).max(initial=0))
    if largest > room:
        raise BackendError(
            f'backend "cupy": a region of this trace needs {largest + _SLICE_BYTES} bytes on the device, and '
            f"{max(budget_bytes, 0)} are free; take numpy, or a device with more memory"
        )
    borders = [0]
    while borders[-1] < len(sizes):
        before = int(ends[borders[-1] - 1]) if borders[-1] else 0
        borders.append(int(np.searchsorted(ends, before + room, "right")))
    return borders


def play_pieces(
    traces: Sequence[PieceColumns], budget_bytes: int, stream: Any
) -> tuple[list[list[Int32Array]], list[int]]:
    """
    Find the state of every region after each of its pieces.

    Parameters
    ----------
    traces : sequence of PieceColumns
    budget_bytes : int
        Device memory to take.
    stream : cupy.cuda.Stream

    Returns
    -------
    states : list (traces) of list (5) of (n_pieces,) int32
        A, G, E, U and first block of MODEL.md section 4, in the order of the pieces.
    slice_pieces : list of int
        How many pieces went at a time.

    Raises
    ------
    BackendError
        If a single region does not fit.
    """
    import cupy

    sizes = np.concatenate([trace.sizes for trace in traces])
    columns = {name: np.concatenate([getattr(trace, name) for trace in traces]) for name in ("lo", "hi", "inode", "op")}
    n_owners = owners_bytes(len(sizes))
    borders = _slices(sizes, budget_bytes - n_owners)
    offset = np.append(0, np.cumsum(sizes))
    states = [np.empty(int(offset[-1]), np.int32) for _ in _STATES]
    with stream:
        owners = cupy.empty(n_owners // 4, np.int32)
    slice_pieces = []
    for begin, end in pairwise(borders):
        part = slice(int(offset[begin]), int(offset[end]))
        slice_pieces.append(part.stop - part.start)
        jobs = np.stack([offset[begin:end], offset[begin + 1 : end + 1]], axis=1) - part.start
        found = _play({name: column[part] for name, column in columns.items()}, jobs, owners, stream)
        for state, values in zip(states, found, strict=True):
            state[part] = values
    edges = np.cumsum([len(trace.op) for trace in traces])[:-1]
    by_trace = zip(*(np.split(state, edges) for state in states), strict=True)
    return [list(of_trace) for of_trace in by_trace], slice_pieces


def _play(columns: dict[str, Any], jobs: Int64Array, owners: Any, stream: Any) -> list[Any]:
    import cupy

    n = len(columns["op"])
    if not n:
        return [0 for _ in _STATES]
    # The longest regions first: blocks take them in turn, and the last to end should be short ones.
    lengths = jobs[:, 1] - jobs[:, 0]
    order = np.argsort(-lengths, kind="stable")
    jobs = jobs[order[lengths[order] > 0]]
    there = DeviceColumns({"jobs": jobs, **columns}, stream)
    with stream:
        states = [cupy.empty(n, dtype) for dtype in _STATES]
    pieces = [there.array(name) for name in ("lo", "hi", "inode", "op")]
    launch(
        "region_timeline",
        min(len(jobs), len(owners) // PAGES_PER_REGION),
        THREADS["TIMELINE"],
        (there.array("jobs"), np.int32(len(jobs)), *pieces, owners, *states),
        stream,
        shared=SHARED_BYTES,
    )
    with stream:
        return [state.get() for state in states]
