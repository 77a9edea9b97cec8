"""What a device needs of one trace, as NumPy columns: pieces by region, times with SNP on, groups, clearings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gmemgpu.engine.cupy.defines import PieceOp
from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Int32Array, Int64Array, Trace
from gmemgpu.timeline.piece import IdRegions, RegionPieces, cut_at_regions, id_regions, state_pieces
from gmemgpu.timeline.snp import SnpStates, snp_states

__all__ = ["TraceInput", "PieceColumns", "Columns"]

Columns = dict[str, NDArray[np.generic]]
"""By the name of a `TraceField` or `JobField` that holds the address."""


@dataclass(frozen=True, slots=True, eq=False)
class PieceColumns:
    """
    Everything that changes a region's state, grouped by region, each group in event order.

    Parameters
    ----------
    offset : (n_regions + 1,) int64
        Pieces of region r are ``offset[r]:offset[r + 1]``.
    ns : (n,) int64
    lo, hi : (n,) int32
        Pages of the region, half open; of an eviction, the range in which its inode ever had pages.
    inode : (n,) int32
    op : (n,) uint8
        `PieceOp`.
    """

    offset: Int64Array
    ns: Int64Array
    lo: Int32Array
    hi: Int32Array
    inode: Int32Array
    op: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.ns)


class TraceInput:
    """
    One trace, cut at its horizon and laid out for the kernels.

    Parameters
    ----------
    trace : Trace
        A valid one.

    Attributes
    ----------
    core_counts : (n_groups,) int64
        How many cores cover the regions of each group; 0 is a group too.
    region_group : (n_regions,) int32
    covered : (n_regions,) bool
    region_of : (n_positions,) int32
        The covered regions, ascending; the index is a region's position.
    n_before : (n_regions + 1,) int32
        Covered regions below each.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace.before_horizon()
        self.snp: SnpStates = snp_states(self.trace)
        cores = np.array(trace.host.covering_cores(), np.int64)
        self.core_counts, group = np.unique(cores, return_inverse=True)
        self.region_group: Int32Array = group.astype(np.int32)
        self.covered = cores > 0
        self.region_of: Int32Array = np.flatnonzero(self.covered).astype(np.int32)
        self.n_before: Int32Array = np.append(0, np.cumsum(self.covered)).astype(np.int32)
        self.n_regions = len(cores)
        self.n_positions = len(self.region_of)
        self._assigns = cut_at_regions(self.trace, np.flatnonzero(self.trace.kind == Kind.ASSIGN))
        self.by_inode = id_regions(self.trace, self._assigns, self.trace.inode)
        self.pieces = self._piece_columns()
        self.has_used = bool((self.pieces.op == PieceOp.USE).any())

    @cached_property
    def by_vm(self) -> IdRegions:
        """Where the guest_memfds of each VM ever had pages."""
        return id_regions(self.trace, self._assigns, self.trace.vm)

    def positions(self, found: IdRegions) -> IdRegions:
        """Keep covered regions, as positions."""
        kept = self.covered[found.region]
        return IdRegions(found.ids[kept], self.n_before[found.region[kept]], found.since_ns[kept])

    def clearings(self) -> Columns:
        """Return time and position of all `release` and `share` pieces of covered regions, in time order."""
        kind = self.trace.kind
        pieces = cut_at_regions(self.trace, np.flatnonzero((kind == Kind.RELEASE) | (kind == Kind.SHARE)))
        kept = self.covered[pieces.region]
        return {
            "CLEARING_NS": self.trace.t_ns[pieces.event[kept]],
            "CLEARING_POSITION": self.n_before[pieces.region[kept]],
        }

    def _piece_columns(self) -> PieceColumns:
        trace = self.trace
        pieces = state_pieces(trace, self.by_inode)
        kind = trace.kind[pieces.event]
        inode = trace.inode[pieces.event]
        op = np.full(len(kind), PieceOp.CLEAR, np.uint8)
        for code, what in (
            (Kind.USE, PieceOp.USE),
            (Kind.UNUSE, PieceOp.UNUSE),
            (Kind.EVICT_BEGIN, PieceOp.EVICT_BEGIN),
            (Kind.EVICT_END, PieceOp.EVICT_END),
        ):
            op[kind == code] = what
        assigns = np.flatnonzero(kind == Kind.ASSIGN)
        op[assigns] = np.where(inode[assigns] < 0, PieceOp.ASSIGN_OTHER, PieceOp.ASSIGN)
        evictions = np.flatnonzero((op == PieceOp.EVICT_BEGIN) | (op == PieceOp.EVICT_END))
        lo, hi = pieces.lo, pieces.hi
        if len(evictions):
            owned = assigns[inode[assigns] >= 0]
            op[owned[self._in_eviction(pieces.event[owned])]] = PieceOp.ASSIGN_EVICTING
            lo, hi = self._ranges(pieces, inode, owned, evictions)
        return PieceColumns(
            offset=np.searchsorted(pieces.region, np.arange(self.n_regions + 1)),
            ns=trace.t_ns[pieces.event],
            lo=lo,
            hi=hi,
            inode=inode,
            op=op,
        )

    def _in_eviction(self, event: Int64Array) -> NDArray[np.bool_]:
        # Whether the inode of an event is between its `evict_begin` and `evict_end`, in file order.
        trace = self.trace
        rows = np.flatnonzero((trace.kind == Kind.EVICT_BEGIN) | (trace.kind == Kind.EVICT_END))
        stride = len(trace) + 1
        order = np.argsort(trace.inode[rows], kind="stable")
        rows = rows[order]
        key = trace.inode[rows].astype(np.int64) * stride + rows
        last = np.searchsorted(key, trace.inode[event].astype(np.int64) * stride + event) - 1
        found = rows[np.maximum(last, 0)]
        mine = (last >= 0) & (trace.inode[found] == trace.inode[event])
        inside: NDArray[np.bool_] = mine & (trace.kind[found] == Kind.EVICT_BEGIN)
        return inside

    def _ranges(
        self, pieces: RegionPieces, inode: Int32Array, owned: NDArray[np.intp], evictions: NDArray[np.intp]
    ) -> tuple[Int32Array, Int32Array]:
        # An eviction looks at the owners of the pages in which its inode ever lay, not at the whole region.
        key = inode.astype(np.int64) * self.n_regions + pieces.region
        order = owned[np.argsort(key[owned], kind="stable")]
        starts = np.flatnonzero(np.append(True, key[order][1:] != key[order][:-1]))
        group = np.searchsorted(key[order][starts], key[evictions])
        lo, hi = pieces.lo.copy(), pieces.hi.copy()
        lo[evictions] = np.minimum.reduceat(pieces.lo[order], starts)[group]
        hi[evictions] = np.maximum.reduceat(pieces.hi[order], starts)[group]
        return lo, hi
