"""The RMP of a trace from time to time: which pages are assigned, one bit each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmemgpu.model.event import Kind
from gmemgpu.model.trace import BoolArray, Int64Array, Trace
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["OWNERSHIP", "PlayExtents", "RmpImage", "Words", "WORDS_PER_REGION", "REGION_IMAGE_BYTES", "rmp_image"]

Words: TypeAlias = NDArray[np.uint64]

WORDS_PER_REGION = PAGES_PER_REGION // 64
REGION_IMAGE_BYTES = PAGES_PER_REGION // 8

OWNERSHIP = (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE)
"""What sets and clears the bits."""

PlayExtents = Callable[[Words, Int64Array, Int64Array, BoolArray], None]
"""Sets or clears the bits of extents in order: words of all pages in a row, first pages, ends, whether to set them."""

_FULL = (1 << 64) - 1


def _play_extents(words: Words, begin: Int64Array, end: Int64Array, assign: BoolArray) -> None:
    for lo, hi, sets in zip(begin.tolist(), end.tolist(), assign.tolist(), strict=True):
        first, last = lo >> 6, hi >> 6
        head, tail = lo & 63, hi & 63
        if head and first == last:
            masks = [(first, (1 << hi - lo) - 1 << head)]
        else:
            # Whole words at once; a word behind an end at a border may lie past all memory.
            masks = [(first, _FULL << head & _FULL)] if head else []
            masks += [(last, (1 << tail) - 1)] if tail else []
            words[first + (head > 0) : last] = _FULL if sets else 0
        for at, mask in masks:
            words[at] = int(words[at]) | mask if sets else int(words[at]) & ~mask


class RmpImage:
    """
    The image of the assigned pages of every region, before the first event until it is moved on.

    Parameters
    ----------
    trace : Trace
        A valid one; events at or past the horizon do not exist.
    play : callable, optional
        What plays the events, if not this module.

    Attributes
    ----------
    words : (n_regions, 4096) uint64
        Bit b of word w is page 64 w + b of the region. Pages beyond the end of memory are 0.
    """

    def __init__(self, trace: Trace, play: PlayExtents = _play_extents) -> None:
        trace = trace.before_horizon()
        rows = np.flatnonzero(np.isin(trace.kind, OWNERSHIP) & (trace.npages > 0))
        self._t_ns, self._begin = trace.t_ns[rows], trace.pfn[rows]
        self._end = self._begin + trace.npages[rows]
        self._assign: BoolArray = trace.kind[rows] == Kind.ASSIGN
        self._n_played = 0
        self._play = play
        self.words: Words = np.zeros((trace.host.n_regions, WORDS_PER_REGION), np.uint64)

    def move_to(self, t_ns: int) -> Int64Array:
        """
        Play the events up to a time, and those at that time.

        Parameters
        ----------
        t_ns : int
            Not earlier than the last.

        Returns
        -------
        (n,) int64
            Regions that they touch, ascending.
        """
        stop = int(np.searchsorted(self._t_ns, t_ns, "right"))
        part = slice(self._n_played, stop)
        self._n_played = stop
        begin, end = self._begin[part], self._end[part]
        self._play(self.words.reshape(-1), begin, end, self._assign[part])
        # Ends of runs of regions, added up: an extent may touch many.
        edges = np.zeros(len(self.words) + 1, np.int64)
        np.add.at(edges, begin // PAGES_PER_REGION, 1)
        np.add.at(edges, (end - 1) // PAGES_PER_REGION + 1, -1)
        return np.flatnonzero(np.cumsum(edges[:-1]))


def rmp_image(trace: Trace, t_ns: int) -> Words:
    """
    Build the image of the assigned pages of every region at a time, after its events.

    Parameters
    ----------
    trace : Trace
        A valid one; events at or past the horizon do not exist.
    t_ns : int
        Time of the image.

    Returns
    -------
    (n_regions, 4096) uint64
        As `RmpImage.words`.
    """
    image = RmpImage(trace)
    image.move_to(t_ns)
    return image.words
