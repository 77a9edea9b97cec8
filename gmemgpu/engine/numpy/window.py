"""Passes over all covered regions: classes kept up to date change by change, visit times by one prefix sum."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from gmemgpu.engine.numpy.code import ABSENT, CACHED, CLEAN, FAIL_EARLY
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
        self.region = prepared.covered
        self.group: Int64Array = np.array(visits.group, np.int64)[prepared.covered]
        self.table: Int64Array = np.array(visits.length_ns, np.int64)
        m = len(self.region)
        self.code: Int64Array = np.full(m, ABSENT)
        self.length_ns: Int64Array = np.zeros(m, np.int64)
        self.since_ns: Int64Array = np.zeros(m, np.int64)
        self.until_ns: Int64Array = np.zeros(m, np.int64)
        self.clean: set[int] = set()
        self.total_ns = 0
        self.n_absent = m
        self.next_change = 0
        self.epoch = (0, 0)
        self.just_set: list[tuple[int, int]] = []
        self.n_counted = 0
        self.codes: Int64Array = np.zeros(len(self.table), np.int64)
        self.in_flight: dict[int, bool] = {}

    # -- classes ------------------------------------------------------------------------------------------

    def _set_code(self, position: int, code: int) -> None:
        group = int(self.group[position])
        before = int(self.code[position])
        self.codes[before + group] += self.n_counted
        self.codes[code + group] -= self.n_counted
        self.n_absent += (code == ABSENT) - (before == ABSENT)
        length = int(self.table[code + group])
        self.total_ns += length - int(self.length_ns[position])
        self.length_ns[position] = length
        self.code[position] = code
        if code == CLEAN:
            self.clean.add(position)
        else:
            self.clean.discard(position)

    def _advance(self, start_ns: int, refresh: bool) -> None:
        # Bring all classes to the state at a pass's start.
        first, self.next_change = (
            self.next_change,
            bisect_right(self.changes.t_ns, start_ns, self.next_change),
        )
        epoch = self.visits.epoch_at(start_ns)
        n_changes = self.next_change - first
        if refresh or epoch != self.epoch or n_changes + len(self.just_set) > DENSE_CHANGES:
            self.epoch = epoch
            self._advance_dense(start_ns, slice(first, self.next_change))
        else:
            part = slice(first, self.next_change)
            for position, code, begin, until in zip(
                self.changes.position[part].tolist(),
                self.new_code[part].tolist(),
                self.changes.begin_ns[part].tolist(),
                self.changes.until_ns[part].tolist(),
                strict=True,
            ):
                self._set_code(position, code)
                self.since_ns[position] = begin
                self.until_ns[position] = until
            for position, end_ns in self.just_set:
                if end_ns > start_ns:
                    self._set_code(position, CACHED)
        self.just_set.clear()

    def _advance_dense(self, start_ns: int, part: slice) -> None:
        self._flush_codes(1)
        position = self.changes.position[part]
        # NumPy keeps the last of repeated assignments, and changes are in time order.
        self.code[position] = self.new_code[part]
        self.since_ns[position] = self.changes.begin_ns[part]
        self.until_ns[position] = self.changes.until_ns[part]
        bit_end_ns = np.array(self.visits.bit_end_ns, np.int64)[self.region]
        free = (self.code == CLEAN) | (self.code == CACHED)
        self.code[free] = np.where(bit_end_ns[free] > start_ns, CACHED, CLEAN)
        self.length_ns = self.table[self.code + self.group]
        self.total_ns = int(self.length_ns.sum())
        self.n_absent = int((self.code == ABSENT).sum())
        self.clean = set(np.flatnonzero(self.code == CLEAN).tolist())
        self._flush_codes(-1)

    def _flush_codes(self, sign: int) -> None:
        if self.n_counted:
            self.codes += sign * self.n_counted * np.bincount(self.code + self.group, minlength=len(self.codes))

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
        if self.n_absent == len(self.code):
            return None
        end_ns = start_ns + self.total_ns
        self.n_counted += self.visits.counted
        stop = bisect_right(self.changes.t_ns, end_ns, self.next_change)
        self.in_flight.clear()
        if self.clean or stop > self.next_change or end_ns >= self.epoch[1]:
            done_ns = start_ns + np.cumsum(self.length_ns)
            if end_ns >= self.epoch[1]:
                moved = np.flatnonzero(self.code != ABSENT).tolist()
            else:
                moved = sorted(set(self.changes.position[self.next_change : stop].tolist()))
            for position in moved:
                if self.code[position] != ABSENT:
                    self._visit(position, int(done_ns[position]))
            self._visit_clean(done_ns)
        return end_ns

    def _visit(self, position: int, done_ns: int) -> None:
        # One attempt whose outcome may differ from its class: take back what the class alone would count.
        visits, code = self.visits, int(self.code[position])
        region = int(self.region[position])
        if visits.counted:
            visits.cached -= code == CACHED
            visits.failed -= code < CLEAN
            visits.early -= FAIL_EARLY <= code < CLEAN
        n_bits = len(visits.bits)
        self.in_flight[position] = visits.visit(region, code, done_ns - int(self.length_ns[position]), done_ns)
        if len(visits.bits) > n_bits:
            self.just_set.append((position, visits.bit_end_ns[region]))

    def _visit_clean(self, done_ns: Int64Array) -> None:
        # Clean regions whose state does not change while the pass runs: they succeed, unless it ends too late.
        visits = self.visits
        waiting = self.clean - self.in_flight.keys() if self.in_flight else self.clean
        if not waiting:
            return
        if len(waiting) <= DENSE_CHANGES:
            for position in sorted(waiting):
                self._visit(position, int(done_ns[position]))
            return
        positions = np.sort(np.fromiter(waiting, np.int64, len(waiting)))
        done = done_ns[positions]
        kept = done < visits.horizon_ns
        if visits.counted:
            visits.new += int(kept.sum())
            visits.wasted += int((~kept).sum())
        positions, done = positions[kept], done[kept]
        region = self.region[positions]
        begin = np.maximum(self.since_ns[positions], self.epoch[0])
        end = np.minimum(self.until_ns[positions], self.epoch[1])
        visits.bits += np.column_stack([region, begin, end, done]).ravel().tolist()
        for r, p, e in zip(region.tolist(), positions.tolist(), end.tolist(), strict=True):
            visits.bit_end_ns[r] = e
            self.just_set.append((p, e))

    def failed_regions(self) -> set[int]:
        """Regions whose attempt in the last pass failed."""
        failed = set(np.flatnonzero(self.code < CLEAN).tolist()) - self.in_flight.keys()
        failed |= {position for position, fine in self.in_flight.items() if not fine}
        return {int(self.region[position]) for position in failed}

    def dropped_regions(self) -> set[int]:
        """Regions that the gate kept out of the last pass."""
        return set(self.region[self.code == ABSENT].tolist())

    def finish(self) -> None:
        """Hand the counts over."""
        self._flush_codes(1)
        self.n_counted = 0
        self.visits.add_codes(self.codes)
