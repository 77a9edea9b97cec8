"""Passes over all covered regions: classes kept up to date change by change, visit times by one prefix sum."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat

import numpy as np

from gmemgpu.engine.numpy.code import ABSENT, CACHED, CLEAN, FAIL_EARLY
from gmemgpu.engine.numpy.search import after
from gmemgpu.engine.numpy.visit import Visits
from gmemgpu.model.trace import Int64Array

__all__ = ["WindowPasses", "DENSE_CHANGES"]

DENSE_CHANGES = 96
"""From so many changes (or clean regions) on, array passes beat one by one; bench/crossover.py measures it."""


class WindowPasses:
    """
    Passes whose targets are all covered regions that the gate lets through.

    Parameters
    ----------
    visits : Visits
        Holds the bits and the counts; other passes may set bits too, if each pass here is then told to `refresh`.

    Notes
    -----
    Between two passes few regions change, so the sum of all attempts' lengths is carried along. A pass in which
    no region is clean and no state changes has the outcome that the classes say; only clean regions and
    those that change while it runs are looked at one by one. How often a class was visited follows from
    how many passes ran while a region had it.
    """

    def __init__(self, visits: Visits) -> None:
        prepared = visits.prepared
        self.visits = visits
        self.changes = prepared.changes
        self.new_code = self.changes.code[visits.gate]
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
        self.next_change = 0
        self.epoch = (0, 0)
        self.just_set: list[tuple[int, int]] = []
        self.settled: dict[int, bool] = {}
        """Of the last pass, the positions that were looked at one by one, and whether they did not fail."""
        self.n_counted = 0
        self.codes = [0] * len(self.table)
        self.dense_codes: Int64Array = np.zeros(len(self.table), np.int64)

    # -- classes ------------------------------------------------------------------------------------------

    def _set_codes(self, positions: Iterable[int], codes: Iterable[int]) -> None:
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

    def _advance(self, start_ns: int, refresh: bool) -> None:
        # Bring all classes to the state at a pass's start.
        first, self.next_change = self.next_change, after(self.changes.t_ns, start_ns, self.next_change)
        epoch = self.visits.epoch_at(start_ns)
        n_changes = self.next_change - first
        if refresh or epoch != self.epoch or n_changes + len(self.just_set) > DENSE_CHANGES:
            self.epoch = epoch
            self._advance_dense(start_ns, first)
        else:
            part = slice(first, self.next_change)
            positions = self.changes.position[part].tolist()
            for row, position in enumerate(positions, first):
                self.row[position] = row
            self._set_codes(positions, self.new_code[part].tolist())
            still_set = [position for position, end_ns in self.just_set if end_ns > start_ns]
            self._set_codes(still_set, repeat(CACHED))
        self.just_set.clear()

    def _advance_dense(self, start_ns: int, first: int) -> None:
        if self.n_counted:
            self._flush_codes(np.array(self.code, np.int64), 1)
        row = np.array(self.row, np.int64)
        # NumPy keeps the last of repeated assignments, and changes are in time order.
        row[self.changes.position[first : self.next_change]] = np.arange(first, self.next_change)
        code = self.new_code[row]
        bit_end_ns = np.array(self.visits.bit_end_ns, np.int64)[self.regions]
        code[(code == CLEAN) & (bit_end_ns > start_ns)] = CACHED
        self.length_ns = self.table[code + self.groups]
        self.total_ns = int(self.length_ns.sum())
        self.n_absent = int((code == ABSENT).sum())
        self.clean = set(np.flatnonzero(code == CLEAN).tolist())
        self.row, self.code = row.tolist(), code.tolist()
        if self.n_counted:
            self._flush_codes(code, -1)

    def _flush_codes(self, code: Int64Array, sign: int) -> None:
        self.dense_codes += sign * self.n_counted * np.bincount(code + self.groups, minlength=len(self.table))

    # -- passes -------------------------------------------------------------------------------------------

    def run(self, start_ns: int, *, refresh: bool = False) -> int | None:
        """
        Run a pass.

        Parameters
        ----------
        start_ns : int
            Later than the end of the pass before; SNP is on then.
        refresh : bool
            Look at every bit again, since other passes may have set some.

        Returns
        -------
        int or None
            When it ends; None if the gate left no region.
        """
        self._advance(start_ns, refresh)
        self.settled.clear()
        if self.n_absent == len(self.code):
            return None
        end_ns = start_ns + self.total_ns
        self.n_counted += self.visits.counted
        stop = after(self.changes.t_ns, end_ns, self.next_change)
        off = end_ns >= self.epoch[1]
        if self.clean or stop > self.next_change or off:
            done_ns = start_ns + np.cumsum(self.length_ns)
            moved = range(len(self.code)) if off else self.changes.position[self.next_change : stop].tolist()
            for position in moved:
                if position not in self.settled and self.code[position] != ABSENT:
                    self._visit(position, int(done_ns[position]))
            self._visit_clean(done_ns)
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

    def _visit_clean(self, done_ns: Int64Array) -> None:
        # Clean regions whose state does not change while the pass runs: they succeed, unless it ends too late.
        visits = self.visits
        waiting = sorted(self.clean - self.settled.keys())
        if len(waiting) <= DENSE_CHANGES:
            for position in waiting:
                self._visit(position, int(done_ns[position]))
            return
        positions = np.array(waiting)
        done = done_ns[positions]
        kept = done < visits.horizon_ns
        if visits.counted:
            visits.new += int(kept.sum())
            visits.wasted += int((~kept).sum())
        positions, done = positions[kept], done[kept]
        row = np.array(self.row, np.int64)[positions]
        region = self.regions[positions]
        begin = np.maximum(self.changes.begin_ns[row], self.epoch[0])
        end = np.minimum(self.changes.until_ns[row], self.epoch[1])
        visits.bits += np.column_stack([region, begin, end, done]).ravel().tolist()
        for r, p, e in zip(region.tolist(), positions.tolist(), end.tolist(), strict=True):
            visits.bit_end_ns[r] = e
            self.just_set.append((p, e))

    def failed_regions(self) -> list[int]:
        """Regions whose attempt in the last pass failed."""
        return [
            region
            for position, (region, code) in enumerate(zip(self.region, self.code, strict=True))
            if not self.settled.get(position, code >= CLEAN)
        ]

    def finish(self) -> None:
        """Hand the counts over."""
        self._flush_codes(np.array(self.code, np.int64), 1)
        self.n_counted = 0
        self.visits.add_codes([a + b for a, b in zip(self.codes, self.dense_codes.tolist(), strict=True)])
