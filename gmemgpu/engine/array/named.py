"""Passes over single regions: those that requests name, or that were cleared since their last attempt."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.naming import NamedRegions, named_regions
from gmemgpu.engine.array.outcome import Outcome
from gmemgpu.engine.array.passes import Passes, first_at
from gmemgpu.engine.array.row_marks import RowMarks
from gmemgpu.engine.array.schedule import Schedule
from gmemgpu.engine.array.targets import cleared_keys, requested_keys
from gmemgpu.engine.array.visits import attempt_costs, attempt_visits, attempts_of
from gmemgpu.engine.array.xp.namespace import Array
from gmemgpu.engine.class_code import CACHED, CLEAN, FAIL_EARLY
from gmemgpu.model.trace import Int64Array

__all__ = ["Named"]


def _no_clearings(batch: Batch) -> tuple[Int64Array, Array, Array]:
    none = batch.xp.zeros(0, np.int64)
    return np.zeros(len(batch.tables) + 1, np.int64), none, none


class Named:
    """
    Scopes ``region``, ``vm``, ``inode`` and ``dirty``, attempt by attempt.

    Parameters
    ----------
    batch : Batch
        Of pairs with these scopes.
    schedule : Schedule
        Of the batch.
    named : NamedRegions, optional
        What its requests name, if that is known.
    """

    marks = ("caught",)
    """What rounds hand on: attributes that are `RowMarks`."""

    def __init__(self, batch: Batch, schedule: Schedule, named: NamedRegions | None = None) -> None:
        self.batch, self.schedule = batch, schedule
        xp = self.xp = batch.xp
        self.caught = RowMarks(batch)
        self.known = False
        self.named = named_regions(batch) if named is None else named
        self.request = self.named.request + xp.spread(schedule.requests.at[:-1], self.named.at, len(self.named.request))
        dirty = batch.of_policies([policy.scope == "dirty" for policy in batch.policies])
        at, *columns = batch.tables.clearings if dirty.any() else _no_clearings(batch)
        self.cleared_at, self.cleared_pair, index = batch.of_tables(at, dirty)
        self.cleared_ns, self.cleared_position = (column[index] for column in columns)

    def round(self, passes: Passes, *, moved: bool) -> tuple[Passes, Array]:
        """
        Compute how long passes last, and which rows they catch.

        Parameters
        ----------
        passes : Passes
        moved : bool
            Whether any passes are others than in the last round.

        Returns
        -------
        passes : Passes
            With new ends.
        changed : (n_pairs,) bool
            Whether the caught rows differ from those that the ends are based on.
        """
        self.look(passes, again=not self.known or moved)
        ends = passes.start_ns + self.length_ns
        passes = Passes(passes.at, passes.pair, passes.start_ns, ends, passes.boot, passes.first)
        return passes, self._settle()

    def look(self, passes: Passes, *, again: bool = True) -> None:
        """Find what passes visit, and with which class."""
        batch = self.batch
        if again:
            self._attempts(passes)
            self.known = True
        attempts = self.attempts
        self.code, self.cost, each = attempt_costs(batch, attempts, self.visited_before, self.caught.on)
        self.length_ns, self.visits = attempt_visits(batch, attempts, passes.start_ns, self.code, each)

    def _attempts(self, passes: Passes) -> None:
        batch = self.batch
        self.instant = batch.instant(passes.start_ns, passes.at)
        self.ran = batch.is_on(self.instant, passes.pair)
        requested = requested_keys(
            self.xp,
            *(self.named, self.request, self.schedule.requests, self.schedule.lost, passes, self.ran),
            batch.most_positions,
        )
        key = self.xp.once(self.xp.concatenate([requested, self._cleared(passes), self._booted(passes)]), 0)
        self.attempts = attempts_of(batch, passes, self.instant, key)
        free = batch.free[self.attempts.table_row]
        self.visited_before = self.xp.come_later(batch.n_rows, self.attempts.row, free)

    def _cleared(self, passes: Passes) -> Array:
        if not len(self.cleared_ns):
            return self.xp.zeros(0, np.int64)
        batch, base = self.batch, self.batch.most_positions
        cleared = self.cleared_ns, self.cleared_position, self.cleared_at, self.cleared_pair
        key = cleared_keys(self.xp, *cleared, passes, self.ran, base)
        if not batch.gated:
            return key
        key = self.xp.once(key, 0)
        scan_pass, position = key // base, key % base
        pair = passes.pair[scan_pass]
        gated = self.xp.flatnonzero(batch.gate[pair] > 0)
        if len(gated):
            later, found = self._let_through(passes, scan_pass[gated], position[gated], pair[gated])
            key[gated] = self.xp.where(found, later * base + position[gated], -1)
        return key

    def _let_through(self, passes: Passes, scan_pass: Array, position: Array, pair: Array) -> tuple[Array, Array]:
        # What the gate drops stays dirty: it waits for the next row that is let through and in which a pass starts.
        batch = self.batch
        slot = self.instant + batch.instant_at[:-1][passes.pair]
        count = self.xp.cumsum(self.xp.count_at(batch.n_slots, slot))
        of_row = self.xp.owners(batch.row_at, batch.n_rows)
        table_row = self.xp.arange(len(of_row)) + batch.table_row[of_row]
        low = count[batch.slots()]
        last = self.xp.ones(len(low), bool)
        last[:-1] = batch.position[table_row[1:]] != batch.position[table_row[:-1]]
        last[:-1] |= of_row[1:] != of_row[:-1]
        high = self.xp.where(last, passes.at[1:][of_row], self.xp.with_last(low[1:], 0))
        good = (high > low) & batch.on[table_row] & ~batch.is_absent(table_row, of_row)
        n = len(good)
        following = self.xp.min_scan(self.xp.where(good, self.xp.arange(n), n))
        row = batch.row(position, self.instant[scan_pass], pair)
        to = self.xp.with_last(following, n)[row]
        inside = self.xp.minimum(to, n - 1)
        found = (to < n) & (of_row[inside] == pair) & (batch.position[table_row[inside]] == position)
        return self.xp.where(to == row, scan_pass, low[inside]), found

    def _booted(self, passes: Passes) -> Array:
        boot = self.xp.flatnonzero(passes.boot & self.ran)
        owner, position = self.xp.expand(self.xp.zeros(len(boot), np.int64), self.batch.n_positions[passes.pair[boot]])
        return boot[owner] * self.batch.most_positions + position

    def _settle(self) -> Array:
        visits = self.visits
        late = visits.succeeds & (visits.met_row != self.attempts.row)
        return self.caught.replace(visits.met_row[self.xp.flatnonzero(late)])

    def empty(self) -> Array:
        """Check which passes have no region to visit."""
        empty: Array = self.attempts.at[1:] == self.attempts.at[:-1]
        return empty

    def outcome(self, passes: Passes) -> Outcome:
        """Return what all attempts led to, once nothing moves any more."""
        batch, n_pairs = self.batch, len(self.batch)
        counted_from = first_at(self.xp, passes, batch.warmup_ns)
        attempts, visits = self.attempts, self.visits
        counted = attempts.scan_pass >= counted_from[attempts.pair]
        codes = self.xp.count_at(batch.n_costs, self.cost, counted)
        is_new = visits.succeeds & ~self.xp.come_later(batch.n_rows, visits.met_row, visits.succeeds)
        new = self.xp.flatnonzero(is_new)
        early = ~visits.succeeds & batch.busy[visits.met_table_row] & (batch.code[visits.met_table_row] >= FAIL_EARLY)

        def tally(which: Array) -> Array:
            return self.xp.count_at(n_pairs, attempts.pair, counted & which)

        return Outcome(
            codes=codes,
            failed=tally(~visits.succeeds) - tally(self.code < CLEAN),
            early=tally(early) - tally((self.code < CLEAN) & (self.code >= FAIL_EARLY)),
            cached=tally(visits.succeeds & ~is_new) - tally(self.code == CACHED),
            first_pass=attempts.scan_pass[new],
            first_row=visits.met_row[new],
            first_done_ns=visits.done_ns[new],
        )
