"""1 GiB folios that a run-time conversion split: torn down page by page, merged once all of their pages are freed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.lifecycle.conversion import Conversions
from gmemgpu.lifecycle.guest import Guests, Inodes
from gmemgpu.lifecycle.guest_pages import offsets_within
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["SplitFolios", "split_folios"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitFolios:
    """
    Split folios, ascending on the line of guest pages.

    Parameters
    ----------
    low : (k,) int64
        First page of each.
    inode : (k,) int64
        Whose.
    n_split, n_whole : (k,) int64
        How many of the folios of the same inode before it are split, and how many are not.
    """

    low: Int64Array
    inode: Int64Array
    n_split: Int64Array
    n_whole: Int64Array

    @property
    def borders(self) -> Int64Array:
        """First pages of the folios and of what follows each, ascending, each once."""
        return np.union1d(self.low, self.low + PAGES_PER_REGION)

    def at(self, page: Int64Array) -> Int64Array:
        """
        Return the split folio that each page lies in.

        Parameters
        ----------
        page : (n,) int64
            Numbers on the line of guest pages.

        Returns
        -------
        (n,) int64
            Indices; -1 for pages in none.
        """
        which = np.searchsorted(self.low, page, side="right").astype(np.int64) - 1
        if not len(self.low):
            return which
        inside: Int64Array = np.where(page < self.low[which] + PAGES_PER_REGION, which, -1)
        return inside


def split_folios(conversions: Conversions, guests: Guests, inodes: Inodes) -> SplitFolios:
    """
    Return the 1 GiB folios of which guests convert a part while they run.

    Parameters
    ----------
    conversions, guests, inodes : Conversions, Guests, Inodes
        Of the same VMs.

    Returns
    -------
    SplitFolios
        Of all SNP guests, admitted or not. A split folio stays split until it is freed.
    """
    inode, low = conversions.inode, conversions.low
    big_low = inodes.big_low[inode]
    hit = (guests.folio_pages[conversions.vm] == PAGES_PER_REGION) & (big_low <= low) & (low < inodes.big_high[inode])
    head = np.unique((low - (low - big_low) % PAGES_PER_REGION)[hit])
    of = (np.searchsorted(inodes.low, head, side="right") - 1).astype(np.int64)
    n_split = offsets_within(np.bincount(of, minlength=len(inodes.low)))
    number = (head - inodes.big_low[of]) // PAGES_PER_REGION
    return SplitFolios(low=head, inode=of, n_split=n_split, n_whole=number - n_split)
