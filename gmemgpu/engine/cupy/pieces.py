"""Everything that changes a region's state, as columns for the kernel that plays it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmemgpu.engine.cupy.defines import PieceOp
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import BoolArray, Int32Array, Int64Array, Trace
from gmemgpu.timeline.build import TimelinePieces
from gmemgpu.timeline.piece import RegionPieces

__all__ = ["PieceColumns", "piece_columns"]

_OPS = {
    Kind.USE: PieceOp.USE,
    Kind.UNUSE: PieceOp.UNUSE,
    Kind.EVICT_BEGIN: PieceOp.EVICT_BEGIN,
    Kind.EVICT_END: PieceOp.EVICT_END,
}
"""All other kinds clear pages, or assign them."""


@dataclass(frozen=True, slots=True, eq=False)
class PieceColumns:
    """
    Pieces grouped by region, each group in event order.

    Parameters
    ----------
    sizes : (n_regions,) int64
        Pieces of each region.
    lo, hi : (n,) int32
        Pages of the region, half open; of an eviction, the range in which its inode ever had pages.
    inode : (n,) int32
    op : (n,) uint8
        `PieceOp`.
    """

    sizes: Int64Array
    lo: Int32Array
    hi: Int32Array
    inode: Int32Array
    op: NDArray[np.uint8]


def piece_columns(found: TimelinePieces) -> PieceColumns:
    """Return the pieces of a trace as the device plays them."""
    trace, pieces = found.trace, found.pieces
    kind = trace.kind[pieces.event]
    inode = trace.inode[pieces.event]
    op = np.full(len(kind), PieceOp.CLEAR, np.uint8)
    for code, what in _OPS.items():
        op[kind == code] = what
    assigns = np.flatnonzero(kind == Kind.ASSIGN)
    op[assigns] = np.where(inode[assigns] < 0, PieceOp.ASSIGN_OTHER, PieceOp.ASSIGN)
    evictions = np.flatnonzero((op == PieceOp.EVICT_BEGIN) | (op == PieceOp.EVICT_END))
    lo, hi = pieces.lo, pieces.hi
    if len(evictions):
        owned = assigns[inode[assigns] >= 0]
        op[owned[_in_eviction(trace, pieces.event[owned])]] = PieceOp.ASSIGN_EVICTING
        lo, hi = _ranges(pieces, inode, owned, evictions, trace.host.n_regions)
    return PieceColumns(np.bincount(pieces.region, minlength=trace.host.n_regions), lo, hi, inode, op)


def _in_eviction(trace: Trace, event: Int64Array) -> BoolArray:
    # Whether the inode of an event is between its `evict_begin` and `evict_end`, in file order.
    rows = np.flatnonzero((trace.kind == Kind.EVICT_BEGIN) | (trace.kind == Kind.EVICT_END))
    stride = len(trace) + 1
    order = np.argsort(trace.inode[rows], kind="stable")
    rows = rows[order]
    key = trace.inode[rows].astype(np.int64) * stride + rows
    last = np.searchsorted(key, trace.inode[event].astype(np.int64) * stride + event) - 1
    found = rows[np.maximum(last, 0)]
    mine = (last >= 0) & (trace.inode[found] == trace.inode[event])
    inside: BoolArray = mine & (trace.kind[found] == Kind.EVICT_BEGIN)
    return inside


def _ranges(
    pieces: RegionPieces, inode: Int32Array, owned: Int64Array, evictions: Int64Array, n_regions: int
) -> tuple[Int32Array, Int32Array]:
    # An eviction looks at the owners of the pages in which its inode ever lay, not at the whole region.
    key = inode.astype(np.int64) * n_regions + pieces.region
    order = owned[np.argsort(key[owned], kind="stable")]
    starts = np.flatnonzero(np.append(True, key[order][1:] != key[order][:-1]))
    group = np.searchsorted(key[order][starts], key[evictions])
    lo, hi = pieces.lo.copy(), pieces.hi.copy()
    lo[evictions] = np.minimum.reduceat(pieces.lo[order], starts)[group]
    hi[evictions] = np.maximum.reduceat(pieces.hi[order], starts)[group]
    return lo, hi
