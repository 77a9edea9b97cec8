"""What compiled passes read: one trace as columns, shared by its policies."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from gmemgpu.engine.array.columns import REGION_BITS
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.class_code import ABSENT, CLEAN
from gmemgpu.model.policy import Gate, Scope
from gmemgpu.model.trace import BoolArray, Int16Array, Int32Array, Int64Array
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
    tables : Tables
        Of one trace, on the host.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        snp, rows = tables.snp[0], tables.columns.rows
        self.snp = Snp(*_bounds(snp.epochs), *_bounds(snp.shutdowns))
        self._covered = np.flatnonzero(tables.hosts[0].position >= 0)
        self._is_covered: BoolArray = tables.hosts[0].position >= 0
        n_rows = np.diff(rows.at)
        n_regions = len(n_rows)
        self._first_row = np.append(0, np.cumsum(n_rows + 1)[:-1])
        region = np.repeat(np.arange(n_regions, dtype=np.int32), n_rows)
        row = np.arange(len(region)) + region
        size = len(region) + n_regions
        self._t_ns, self._code = np.full(size, FOREVER, np.int64), np.full(size, ABSENT, np.int16)
        self._has_gmem = np.zeros(size, bool)
        self._t_ns[row], self._code[row], self._has_gmem[row] = rows.t_ns, rows.codes(tables.xp), rows.gmem > 0
        kept = self._is_covered[region]
        order = np.argsort(rows.t_ns[kept], kind="stable")
        # Rows fit 32 bits: a row is 40 bytes of timeline.
        self.changes = Changes(
            rows.t_ns[kept][order], region[kept][order], row[kept][order].astype(np.int32, casting="same_kind")
        )

    def states(self, gate: Gate) -> States:
        """Return the classes of all regions under a gate; all but `gated` are the same arrays at each call."""
        gated = self._code
        if gate != "all":
            dropped = self._code < CLEAN if gate == "free" else self._has_gmem & (self._code < CLEAN)
            gated = np.where(dropped, np.int16(ABSENT), self._code)
        return States(self._first_row, self._t_ns, self._code, gated, self._covered, self._is_covered)

    @cached_property
    def clearings(self) -> Clearings:
        """What makes regions dirty."""
        _, t_ns, position = self.tables.clearings
        return Clearings(t_ns, self._covered[position].astype(np.int32))

    def named(self, scope: Scope) -> NamedRegions:
        """Return the regions that requests name by VM or inode; none for other scopes."""
        return self.tables.once(("named", scope), lambda: self._named(scope))

    def _named(self, scope: Scope) -> NamedRegions:
        none = np.zeros(0, np.int64)
        keys, since_ns = self.tables.columns.owners(scope) if scope in ("vm", "inode") else (none, none)
        region = keys & ((1 << REGION_BITS) - 1)
        kept = self._is_covered[region]
        ids, first = np.unique(keys[kept] >> REGION_BITS, return_index=True)
        return NamedRegions(ids, np.append(first, kept.sum()), region[kept].astype(np.int32), since_ns[kept])


def _bounds(intervals: list[tuple[int, int]]) -> tuple[Int64Array, Int64Array]:
    both = np.array(intervals, np.int64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()
