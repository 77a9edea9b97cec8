"""Passes over all covered regions, as spans of passes in which a region has one class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.dominance import dominance_sums, span_points
from gmemgpu.engine.array.outcome import Outcome
from gmemgpu.engine.array.passes import Passes, first_at
from gmemgpu.engine.array.row_marks import RowMarks
from gmemgpu.engine.array.starts import RowFinder
from gmemgpu.engine.array.xp.namespace import Array
from gmemgpu.engine.class_code import CACHED, CLEAN, FAIL_EARLY

__all__ = ["Window", "Spans"]


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """
    Attempts, grouped: passes ``low:high`` visit the region of a row with one class.

    Parameters
    ----------
    low, high : (n,) int64
    of : (n,) int64
        Index into the rows in which passes start.
    code : (n,) int64
        Class code.
    cost : (n,) int64
        Where its costs stand.
    length_ns : (n,) int64
    """

    low: Array
    high: Array
    of: Array
    code: Array
    cost: Array
    length_ns: Array


@dataclass(frozen=True, slots=True, eq=False)
class Landed:
    """
    Rows that begin while a pass runs, but before it visits the region.

    Parameters
    ----------
    row, table_row : (n,) int64
    of : (n,) int64
        Index of the row in which the pass started.
    scan_pass : (n,) int64
    visit_ns : (n,) int64
    """

    row: Array
    table_row: Array
    of: Array
    scan_pass: Array
    visit_ns: Array


class Window:
    """
    Scope ``window``.

    Parameters
    ----------
    batch : Batch
        Of pairs with this scope.

    Notes
    -----
    An attempt that is wasted ends no earlier than its episode, and the next pass starts later still: of all attempts
    in one episode only the first can find the bit not set. So whether a pass that starts in a free row finds the bit
    set follows from whether an earlier pass visited in the row. Earlier ones that start in the row are those before
    it; and one more may have started before the row began, and visited when it had. Such a row is *caught*. Starts
    and caught rows are all that rounds hand on.
    """

    marks: tuple[str, ...] = ("caught",)
    """What rounds hand on: attributes that are `RowMarks`."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.xp = batch.xp
        self.rows = RowFinder(batch)
        self.caught = RowMarks(batch)
        # With gate `all` a pass that runs has every covered region.
        self.may_be_empty = batch.gated or not all(host.n_covered for host in batch.tables.hosts)

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
        self.look(passes)
        length_ns = self.xp.cumsum(self._deltas(self.spans.length_ns))[: len(passes.start_ns)]
        passes = Passes(passes.at, passes.pair, passes.start_ns, passes.start_ns + length_ns, passes.boot, passes.first)
        return passes, self._settle(passes)

    def look(self, passes: Passes) -> None:
        """Find in which rows passes start, and what they find there."""
        batch = self.batch
        self.instant = batch.instant(passes.start_ns, passes.at)
        # Instants at or before a start were counted: the last of them is the one before.
        self.ran = batch.is_on(self.instant, passes.pair)
        self.starts = self.rows.starts(passes, self.instant)
        self.spans = self._spans(passes)
        self.n_passes = len(passes.start_ns)

    def _spans(self, passes: Passes) -> Spans:
        xp, starts, batch = self.xp, self.starts, self.batch
        kept = xp.flatnonzero(starts.present)
        low, high, table_row = starts.low[kept], starts.high[kept], starts.table_row[kept]
        free = batch.free[table_row]
        fresh = free & ~self.caught.on[starts.row[kept]]
        after = low + fresh
        more = free & (high > after)
        busy, fresh, more = xp.flatnonzero(~free), xp.flatnonzero(fresh), xp.flatnonzero(more)
        code = batch.code[table_row[busy]]
        n_fresh, n_more = len(fresh), len(more)
        return self._priced(
            xp.concatenate([low[busy], low[fresh], after[more]]),
            xp.concatenate([high[busy], after[fresh], high[more]]),
            xp.concatenate([kept[busy], kept[fresh], kept[more]]),
            xp.concatenate([code, xp.full(n_fresh, CLEAN, np.int64), xp.full(n_more, CACHED, np.int64)]),
        )

    def _priced(self, low: Array, high: Array, of: Array, code: Array) -> Spans:
        batch, starts = self.batch, self.starts
        cost = code + batch.group_of_row[starts.table_row[of]] + batch.cost_at[starts.pair[of]]
        return Spans(low, high, of, code, cost, batch.length_ns[cost])

    def _deltas(self, weight: Array) -> Array:
        n = self.n_passes + 1
        return self.xp.sum_at(n, self.spans.low, weight) - self.xp.sum_at(n, self.spans.high, weight)

    def empty(self) -> Array:
        """Check which passes have no region to visit."""
        if not self.may_be_empty:
            return self.xp.zeros(self.n_passes, bool)
        n = self.n_passes + 1
        visits = self.xp.count_at(n, self.spans.low) - self.xp.count_at(n, self.spans.high)
        return self.xp.cumsum(visits)[: self.n_passes] == 0

    def _since_start(self, scan_pass: Array, position: Array) -> Array:
        # Time from the start of a pass to its visit of a region.
        if not len(scan_pass):
            return self.xp.zeros(0, np.int64)
        spans = self.spans
        hot = self.xp.zeros(self.n_passes + 1, np.int64)
        hot[scan_pass] = 1
        place = self.xp.cumsum(hot) - hot  # of the first pass asked for at or after each
        of = spans.low, spans.high, spans.of, spans.length_ns
        points, n_places = span_points(self.xp, of, self.starts.table_row, self.batch.position, place)
        n_heights = self.batch.most_positions
        return dominance_sums(self.xp, *points, place[scan_pass], position, n_places, n_heights)

    def _landed(
        self, passes: Passes, also_pass: Array, also_position: Array, *, only_what_matters: bool
    ) -> tuple[Landed, Array]:
        # And when other visits are, in one go.
        batch, starts = self.batch, self.starts
        row, of = self.rows.begun_meanwhile(passes, starts)
        table_row = row + batch.table_row[starts.pair[of]]
        kept = starts.present[of]
        if only_what_matters:
            kept &= self._matters(of, table_row)
        kept = self.xp.flatnonzero(kept)
        row, of, table_row = row[kept], of[kept], table_row[kept]
        scan_pass = starts.high[of] - 1
        visits = self._visits(of, scan_pass)
        if visits is not None:
            kept = self.xp.flatnonzero(visits)
            row, of, table_row, scan_pass = row[kept], of[kept], table_row[kept], scan_pass[kept]
        n = len(row)
        asked = self.xp.concatenate([scan_pass, also_pass])
        visit_ns = passes.start_ns[asked] + self._since_start(
            asked, self.xp.concatenate([batch.position[table_row], also_position])
        )
        kept = self.xp.flatnonzero(visit_ns[:n] >= batch.t_ns[table_row])
        return Landed(row[kept], table_row[kept], of[kept], scan_pass[kept], visit_ns[kept]), visit_ns[n:]

    def _fails_anyway(self, of: Array) -> Array:
        starts, batch = self.starts, self.batch
        return batch.leader_first[starts.pair[of]] & batch.busy[starts.table_row[of]]

    def _matters(self, of: Array, table_row: Array) -> Array:
        # Whether the visit decides what later passes find.
        return self.batch.free[table_row] & ~self._fails_anyway(of)

    def _visits(self, of: Array, scan_pass: Array) -> Array | None:
        # Which passes visit the region of the row in which they start, if present there; None for all.
        return None

    def _finds_clean(self, of: Array, scan_pass: Array) -> Array:
        # Whether a pass that starts in a free row finds the bit not set.
        return (scan_pass == self.starts.low[of]) & ~self.caught.on[self.starts.row[of]]

    def _first_attempts(self) -> tuple[Array, Array]:
        # Of each free row that no earlier pass has visited: its index, and the first pass that starts in it.
        starts = self.starts
        of = self.xp.flatnonzero(self.batch.free[starts.table_row] & ~self.caught.on[starts.row])
        return of, starts.low[of]

    def _is_last(self, landed: Landed) -> Array:
        # Of several rows that begin before one visit, the visit finds the last.
        last = self.xp.ones(len(landed.row), bool)
        last[:-1] = (landed.of[1:] != landed.of[:-1]) | (landed.scan_pass[1:] != landed.scan_pass[:-1])
        return last

    def _settle(self, passes: Passes) -> Array:
        none = self.xp.zeros(0, np.int64)
        landed, _ = self._landed(passes, none, none, only_what_matters=True)
        return self.caught.replace(landed.row)

    def outcome(self, passes: Passes) -> Outcome:
        """Return what all attempts led to, once nothing moves any more."""
        batch, spans, starts = self.batch, self.spans, self.starts
        n_pairs = len(batch)
        counted_from = first_at(self.xp, passes, batch.warmup_ns)
        least = counted_from[starts.pair[spans.of]]
        n = self.xp.maximum(spans.high, least) - self.xp.maximum(spans.low, least)
        codes = self.xp.sum_at(batch.n_costs, spans.cost, n)

        first, first_pass = self._first_attempts()
        first_row = starts.table_row[first]
        landed, visit = self._landed(passes, first_pass, batch.position[first_row], only_what_matters=False)
        last = self.xp.flatnonzero(self._is_last(landed))
        row, table_row, of, scan_pass, visit_ns = (
            column[last] for column in (landed.row, landed.table_row, landed.of, landed.scan_pass, landed.visit_ns)
        )
        began = starts.table_row[of]
        was_busy = batch.busy[began]
        found = self.xp.where(self._finds_clean(of, scan_pass), np.int64(CLEAN), np.int64(CACHED))
        code = self.xp.where(was_busy, batch.code[began], found)
        fails = ~batch.free[table_row] | self._fails_anyway(of)
        pair = starts.pair[of]
        counted = scan_pass >= counted_from[pair]
        early_now = batch.busy[table_row] & (batch.code[table_row] >= FAIL_EARLY)

        def tally(which: Array) -> Array:
            return self.xp.count_at(n_pairs, pair, counted & which)

        # First attempts in an episode: of passes that were under way, and of the first that starts in it, unless that
        # one comes to the region only when the row is over.
        met = self.xp.flatnonzero(~fails)
        length = batch.length_ns[code[met] + batch.group_of_row[began[met]] + batch.cost_at[pair[met]]]
        leaves = self.xp.zeros(len(starts.row), bool)
        leaves[of] = True
        stays = self.xp.flatnonzero(~(leaves[first] & (starts.high[first] == first_pass + 1)))
        first, first_pass, first_row, visit = first[stays], first_pass[stays], first_row[stays], visit[stays]
        clean = batch.length_ns[CLEAN + batch.group_of_row[first_row] + batch.cost_at[starts.pair[first]]]
        return Outcome(
            codes=codes,
            failed=tally(fails) - tally(code < CLEAN),
            early=tally(fails & early_now) - tally((code < CLEAN) & (code >= FAIL_EARLY)),
            cached=-tally(code == CACHED),
            first_pass=self.xp.concatenate([scan_pass[met], first_pass]),
            first_row=self.xp.concatenate([row[met], starts.row[first]]),
            first_done_ns=self.xp.concatenate([visit_ns[met] + length, visit + clean]),
        )
