"""Class rows of several traces, one after another, where they are computed with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from gmemgpu.engine.array.table import TraceTable
from gmemgpu.engine.array.xp.namespace import Array, begins
from gmemgpu.engine.class_code import CLEAN
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.integral import LIMB_BITS
from gmemgpu.timeline.snp import FOREVER

__all__ = ["JoinedTables", "UsedPages"]


class UsedPages:
    """
    The running integrals of U of several traces (`gmemgpu.timeline.integral`).

    Parameters
    ----------
    tables : sequence of TraceTable

    Attributes
    ----------
    begin, end : (n_positions,) int64
        Rows of each covered region of each trace.
    t_ns, used, high, low : (n,) int64
        As `UsedIntegral` has them.
    """

    def __init__(self, tables: Sequence[TraceTable]) -> None:
        xp = tables[0].xp
        columns: dict[str, list[np.ndarray]] = {name: [] for name in ("begin", "end", "t_ns", "used", "high", "low")}
        n = 0
        for table in tables:
            used, m = table.prepared.used, table.n_positions
            if used is None:
                # One row a region, in which nothing is in use.
                columns["begin"].append(np.arange(m) + n)
                columns["end"].append(np.arange(m) + n + 1)
                for name in ("t_ns", "used", "high", "low"):
                    columns[name].append(np.zeros(m, np.int64))
                n += m
                continue
            covered = table.prepared.covered
            columns["begin"].append(used.offset[covered] + n)
            columns["end"].append(used.offset[covered + 1] + n)
            for name in ("t_ns", "used", "high", "low"):
                columns[name].append(getattr(used, name))
            n += len(used.t_ns)
        self.begin, self.end, self.t_ns, self.used, self.high, self.low = (
            xp.asarray(np.concatenate(parts)) for parts in columns.values()
        )
        self._xp = xp

    def until(self, place: Array, t_ns: Array) -> tuple[Array, Array]:
        """
        Integrate U of some regions up to some times.

        Parameters
        ----------
        place : (m,) int64
            Covered regions, by index among those of all traces.
        t_ns : (m,) int64

        Returns
        -------
        high, low : (m,) int64
            In units of 2**20 page·ns, and in page·ns; what is left of the sum of both if they wrap is right in
            differences within a region.
        """
        row = self._xp.last_of(self.t_ns, self.begin[place], self.end[place], t_ns)
        since, used = t_ns - self.t_ns[row], self.used[row]
        return self.high[row] + used * (since >> LIMB_BITS), self.low[row] + used * (since & ((1 << LIMB_BITS) - 1))


class JoinedTables:
    """
    The columns of some traces, in the order in which they come.

    Parameters
    ----------
    tables : sequence of TraceTable
        Each once, all of one namespace.

    Attributes
    ----------
    xp : Namespace
    row_at, instant_at, position_at : (n_tables + 1,) int64
        Where the rows, the instants and the covered regions of each begin, on the host. The place past the last
        instant of a trace counts as one.
    position, rank, t_ns, code : (n_rows,) int64
    gmem : (n_rows,) bool
    bounds_ns : (n_instants,) int64
    on_at, begins_snp : (n_instants,) bool
        As `TraceTable` has them.
    until_ns : (n_rows,) int64
        When the region's next row begins; `FOREVER` for its last.
    group_of_row : (n_rows,) int64
        What to add to the class for the costs of the region.
    on, free, busy : (n_rows,) bool
        Whether SNP is on; the row is a free episode; any page is assigned.
    key : (n_rows,) int64
        Ascending within a trace: of position and rank.
    ends : (n_positions,) int64
        Last row of each covered region.
    """

    def __init__(self, tables: Sequence[TraceTable]) -> None:
        self.tables = list(tables)
        self.number = {id(table): k for k, table in enumerate(self.tables)}
        xp = self.xp = self.tables[0].xp
        self.row_at = begins([table.n_rows for table in self.tables])
        self.instant_at = begins([table.n_instants for table in self.tables])
        self.position_at = begins([table.n_positions for table in self.tables])
        self.position, self.rank, self.t_ns = (self._column(name) for name in ("position", "rank", "t_ns"))
        self.code, self.gmem = self._column("code"), self._column("gmem")
        self.bounds_ns, self.on_at = self._column("bounds_ns"), self._column("on_at")
        self.begins_snp = self._column("begins_snp")
        row_at, instant_at, position_at = map(xp.asarray, (self.row_at, self.instant_at, self.position_at))

        n = len(self.t_ns)
        last = xp.ones(n, bool)
        last[:-1] = self.position[1:] != self.position[:-1]
        if len(self.tables) > 1:
            filled = self.row_at[1:][np.diff(self.row_at) > 0]
            last[xp.asarray(filled - 1)] = True
        self.ends = xp.flatnonzero(last)
        self.until_ns = xp.full(n, FOREVER, np.int64)
        self.until_ns[:-1] = self.t_ns[1:]
        self.until_ns[self.ends] = FOREVER
        n_instants = xp.asarray(np.array([table.n_instants for table in self.tables]))
        self.key = self.position * xp.spread(n_instants, row_at) + self.rank
        self.instant_of_row = self.rank + xp.spread(instant_at[:-1], row_at)
        self.on = self.on_at[self.instant_of_row]
        self.free = (self.code == CLEAN) & self.on
        self.busy = self.code < CLEAN
        groups = [table.prepared.cost_groups[table.prepared.covered] for table in self.tables]
        self.place_of_row = self.position + xp.spread(position_at[:-1], row_at)
        self.group_of_row = xp.asarray(np.concatenate(groups))[self.place_of_row]

    def _column(self, name: str) -> Array:
        columns = [getattr(table, name) for table in self.tables]
        return self.xp.asarray(columns[0] if len(columns) == 1 else np.concatenate(columns))

    @cached_property
    def clearings(self) -> tuple[Int64Array, Array, Array]:
        """Times and positions of all clearings, those of each trace in time order; and, first, where each begins."""
        found = [table.clearings() for table in self.tables]
        t_ns, position = (self.xp.asarray(np.concatenate(columns)) for columns in zip(*found, strict=True))
        return begins([len(t_ns) for t_ns, _ in found]), t_ns, position

    @cached_property
    def clearings_by_position(self) -> tuple[Int64Array, Array, Array]:
        """The same, those of each trace by position, then time."""
        at, t_ns, position = self.clearings
        table = self.xp.spread(self.xp.asarray(self.position_at[:-1]), self.xp.asarray(at))
        order = self.xp.stable_order(position + table)
        return at, t_ns[order], position[order]

    @cached_property
    def used(self) -> UsedPages | None:
        """Pages in use; None if no trace has any."""
        if all(table.prepared.used is None for table in self.tables):
            return None
        return UsedPages(self.tables)
