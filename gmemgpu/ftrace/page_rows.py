"""Which row assigned a page last: an array a region, for the pages of a host are many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gmemgpu.model.trace import Int32Array
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["PageRows"]


class PageRows:
    """Rows by page; of pages that no row holds, none."""

    def __init__(self) -> None:
        # One more than the row; 0 is none.
        self._regions: dict[int, Int32Array] = {}

    def _part(self, pfn: int, npages: int) -> Int32Array:
        region, page = divmod(pfn, PAGES_PER_REGION)
        if region not in self._regions:
            self._regions[region] = np.zeros(PAGES_PER_REGION, np.int32)
        return self._regions[region][page : page + npages]

    def put(self, pfn: int, npages: int, row: int | None) -> dict[int, int]:
        """
        Replace the rows that hold pages.

        Parameters
        ----------
        pfn, npages : int
            An extent within a region.
        row : int or None
            The row that holds it from now on.

        Returns
        -------
        dict of int to int
            The rows that held any of it until now, by their first page there, and how many pages each.
        """
        part = self._part(pfn, npages)
        if npages == 1:
            before = int(part[0])
            part[0] = 0 if row is None else row + 1
            return {before - 1: 1} if before else {}
        held, first, counts = np.unique(part, return_index=True, return_counts=True)
        part[:] = 0 if row is None else row + 1
        by_page = np.argsort(first)
        found = zip(held[by_page].tolist(), counts[by_page].tolist(), strict=True)
        return {one - 1: n for one, n in found if one}

    def rows(self) -> Iterator[int]:
        """
        Return the rows that still hold pages.

        Yields
        ------
        int
            Each row, once.
        """
        # An extent lies within a region.
        for part in self._regions.values():
            held = np.unique(part)
            yield from (held[held > 0] - 1).tolist()

    def n_pages(self) -> int:
        """Return how many pages are held."""
        return sum(int(np.count_nonzero(part)) for part in self._regions.values())
