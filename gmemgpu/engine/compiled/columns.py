"""What compiled passes read: one trace as columns, shared by its policies."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from gmemgpu.engine.class_code import ABSENT, CLEAN
from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.policy import Gate, Scope
from gmemgpu.model.trace import BoolArray, Int16Array, Int32Array, Int64Array
from gmemgpu.timeline.piece import IdRegions
from gmemgpu.timeline.snp import FOREVER

__all__ = ["Changes", "Clearings", "Columns", "NamedRegions", "Snp", "States"]


class States(NamedTuple):
    """
    The classes of all regions over time, one region after another.

    Parameters
    ----------
    first_row : (n_regions,) int64
        Of each region.
    t_ns : (n,) int64
        When the class begins. `FOREVER` stands after the last row of each region, so that a search needs no bound.
    code : (n,) int16
        The class as if no bit were set.
    gated : (n,) int16
        The same, `ABSENT` where the policy's gate drops the region.
    covered : (n_covered,) int64
        Regions that some core's window covers, ascending.
    is_covered : (n_regions,) bool
        Whether a region is one of them.
    """

    first_row: Int64Array
    t_ns: Int64Array
    code: Int16Array
    gated: Int16Array
    covered: Int64Array
    is_covered: BoolArray


class Changes(NamedTuple):
    """
    The rows of `States` of covered regions, in time order.

    Parameters
    ----------
    t_ns : (n,) int64
        When.
    region, row : (n,) int32
        Which region changes, and to which row.
    """

    t_ns: Int64Array
    region: Int32Array
    row: Int32Array


class Clearings(NamedTuple):
    """
    The `release` and `share` pieces of covered regions, in time order.

    Parameters
    ----------
    t_ns : (n,) int64
        When.
    region : (n,) int32
        Where.
    """

    t_ns: Int64Array
    region: Int32Array


class Snp(NamedTuple):
    """
    When SNP is on, and when it is being shut down.

    Parameters
    ----------
    on_ns, off_ns : (n_epochs,) int64
        Half-open times with SNP on.
    shutdown_ns, down_ns : (n_shutdowns,) int64
        Half-open times of shutdowns.
    """

    on_ns: Int64Array
    off_ns: Int64Array
    shutdown_ns: Int64Array
    down_ns: Int64Array


class NamedRegions(NamedTuple):
    """
    Covered regions in which each VM or inode ever had pages.

    Parameters
    ----------
    ids : (n_ids,) int64
        Ascending.
    first : (n_ids + 1,) int64
        Regions of id i are at ``first[i]:first[i + 1]``, ascending.
    region : (n,) int32
        Which region.
    since_ns : (n,) int64
        When the first of these pages was assigned.
    """

    ids: Int64Array
    first: Int64Array
    region: Int32Array
    since_ns: Int64Array


class Columns:
    """
    One trace's columns, each built when a policy first needs it.

    Parameters
    ----------
    prepared : Prepared
        The trace.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.is_covered: BoolArray = prepared.cores > 0
        self.snp = Snp(*_bounds(prepared.snp.epochs), *_bounds(prepared.snp.shutdowns))
        line, rows = prepared.timeline, prepared.noticed
        n_rows = np.diff(np.searchsorted(rows, line.offset))
        n_regions = len(n_rows)
        self._first_row = np.append(0, np.cumsum(n_rows + 1)[:-1])
        region = np.repeat(np.arange(n_regions, dtype=np.int32), n_rows)
        row = np.arange(len(rows)) + region
        self._t_ns = np.full(len(rows) + n_regions, FOREVER, np.int64)
        self._t_ns[row] = line.t_ns[rows]
        self._code = np.full(len(rows) + n_regions, ABSENT, np.int16)
        self._code[row] = prepared.codes
        self._has_gmem = np.zeros(len(rows) + n_regions, bool)
        self._has_gmem[row] = prepared.gmem
        kept = self.is_covered[region]
        order = np.argsort(line.t_ns[rows[kept]], kind="stable")
        # Rows fit 32 bits: a row is 40 bytes of timeline.
        self.changes = Changes(
            line.t_ns[rows[kept]][order], region[kept][order], row[kept][order].astype(np.int32, casting="same_kind")
        )

    def states(self, gate: Gate) -> States:
        """
        Return the classes of all regions under a gate.

        Parameters
        ----------
        gate : Gate
            Which regions a policy leaves out.

        Returns
        -------
        States
            All but `gated` are the same arrays at each call.
        """
        gated = self._code
        if gate != "all":
            dropped = self._code < CLEAN if gate == "free" else self._has_gmem & (self._code < CLEAN)
            gated = np.where(dropped, np.int16(ABSENT), self._code)
        return States(self._first_row, self._t_ns, self._code, gated, self.prepared.covered, self.is_covered)

    @cached_property
    def clearings(self) -> Clearings:
        """What makes regions dirty."""
        return Clearings(*self.prepared.clearings)

    @cached_property
    def _of_vms(self) -> NamedRegions:
        return self._covered(self.prepared.vm_regions)

    @cached_property
    def _of_inodes(self) -> NamedRegions:
        return self._covered(self.prepared.inode_regions)

    def _covered(self, found: IdRegions) -> NamedRegions:
        kept = self.is_covered[found.region]
        ids, first = np.unique(found.ids[kept], return_index=True)
        return NamedRegions(ids, np.append(first, kept.sum()), found.region[kept], found.since_ns[kept])

    def named(self, scope: Scope) -> NamedRegions:
        """
        Return the regions that requests name by VM or inode.

        Parameters
        ----------
        scope : Scope
            Of the policy.

        Returns
        -------
        NamedRegions
            Empty unless the scope is ``vm`` or ``inode``.
        """
        if scope == "vm":
            return self._of_vms
        if scope == "inode":
            return self._of_inodes
        none = np.zeros(0, np.int64)
        return NamedRegions(none, np.zeros(1, np.int64), none.astype(np.int32), none)


def _bounds(intervals: list[tuple[int, int]]) -> tuple[Int64Array, Int64Array]:
    both = np.array(intervals, np.int64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()
