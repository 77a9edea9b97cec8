"""`gmemgpu.rmp.image.RmpImage`'s events as compiled code."""

from __future__ import annotations

import numpy as np

from gmemgpu.compiled import compiled_function
from gmemgpu.model.trace import BoolArray, Int64Array
from gmemgpu.rmp.image import Words

__all__ = ["play_extents_compiled"]


@compiled_function
def _set(words: Words, at: int, mask: np.uint64, sets: bool) -> None:
    words[at] = words[at] | mask if sets else words[at] & ~mask


@compiled_function
def _play(words: Words, begin: Int64Array, end: Int64Array, assign: BoolArray) -> None:
    full = ~np.uint64(0)
    for i in range(len(begin)):
        sets = assign[i]
        first, last = begin[i] >> 6, end[i] >> 6
        head = full << np.uint64(begin[i] & 63)
        tail = (np.uint64(1) << np.uint64(end[i] & 63)) - np.uint64(1)
        if first == last:
            _set(words, first, head & tail, sets)
            continue
        _set(words, first, head, sets)
        words[first + 1 : last] = full if sets else np.uint64(0)
        # An end at a border has no bits in the word behind it, which may lie past all memory.
        if tail:
            _set(words, last, tail, sets)


def play_extents_compiled(words: Words, begin: Int64Array, end: Int64Array, assign: BoolArray) -> None:
    """
    Set or clear the bits of extents in order; a `gmemgpu.rmp.image.PlayExtents`.

    Parameters
    ----------
    words : (n,) uint64
        Of all pages in a row.
    begin, end : (m,) int64
        First page, and the one past the last; at least one page each.
    assign : (m,) bool
        Whether to set them.
    """
    _play(words, begin, end, assign)
