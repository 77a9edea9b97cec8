"""The classes of all covered regions and what a pass over them costs, kept as sums while single classes change."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gmemgpu.engine.class_code import ABSENT, CACHED, CLEAN, FAIL_EARLY
from gmemgpu.engine.numpy.schedule import Quiet
from gmemgpu.engine.numpy.search import after
from gmemgpu.engine.numpy.visit import Visits
from gmemgpu.model.trace import Int64Array

__all__ = ["ClassSums", "DENSE_CHANGES", "DENSE_CLEAN"]

DENSE_CHANGES = 0.4
"""From so many changes a covered region on, arrays are rebuilt whole; bench/crossover.py measures it."""
DENSE_CLEAN = 8
"""From so many clean regions on, a pass settles them as arrays; bench/crossover.py measures it."""


class ClassSums:
    """
    One code for every covered region, `ABSENT` where a pass does not go.

    Parameters
    ----------
    visits : Visits
        Holds the bits and the counts.

    Notes
    -----
    A pass in which no region is clean and no state changes has the outcome that the classes say; only clean
    regions and those that change while it runs are looked at one by one. How often a class was attempted
    follows from how many passes ran while a region had it.
    """

    def __init__(self, visits: Visits) -> None:
        prepared = visits.prepared
        self.visits = visits
        self.changes = prepared.changes
        self.regions = prepared.covered
        self.groups: Int64Array = np.array(visits.group, np.int64)[self.regions]
        self.table: Int64Array = np.array(visits.length_ns, np.int64)
        # The same as lists: single elements of those are read several times faster.
        self.region: list[int] = self.regions.tolist()
        self.group: list[int] = self.groups.tolist()
        m = len(self.region)
        self.row = [0] * m
        """Per covered region, the latest of `changes` that a pass has seen."""
        self.code = [ABSENT] * m
        self.length_ns: Int64Array = np.zeros(m, np.int64)
        self.clean: set[int] = set()
        self.total_ns = 0
        self.n_absent = m
        self.settled: dict[int, bool] = {}
        """Of the last pass, the positions that were looked at one by one, and whether they did not fail."""
        self.just_set: list[tuple[int, int]] = []
        """Of the last pass, the positions whose bit was set, and until when it stays."""
        self.n_counted = 0
        self.codes = [0] * len(self.table)
        self.dense_codes: Int64Array = np.zeros(len(self.table), np.int64)

    def set_codes(self, positions: Iterable[int], codes: Iterable[int]) -> None:
        """Set the codes of some positions, in order; the shorter of the two ends it."""
        code, group, table, length_ns = self.code, self.group, self.visits.length_ns, self.length_ns
        counts, n_counted, clean = self.codes, self.n_counted, self.clean
        total_ns, n_absent = self.total_ns, self.n_absent
        for position, new in zip(positions, codes, strict=False):
            before = code[position]
            if new == before:
                continue
            code[position] = new
            a, b = new + group[position], before + group[position]
            # A code counts the passes between its coming (-) and its going (+).
            counts[b] += n_counted
            counts[a] -= n_counted
            length = table[a]
            total_ns += length - table[b]
            length_ns[position] = length
            if new == CLEAN:
                clean.add(position)
            elif before == CLEAN:
                clean.discard(position)
            if new == ABSENT:
                n_absent += 1
            elif before == ABSENT:
                n_absent -= 1
        self.total_ns, self.n_absent = total_ns, n_absent

    def set_all(self, row: Int64Array, code: Int64Array) -> None:
        """Replace every code, and the rows of `changes` that they come from."""
        self._flush_codes(np.array(self.code, np.int64), 1)
        self.length_ns = self.table[code + self.groups]
        self.total_ns = int(self.length_ns.sum())
        self.n_absent = int((code == ABSENT).sum())
        self.clean = set(np.flatnonzero(code == CLEAN).tolist())
        self.row, self.code = row.tolist(), code.tolist()
        self._flush_codes(code, -1)

    def _flush_codes(self, code: Int64Array, sign: int) -> None:
        if self.n_counted:
            self.dense_codes += sign * self.n_counted * np.bincount(code + self.groups, minlength=len(self.table))

    def attempt(self, start_ns: int, next_change: int, epoch: tuple[int, int]) -> int | None:
        """
        Run a pass over all positions that are not absent.

        Parameters
        ----------
        start_ns : int
        next_change : int
            The first of `changes` later than that.
        epoch : (int, int)
            The time with SNP on that holds the start.

        Returns
        -------
        int or None
            When it ends; None if every position is absent.
        """
        self.settled.clear()
        self.just_set.clear()
        if self.n_absent == len(self.code):
            return None
        end_ns = start_ns + self.total_ns
        self.n_counted += self.visits.counted
        stop = after(self.changes.t_ns, end_ns, next_change)
        off = end_ns >= epoch[1]
        if self.clean or stop > next_change or off:
            done_ns = start_ns + np.cumsum(self.length_ns)
            moved = range(len(self.code)) if off else self.changes.position[next_change:stop].tolist()
            for position in moved:
                if position not in self.settled and self.code[position] != ABSENT:
                    self._visit(position, int(done_ns[position]))
            self._visit_clean(done_ns, epoch)
        return end_ns

    def _visit(self, position: int, done_ns: int) -> None:
        # One attempt whose outcome may differ from its class: take back what the class alone would count.
        visits, code, region = self.visits, self.code[position], self.region[position]
        if visits.counted:
            visits.cached -= code == CACHED
            visits.failed -= code < CLEAN
            visits.early -= FAIL_EARLY <= code < CLEAN
        at_ns = done_ns - visits.length_ns[code + self.group[position]]
        n_bits = len(visits.bits)
        self.settled[position] = visits.visit(region, code, at_ns, done_ns)
        if len(visits.bits) > n_bits:
            self.just_set.append((position, visits.bit_end_ns[region]))

    def _visit_clean(self, done_ns: Int64Array, epoch: tuple[int, int]) -> None:
        # Clean regions whose state does not change while the pass runs: they succeed, unless it ends too late.
        visits = self.visits
        waiting = sorted(self.clean - self.settled.keys())
        if len(waiting) <= DENSE_CLEAN:
            for position in waiting:
                self._visit(position, int(done_ns[position]))
            return
        positions = np.array(waiting, np.int64)
        done = done_ns[positions]
        kept = done < visits.horizon_ns
        if visits.counted:
            visits.new += int(kept.sum())
            visits.wasted += int((~kept).sum())
        positions, done = positions[kept], done[kept]
        row = [self.row[position] for position in positions.tolist()]
        region = self.regions[positions]
        begin = np.maximum(self.changes.begin_ns[row], epoch[0])
        end = np.minimum(self.changes.until_ns[row], epoch[1])
        visits.bits += np.column_stack([region, begin, end, done]).ravel().tolist()
        for r, p, e in zip(region.tolist(), positions.tolist(), end.tolist(), strict=True):
            visits.bit_end_ns[r] = e
            self.just_set.append((p, e))

    def foresee(self, end_ns: int, next_change: int, epoch: tuple[int, int], quiet: Quiet) -> bool:
        """
        Report to the schedule until when passes over the present codes will all be alike.

        Parameters
        ----------
        end_ns : int
            When the last pass ended.
        next_change : int
            The first of `changes` later than its start.
        epoch : (int, int)
            The time with SNP on that holds the passes.
        quiet : Quiet
            Receives the length of a pass and the time before which it starts.

        Returns
        -------
        bool
            False if not even the next pass is known.
        """
        if self.clean or self.just_set or self.n_absent == len(self.code):
            return False
        times = self.changes.t_ns
        until = min(times[next_change], epoch[1]) if next_change < len(times) else epoch[1]
        if until <= end_ns:
            return False
        quiet.length_ns, quiet.until_ns = self.total_ns, until - self.total_ns
        return True

    def failed_regions(self) -> list[int]:
        """Return the regions whose attempt in the last pass failed."""
        return [
            region
            for position, (region, code) in enumerate(zip(self.region, self.code, strict=True))
            if not self.settled.get(position, code >= CLEAN)
        ]

    def finish(self) -> None:
        """Add the counts to those of the visits."""
        self._flush_codes(np.array(self.code, np.int64), 1)
        self.n_counted = 0
        self.visits.add_codes([a + b for a, b in zip(self.codes, self.dense_codes.tolist(), strict=True)])
