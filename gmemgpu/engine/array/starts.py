"""In which rows passes start, and which rows begin while a pass runs: by all rows, or by those of a few passes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from gmemgpu.engine.array.batch import Batch
from gmemgpu.engine.array.passes import Passes
from gmemgpu.engine.array.xp.namespace import Array

__all__ = ["ROWS_A_SEARCH", "RowFinder", "Starts"]

ROWS_A_SEARCH = 8
"""Looking at so many rows costs about as much as a search for one of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Starts:
    """
    The rows in which passes start.

    Parameters
    ----------
    row, low, high : (n,) int64
        Rows, ascending; passes ``low:high`` start in each.
    pair, table_row : (n,) int64
        Of each row: its pair, and where its columns stand.
    present : (n,) bool
        Whether passes that start in the row visit the region by its state.
    count : (n_slots,) int64 or None
        Passes, of earlier pairs too, that start before each instant of each pair; None if nobody counted.
    """

    row: Array
    low: Array
    high: Array
    pair: Array
    table_row: Array
    present: Array
    count: Array | None


class RowFinder:
    """
    The rows of a batch.

    Parameters
    ----------
    batch : Batch
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._xp = batch.xp

    @cached_property
    def slot(self) -> Array:
        """The instant at which each row begins, on the axis of all pairs' instants."""
        return self._batch.slots()

    @cached_property
    def ends(self) -> Array:
        """The last row of each region of each pair."""
        return self._batch.ends()

    @cached_property
    def _end_pair(self) -> Array:
        return self._xp.owners(self._batch.place_at, self._batch.n_places)

    def starts(self, passes: Passes, instant: Array) -> Starts:
        """
        Find the rows in which passes start.

        Parameters
        ----------
        passes : Passes
        instant : (n_passes,) int64
            Of their starts, as `Batch.instant` gives it.
        """
        batch = self._batch
        few = len(instant) * batch.most_positions * ROWS_A_SEARCH < batch.n_rows
        row, low, high, count = (self._few if few else self._all)(passes, instant)
        pair = batch.pair_of_row(row)
        table_row = row + batch.table_row[pair]
        present = batch.on[table_row]
        if batch.gated:
            present &= ~batch.is_absent(table_row, pair)
        return Starts(row, low, high, pair, table_row, present, count)

    def _all(self, passes: Passes, instant: Array) -> tuple[Array, Array, Array, Array | None]:
        batch, xp = self._batch, self._xp
        count = xp.cumsum(xp.count_at(batch.n_slots, instant + batch.instant_at[:-1][passes.pair]))
        low = count[self.slot]
        high = xp.empty(len(low), low.dtype)
        high[:-1] = low[1:]
        high[self.ends] = passes.at[1:][self._end_pair]
        row = xp.flatnonzero(high > low)
        return row, low[row], high[row], count

    def _few(self, passes: Passes, instant: Array) -> tuple[Array, Array, Array, Array | None]:
        # Every region with every pass, by pair, then region: their rows ascend.
        batch, xp = self._batch, self._xp
        n_passes = xp.diff(passes.at)
        pair, cell = xp.expand(0 * n_passes, batch.n_positions * n_passes)
        position, scan_pass = cell // n_passes[pair], passes.at[pair] + cell % n_passes[pair]
        row = batch.row(position, instant[scan_pass], pair)
        head, last = xp.ones(len(row), bool), xp.ones(len(row), bool)
        head[1:] = row[1:] != row[:-1]
        last[:-1] = head[1:]
        return row[head], scan_pass[head], scan_pass[last] + 1, None

    def begun_meanwhile(self, passes: Passes, starts: Starts) -> tuple[Array, Array]:
        """
        Find the rows that begin while a pass runs.

        Parameters
        ----------
        passes : Passes
            With their ends.
        starts : Starts
            Of the same passes.

        Returns
        -------
        row, of : (n,) int64
            Each row, ascending, and the index in `starts` of that in which the last pass before it started.
        """
        batch, xp, count = self._batch, self._xp, starts.count
        if count is None:
            # From the row after each, until the last pass that started there ends or another one starts.
            scan_pass = starts.high - 1
            k = xp.flatnonzero(batch.until_ns[starts.table_row] <= passes.end_ns[scan_pass])
            end = batch.instant(passes.end_ns, passes.at)[scan_pass[k]]
            stop = batch.row(batch.position[starts.table_row[k]], end, starts.pair[k])
            following = xp.with_last(starts.row[1:], batch.n_rows)[k]
            row = starts.row[k]
            of, row = xp.expand(row + 1, xp.minimum(stop, following) - row)
            return row, k[of]
        runs = count > xp.spread(passes.at[:-1], batch.instant_at, batch.n_slots)
        if len(passes.end_ns):
            # The place past a pair's last instant is never asked for: no row begins there.
            runs &= batch.bounds() <= passes.end_ns[count - 1]
        row = xp.flatnonzero(runs[self.slot])
        return row, xp.searchsorted(starts.row, row) - 1
