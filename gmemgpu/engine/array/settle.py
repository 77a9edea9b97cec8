"""Rounds until nothing moves: starts from lengths, lengths from starts."""

from __future__ import annotations

import numpy as np

from gmemgpu.engine.array.batch import Batch, Pairs
from gmemgpu.engine.array.named import Named
from gmemgpu.engine.array.naming import NamedRegions
from gmemgpu.engine.array.outcome import rows_of, rows_without_passes
from gmemgpu.engine.array.passes import Passes, no_passes
from gmemgpu.engine.array.retry import Retry
from gmemgpu.engine.array.schedule import Schedule
from gmemgpu.engine.array.window import Window
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.trace import BoolArray, Int64Array

__all__ = ["settled_rows", "ARRAY_ROUNDS"]

ARRAY_ROUNDS = 4
"""What has not settled by then has passes back to back: from then on schedules are played one request after another."""


class _Rounds:
    # Pairs of one kind on their way to a fixed point.
    def __init__(self, batch: Batch, schedule: Schedule, named: NamedRegions | None = None) -> None:
        self.batch, self.schedule = batch, schedule
        scope = batch.policies[0].scope
        self.targets: Window | Named
        if scope == "window":
            self.targets = Window(self.batch)
        elif scope == "dirty_retry":
            self.targets = Retry(self.batch)
        else:
            self.targets = Named(self.batch, self.schedule, named)
        self.passes = no_passes(self.batch.xp, len(batch))

    def take(self, which: BoolArray) -> _Rounds:
        # Some of the pairs, as far as they are.
        xp, old = self.batch.xp, self.passes
        numbers = np.flatnonzero(which)
        batch = Batch(self.batch.pairs.some(numbers))
        named = self.targets.named.some(xp, numbers) if isinstance(self.targets, Named) else None
        taken = _Rounds(batch, self.schedule.of_some(batch, numbers), named)
        chosen = xp.asarray(numbers)
        count = xp.diff(old.at)[chosen]
        owner, index = xp.expand(old.at[:-1][chosen], count)
        shift = taken.schedule.requests.at[:-1] - self.schedule.requests.at[chosen]
        boot = old.boot[index]
        first = xp.where(boot, -1, old.first[index] + shift[owner])
        taken.passes = Passes(xp.sums(count), owner, old.start_ns[index], old.end_ns[index], boot, first)
        for name in self.targets.marks:
            setattr(taken.targets, name, getattr(self.targets, name).of_some(batch, numbers))
        return taken

    def rows(self) -> list[MetricRow]:
        targets, passes = self.targets, self.passes
        outcome = targets.outcome(passes)
        return rows_of(self.batch, self.schedule, passes, targets.ran, targets.empty(), outcome)


def settled_rows(pairs: Pairs, rounds: list[int] | None = None) -> list[MetricRow]:
    """
    Evaluate pairs together.

    Parameters
    ----------
    pairs : Pairs
        Of one kind: all with scope ``window``, all with ``dirty_retry``, or all with others.
    rounds : list of int, optional
        Receives the number of rounds of each pair, in the order of `pairs`.

    Returns
    -------
    list of MetricRow
        One a pair.

    Notes
    -----
    A pair has settled when neither its passes move nor what they hand on changes. Each round makes at least one more
    pass exact, and all before it stay so: whatever the pairs, this ends, and never before it is right.
    """
    counts = [0] * len(pairs)
    idle = pairs.idle()
    numbers, own = np.flatnonzero(idle), np.flatnonzero(~idle)
    rows: dict[int, MetricRow] = {}
    if len(numbers):
        rows.update(zip(numbers.tolist(), rows_without_passes(pairs.some(numbers)), strict=True))
    if len(own):
        _settle(pairs, own, rows, counts)
    if rounds is not None:
        rounds += counts
    return [rows[q] for q in range(len(pairs))]


def _settle(pairs: Pairs, own: Int64Array, rows: dict[int, MetricRow], counts: list[int]) -> None:
    # Adds the rows of `own`, and sets in how many rounds they settled.
    batch = Batch(pairs.some(own))
    now = _Rounds(batch, Schedule(batch))
    xp = now.batch.xp
    unsettled = xp.ones(len(own), bool)
    n = 0
    while True:
        n += 1
        advance = now.schedule.advance if n <= ARRAY_ROUNDS else now.schedule.play
        ends = now.passes
        now.passes, moved = advance(ends)
        busy, others = xp.fetch(moved | unsettled, moved)
        # Where operations cost the same however small, settled pairs stay: more rounds leave them as they are. But they
        # are not played one request after another.
        leave = not busy.any() or n >= ARRAY_ROUNDS or not xp.waits
        if leave and not busy.all():
            if busy.any():
                done = now.take(~busy)
                done.passes, _ = done.targets.round(done.passes, moved=True)
            else:
                done, done.passes = now, ends
            for q, row in zip(own[~busy].tolist(), done.rows(), strict=True):
                rows[q], counts[q] = row, n
            own = own[busy]
            if not len(own):
                return
            now, others = now.take(busy), others[busy]
        now.passes, unsettled = now.targets.round(now.passes, moved=bool(others.any()))
