"""Blocks of guests that lie at random whatever the placement: which ones, and how they fit in with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.model.trace import Int64Array
from gmemgpu.placement.allocator import Extent

__all__ = ["Displaced", "no_displaced", "interleaved"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Displaced:
    """
    Displaced blocks of VMs, VM after VM.

    Parameters
    ----------
    first : (n + 1,) int64
        VM v's are those from ``first[v]`` up to ``first[v + 1]``.
    block : (k,) int64
        Counted within the VM, ascending for each.
    """

    first: Int64Array
    block: Int64Array


def no_displaced(n: int) -> Displaced:
    """
    Return that no block is displaced.

    Parameters
    ----------
    n : int
        Number of VMs.

    Returns
    -------
    Displaced
        Of `n` VMs.
    """
    return Displaced(first=np.zeros(n + 1, np.int64), block=np.zeros(0, np.int64))


def interleaved(extents: Sequence[Extent], places: Sequence[int], blocks: Sequence[int]) -> list[Extent]:
    """
    Return a guest's memory with displaced blocks put into their places.

    Parameters
    ----------
    extents : sequence of Extent
        All other blocks, in guest order.
    places : sequence of int
        Of the displaced blocks within the guest, ascending.
    blocks : sequence of int
        Where each of them lies on the host.

    Returns
    -------
    list of Extent
        In guest order; a displaced block is an extent of its own.

    Examples
    --------
    >>> interleaved([(100, 4)], [1, 4], [7, 9])
    [(100, 1), (7, 1), (101, 2), (9, 1), (103, 1)]
    """
    merged: list[Extent] = []
    at, next_displaced, n_displaced = 0, 0, len(places)
    for start, length in extents:
        while length:
            while next_displaced < n_displaced and places[next_displaced] == at:
                merged.append((blocks[next_displaced], 1))
                next_displaced += 1
                at += 1
            taken = length if next_displaced == n_displaced else min(length, places[next_displaced] - at)
            merged.append((start, taken))
            start, length, at = start + taken, length - taken, at + taken
    merged.extend((block, 1) for block in blocks[next_displaced:])
    return merged
