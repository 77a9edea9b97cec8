"""Passes over regions that are visited again and again until an attempt succeeds."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.passes import Passes
from gmemgpu.engine.array.row_marks import RowMarks
from gmemgpu.engine.array.window import Spans, Window
from gmemgpu.engine.array.xp.namespace import Array
from gmemgpu.engine.class_code import CACHED, CLEAN

__all__ = ["Retry"]


class Retry(Window):
    """
    Scope ``dirty_retry``.

    Parameters
    ----------
    batch : Batch
        Of pairs with this scope.

    Notes
    -----
    A region is a member of a pass if it was cleared after its last success, that is, from the first pass that starts at
    or after the clearing to the first that finds it free. Passes that start in a busy row all fail, so they change no
    membership; those that start in a free row succeed, so all but those that follow a clearing are without it. One
    more flag a row is handed on: a pass that starts in a free row may visit when it is over. Such a row is *escaped*.
    """

    marks = ("caught", "escaped")

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        xp = self.xp
        self.may_be_empty = True
        self.escaped = RowMarks(batch)
        at, *columns = batch.tables.clearings_by_position
        self.cleared_at, self.cleared_pair, index = batch.of_tables(at, [True] * len(batch))
        self.cleared_ns, self.cleared_position = (column[index] for column in columns)
        self.cleared_region = self.cleared_position + xp.sums(batch.n_positions)[self.cleared_pair]
        rows = xp.concatenate([self.rows.ends[:1] + 1, xp.diff(self.rows.ends)])
        self.region = xp.repeat(xp.arange(len(self.rows.ends)), rows)

    def _spans(self, passes: Passes) -> Spans:
        xp, starts, batch = self.xp, self.starts, self.batch
        n_passes = len(passes.start_ns)
        base = n_passes + 2
        low, high, row, table_row = starts.low, starts.high, starts.row, starts.table_row
        free, caught = batch.free[table_row], self.caught.on[row]
        region = self.region[row] * base
        # All clearings before the last success in a row are dealt with; one at that pass's start still belongs to it.
        first = low - caught
        last = high - self.escaped.on[row]
        done = self.xp.where(free & (first < last), last, 0) + region
        before = xp.zeros(len(done), np.int64)
        before[1:] = xp.max_scan(done)[:-1]
        before -= region
        before = xp.maximum(xp.where(caught, xp.maximum(low, before), before), 0)
        begin, end = passes.at[:-1], passes.at[1:]
        joins = xp.search(passes.start_ns, begin, end, self.cleared_ns, self.cleared_at, "left", begin)
        key = self.cleared_region * base + joins
        at = self.xp.searchsorted(key, region + before, "left")
        since = xp.with_last(key, (len(self.rows.ends) + 1) * base)[at] - region
        self.since = self.xp.minimum(since, n_passes)
        busy = self.xp.flatnonzero(starts.present & batch.busy[table_row] & (self.since < high))
        self._find_single(passes, joins)
        code = self.xp.where(
            batch.free[table_row[self.single_of]],
            xp.where(self.single_is_first, np.int64(CLEAN), np.int64(CACHED)),
            batch.code[table_row[self.single_of]],
        )
        return self._priced(
            self.xp.concatenate([self.xp.maximum(low, self.since)[busy], self.single_pass]),
            self.xp.concatenate([high[busy], self.single_pass + 1]),
            self.xp.concatenate([busy, self.single_of]),
            self.xp.concatenate([batch.code[table_row[busy]], code]),
        )

    def _find_single(self, passes: Passes, joins: Array) -> None:
        # Attempts one by one: in free rows, and of boot passes where the region is not a member yet.
        starts, batch = self.starts, self.batch
        n_passes = len(passes.start_ns)
        free = batch.free[starts.table_row]
        pending = self.xp.flatnonzero(free & (self.since < starts.low))
        k = self.xp.flatnonzero(joins < passes.at[1:][self.cleared_pair])
        pair, scan_pass = self.cleared_pair[k], joins[k]
        cleared = self._start_of(self.cleared_position[k], scan_pass, pair)
        kept = self.xp.flatnonzero(free[cleared])
        cleared, scan_pass = cleared[kept], scan_pass[kept]
        boot = self.xp.flatnonzero(passes.boot & self.ran)
        owner, position = self.xp.expand(self.xp.zeros(len(boot), np.int64), batch.n_positions[passes.pair[boot]])
        boot = boot[owner]
        booted = self._start_of(position, boot, passes.pair[boot])
        kept = self.xp.flatnonzero(starts.present[booted] & (free[booted] | (boot < self.since[booted])))
        booted, boot = booted[kept], boot[kept]
        base = n_passes + 1
        of = self.xp.concatenate([pending, cleared, booted])
        self.single = self.xp.once(of * base + self.xp.concatenate([starts.low[pending], scan_pass, boot]))
        self.single_of, self.single_pass = self.single // base, self.single % base
        head = self.xp.ones(len(self.single), bool)
        head[1:] = self.single_of[1:] != self.single_of[:-1]
        self.single_is_first = head & free[self.single_of] & ~self.caught.on[starts.row[self.single_of]]

    def _start_of(self, position: Array, scan_pass: Array, pair: Array) -> Array:
        # Index of the row of a region in which a pass starts.
        row = self.batch.row(position, self.instant[scan_pass], pair)
        return self.xp.searchsorted(self.starts.row, row)

    def _single_at(self, of: Array, scan_pass: Array) -> tuple[Array, Array]:
        # Where single attempts stand, and whether there are such.
        wanted = of * (self.n_passes + 1) + scan_pass
        if not len(self.single):
            return self.xp.zeros(len(of), np.int64), self.xp.zeros(len(of), bool)
        at = self.xp.minimum(self.xp.searchsorted(self.single, wanted), len(self.single) - 1)
        return at, self.single[at] == wanted

    def _matters(self, of: Array, table_row: Array) -> Array:
        return super()._matters(of, table_row) | self.batch.free[self.starts.table_row[of]]

    def _visits(self, of: Array, scan_pass: Array) -> Array | None:
        busy = self.batch.busy[self.starts.table_row[of]]
        visits: Array = self._single_at(of, scan_pass)[1] | (busy & (scan_pass >= self.since[of]))
        return visits

    def _finds_clean(self, of: Array, scan_pass: Array) -> Array:
        at, known = self._single_at(of, scan_pass)
        return known & self.single_is_first[at] if len(self.single) else known

    def _first_attempts(self) -> tuple[Array, Array]:
        k = self.xp.flatnonzero(self.single_is_first)
        return self.single_of[k], self.single_pass[k]

    def _settle(self, passes: Passes) -> Array:
        none = self.xp.zeros(0, np.int64)
        landed, _ = self._landed(passes, none, none, only_what_matters=True)
        finds = self._is_last(landed) & self.batch.free[landed.table_row] & ~self._fails_anyway(landed.of)
        changed: Array = self.caught.replace(landed.row[self.xp.flatnonzero(finds)])
        changed |= self.escaped.replace(self.starts.row[landed.of])
        return changed
