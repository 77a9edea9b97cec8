"""Passes over all covered regions: between two passes only the regions that changed are touched."""

from __future__ import annotations

from itertools import repeat

import numpy as np

from gmemgpu.engine.class_code import CACHED, CLEAN
from gmemgpu.engine.numpy import class_sums
from gmemgpu.engine.numpy.class_sums import ClassSums
from gmemgpu.engine.numpy.schedule import Quiet
from gmemgpu.engine.numpy.search import after
from gmemgpu.engine.numpy.visit import Visits

__all__ = ["WindowPasses"]


class WindowPasses:
    """
    Passes whose targets are all covered regions that the gate lets through.

    Parameters
    ----------
    visits : Visits
        Other passes may set bits too, if each pass here is then told to `refresh`.
    """

    def __init__(self, visits: Visits) -> None:
        self.visits = visits
        self.sums = ClassSums(visits)
        self.changes = visits.prepared.changes
        self.new_code = self.changes.code[visits.gate]
        self.next_change = 0
        self.epoch = (0, 0)

    def run(self, start_ns: int, *, refresh: bool = False) -> int | None:
        """
        Run a pass.

        Parameters
        ----------
        start_ns : int
            Not before the end of the pass before; SNP is on then.
        refresh : bool
            Look at every bit again, since other passes may have set some.

        Returns
        -------
        int or None
            When it ends; None if the gate left no region.
        """
        first, self.next_change = self.next_change, after(self.changes.t_ns, start_ns, self.next_change)
        epoch = self.visits.epoch_at(start_ns)
        n_changes = self.next_change - first + len(self.sums.just_set)
        if refresh or epoch != self.epoch or n_changes > class_sums.DENSE_CHANGES * len(self.sums.region):
            self.epoch = epoch
            self._advance_dense(start_ns, first)
        else:
            self._advance(start_ns, first)
        return self.sums.attempt(start_ns, self.next_change, epoch)

    def _advance(self, start_ns: int, first: int) -> None:
        sums, part = self.sums, slice(first, self.next_change)
        positions = self.changes.position[part].tolist()
        # Of several changes of one region only the last is seen; a dict keeps just that.
        for position, row in dict(zip(positions, range(first, self.next_change), strict=True)).items():
            sums.row[position] = row
        codes = dict(zip(positions, self.new_code[part].tolist(), strict=True))
        sums.set_codes(codes, codes.values())
        still_set = [position for position, end_ns in sums.just_set if end_ns > start_ns]
        sums.set_codes(still_set, repeat(CACHED))

    def _advance_dense(self, start_ns: int, first: int) -> None:
        sums = self.sums
        row = np.array(sums.row, np.int64)
        # NumPy keeps the last of repeated assignments, and changes are in time order.
        row[self.changes.position[first : self.next_change]] = np.arange(first, self.next_change)
        code = self.new_code[row]
        bit_end_ns = np.array(self.visits.bit_end_ns, np.int64)[sums.regions]
        code[(code == CLEAN) & (bit_end_ns > start_ns)] = CACHED
        sums.set_all(row, code)

    def foresee(self, end_ns: int, quiet: Quiet) -> None:
        """Report to the schedule until when passes will all be like the last one, which ended at `end_ns`."""
        self.sums.foresee(end_ns, self.next_change, self.epoch, quiet)
