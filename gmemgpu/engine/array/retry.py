"""Passes over regions that are visited again and again until an attempt succeeds."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.passes import Passes
from gmemgpu.engine.array.window import NO_VISITS, Spans, Window
from gmemgpu.engine.array.xp import Array, begins, expand, max_scan, once, search
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

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self.may_be_empty = True
        self.escaped = np.zeros(len(self.caught), bool)
        found = [pair.table.clearings_by_position() for pair in batch.pairs]
        self.cleared_at = begins([len(t_ns) for t_ns, _ in found])
        self.cleared_ns = np.concatenate([t_ns for t_ns, _ in found])
        self.cleared_pair = np.repeat(np.arange(len(batch)), np.diff(self.cleared_at))
        position = np.concatenate([position for _, position in found])
        self.cleared_position = position
        self.cleared_region = position + batch.position_at[self.cleared_pair]
        self.region = np.repeat(np.arange(len(self.ends)), np.diff(np.append(-1, self.ends)))

    def flags(self) -> list[Array]:
        """Return what rounds hand on, one entry a row."""
        return [self.caught, self.escaped]

    def set_flags(self, flags: list[Array]) -> None:
        """Set what an earlier batch of the same pairs had found."""
        self.caught, self.escaped = flags

    def _spans(self, passes: Passes) -> Spans:
        starts, batch = self.starts, self.batch
        n_passes = len(passes.start_ns)
        base = n_passes + 2
        low, high, row, table_row = starts.low, starts.high, starts.row, starts.table_row
        free, caught = batch.free[table_row], self.caught[row]
        region = self.region[row] * base
        # All clearings before the last success in a row are dealt with; one at that pass's start still belongs to it.
        first = low - caught
        last = high - self.escaped[row]
        done = np.where(free & (first < last), last, 0) + region
        before = np.append(0, max_scan(done))[: len(done)] - region
        before = np.maximum(np.where(caught, np.maximum(low, before), before), 0)
        joins = (
            search(passes.start_ns, passes.at[:-1], passes.at[1:], self.cleared_ns, self.cleared_at, "left")
            + passes.at[:-1][self.cleared_pair]
        )
        key = self.cleared_region * base + joins
        at = np.searchsorted(key, region + before, "left")
        since = np.append(key, (len(self.ends) + 1) * base)[at] - region
        self.since = np.minimum(since, n_passes)
        busy = np.flatnonzero(starts.present & batch.busy[table_row] & (self.since < high))
        self._find_single(passes, joins)
        code = np.where(
            batch.free[table_row[self.single_of]],
            np.where(self.single_is_first, CLEAN, CACHED),
            batch.code[table_row[self.single_of]],
        )
        return self._priced(
            np.concatenate([np.maximum(low, self.since)[busy], self.single_pass]),
            np.concatenate([high[busy], self.single_pass + 1]),
            np.concatenate([busy, self.single_of]),
            np.concatenate([batch.code[table_row[busy]], code]),
        )

    def _find_single(self, passes: Passes, joins: Array) -> None:
        # Attempts one by one: in free rows, and of boot passes where the region is not a member yet.
        starts, batch = self.starts, self.batch
        n_passes = len(passes.start_ns)
        free = batch.free[starts.table_row]
        pending = np.flatnonzero(free & (self.since < starts.low))
        k = np.flatnonzero(joins < passes.at[1:][self.cleared_pair])
        pair, scan_pass = self.cleared_pair[k], joins[k]
        cleared = self._start_of(self.cleared_position[k], scan_pass, pair)
        kept = free[cleared]
        cleared, scan_pass = cleared[kept], scan_pass[kept]
        boot = np.flatnonzero(passes.boot & self.ran)
        owner, position = expand(np.zeros(len(boot), np.int64), batch.n_positions[passes.pair[boot]])
        boot = boot[owner]
        booted = self._start_of(position, boot, passes.pair[boot])
        kept = starts.present[booted] & (free[booted] | (boot < self.since[booted]))
        booted, boot = booted[kept], boot[kept]
        base = n_passes + 1
        of = np.concatenate([pending, cleared, booted])
        self.single = once(of * base + np.concatenate([starts.low[pending], scan_pass, boot]))
        self.single_of, self.single_pass = self.single // base, self.single % base
        head = np.ones(len(self.single), bool)
        head[1:] = self.single_of[1:] != self.single_of[:-1]
        self.single_is_first = head & free[self.single_of] & ~self.caught[starts.row[self.single_of]]

    def _start_of(self, position: Array, scan_pass: Array, pair: Array) -> Array:
        # Index of the row of a region in which a pass starts.
        row = self.batch.row(position, self.instant[scan_pass], pair)
        return np.searchsorted(self.starts.row, row)

    def _single_at(self, of: Array, scan_pass: Array) -> tuple[Array, Array]:
        # Where single attempts stand, and whether there are such.
        wanted = of * (self.n_passes + 1) + scan_pass
        if not len(self.single):
            return np.zeros(len(of), np.int64), np.zeros(len(of), bool)
        at = np.minimum(np.searchsorted(self.single, wanted), len(self.single) - 1)
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
        return self.single_of[self.single_is_first], self.single_pass[self.single_is_first]

    def _settle(self, passes: Passes) -> Array:
        landed, _ = self._landed(passes, *NO_VISITS, only_what_matters=True)
        caught = np.zeros(len(self.caught), bool)
        # Of several rows that begin before one visit, the visit finds the last.
        last = np.ones(len(landed.row), bool)
        last[:-1] = (landed.of[1:] != landed.of[:-1]) | (landed.scan_pass[1:] != landed.scan_pass[:-1])
        finds = last & self.batch.free[landed.table_row] & ~self._fails_anyway(landed.of)
        caught[landed.row[finds]] = True
        escaped = np.zeros(len(self.caught), bool)
        escaped[self.starts.row[landed.of]] = True
        changed: Array = self._replace("caught", caught) | self._replace("escaped", escaped)
        return changed
