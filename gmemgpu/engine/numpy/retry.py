"""Passes of scope ``dirty_retry``: most targets fail again and again, so they too are carried from pass to pass."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat

import numpy as np

from gmemgpu.engine.class_code import ABSENT, CACHED, CLEAN
from gmemgpu.engine.numpy.class_sums import ClassSums
from gmemgpu.engine.numpy.schedule import Quiet
from gmemgpu.engine.numpy.search import after
from gmemgpu.engine.numpy.visit import Visits

__all__ = ["RetryPasses"]


class RetryPasses:
    """
    Passes over the regions with a release or share since the last attempt that did not fail.

    Parameters
    ----------
    visits : Visits
    """

    def __init__(self, visits: Visits) -> None:
        prepared = visits.prepared
        self.visits = visits
        self.sums = ClassSums(visits)
        self.changes = prepared.changes
        self.codes: list[int] = self.changes.code[visits.gate].tolist()
        self.natural = [ABSENT] * len(self.sums.region)
        """Per covered region, its class as if it were dirty and its bit not set."""
        self.next_change = 0
        self.cleared_ns, cleared = prepared.clearings
        self.cleared: list[int] = np.searchsorted(prepared.covered, cleared).tolist()
        self.next_clearing = 0
        self.position = {region: position for position, region in enumerate(self.sums.region)}
        self.dirty: set[int] = set()
        self.touched: set[int] = set()
        """Positions whose attempt in the next pass may not fail again."""

    def _advance(self, start_ns: int) -> None:
        first, self.next_change = self.next_change, after(self.changes.t_ns, start_ns, self.next_change)
        touched = self.touched
        positions = self.changes.position[first : self.next_change].tolist()
        for row, position in enumerate(positions, first):
            self.natural[position] = self.codes[row]
            self.sums.row[position] = row
            if position in self.dirty:
                touched.add(position)
        first, self.next_clearing = self.next_clearing, after(self.cleared_ns, start_ns, self.next_clearing)
        for position in self.cleared[first : self.next_clearing]:
            if position not in self.dirty:
                self.dirty.add(position)
                touched.add(position)
        bit_end_ns, region_at = self.visits.bit_end_ns, self.sums.region
        codes = []
        for position in touched:
            code = self.natural[position]
            if code == CLEAN and bit_end_ns[region_at[position]] > start_ns:
                code = CACHED
            codes.append(code)
        self.sums.set_codes(touched, codes)

    def run(self, start_ns: int) -> int | None:
        """
        Run a pass.

        Parameters
        ----------
        start_ns : int
            SNP is on then.

        Returns
        -------
        int or None
            When it ends; None if no region is left.
        """
        self._advance(start_ns)
        end_ns = self.sums.attempt(start_ns, self.next_change, self.visits.epoch_at(start_ns))
        settled, code = self.sums.settled, self.sums.code
        self.touched |= settled.keys()
        # What the gate dropped was not attempted, so it stays dirty, as does what failed.
        self._forget(p for p in self.touched if settled.get(p, code[p] in (CLEAN, CACHED)))
        return end_ns

    def foresee(self, end_ns: int, quiet: Quiet) -> None:
        """Report to the schedule until when passes will all be like the last one, which ended at `end_ns`."""
        epoch = self.visits.epoch_at(end_ns)
        if self.touched or not self.sums.foresee(end_ns, self.next_change, epoch, quiet):
            return
        # Clearings of regions that are dirty, and fail until then, add nothing.
        i, cleared_ns = self.next_clearing, self.cleared_ns
        while i < len(cleared_ns) and cleared_ns[i] < quiet.until_ns and self.cleared[i] in self.dirty:
            i += 1
        self.next_clearing = i
        if i < len(cleared_ns):
            quiet.until_ns = min(quiet.until_ns, cleared_ns[i])

    def attempted_elsewhere(self, start_ns: int, failed: list[int]) -> None:
        """
        Record that a boot pass attempted every region that the gate let through.

        Parameters
        ----------
        start_ns : int
            Of the boot pass.
        failed : list of int
            Regions whose attempt failed.
        """
        self._advance(start_ns)
        kept = {self.position[region] for region in failed}
        self._forget(p for p in self.dirty if p not in kept and self.natural[p] != ABSENT)

    def _forget(self, positions: Iterable[int]) -> None:
        gone = list(positions)
        self.sums.set_codes(gone, repeat(ABSENT))
        self.dirty.difference_update(gone)
        self.touched = set()
