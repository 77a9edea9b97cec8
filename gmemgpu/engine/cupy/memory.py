"""How much device memory a batch takes: bounds before its rows are counted, exact sizes after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gmemgpu.engine.cupy.defines import PieceOp
from gmemgpu.engine.cupy.playing import owner_bytes, timeline_blocks
from gmemgpu.engine.cupy.resident import Resident
from gmemgpu.engine.cupy.slices import slice_bytes

__all__ = ["budget_bytes", "bound_bytes", "owners_bytes", "row_bound_bytes"]

_SHARE = 0.9
"""Of the free memory: the rest is for the driver, for launches, and for what lies between blocks of the pool."""


def budget_bytes() -> int:
    """
    Return the device memory that a batch may take: what the driver has left, and what CuPy's pool holds unused.

    Less if processes share the device: `CUPY_GPU_MEMORY_LIMIT` says how much of it is this one's.
    """
    import cupy

    room, _ = cupy.cuda.Device().mem_info
    pool = cupy.get_default_memory_pool()
    room += pool.total_bytes() - pool.used_bytes()
    limit = pool.get_limit()
    if limit:
        room = min(room, limit - pool.used_bytes())
    return int(_SHARE * room)


def owners_bytes(batch: Sequence[Resident]) -> int:
    """Return the device memory in which region timelines note who owns each page."""
    return owner_bytes(timeline_blocks(batch))


def row_bound_bytes(resident: Resident) -> int:
    """Return what the rows of a trace take at most: each piece changes every state of its region."""
    found = resident.input
    op = found.pieces.op
    n_used = len(op) if found.has_used else 0
    n_class = len(op) - int(((op == PieceOp.USE) | (op == PieceOp.UNUSE)).sum())
    n_falls = int(np.count_nonzero(op == PieceOp.CLEAR))
    return resident.row_bytes(n_class + 2 * found.n_regions, n_used + found.n_regions, n_falls)


def bound_bytes(resident: Resident) -> int:
    """Return what a trace takes at most while its timelines are built, all of its pieces at a time."""
    pieces = slice_bytes(resident.input.pieces, 0, resident.input.n_regions)
    return resident.kept_bytes + pieces + row_bound_bytes(resident)
