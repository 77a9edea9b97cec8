"""`gmemgpu.rmp.scan.scan_regions` as compiled code: one look at each word."""

from __future__ import annotations

import numpy as np

from gmemgpu.compiled import compiled_function
from gmemgpu.model.trace import Int16Array, Int32Array
from gmemgpu.rmp.image import Words
from gmemgpu.rmp.scan import RegionScan
from gmemgpu.units import PAGES_PER_BLOCK

__all__ = ["scan_regions_compiled"]

_WORDS_PER_BLOCK = PAGES_PER_BLOCK // 64


@compiled_function
def _bits(word: np.uint64) -> np.uint64:
    # LLVM knows this for a count of bits, and makes of it what the processor does best.
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@compiled_function
def _scan(words: Words, assigned: Int32Array, first: Int16Array) -> None:
    for region in range(words.shape[0]):
        total = np.uint64(0)
        for at in range(words.shape[1]):
            total += _bits(words[region, at])
        assigned[region] = total
        first[region] = -1
        if total:
            # A second look, at what the cache still holds, and as a rule at its beginning only.
            at = 0
            while not words[region, at]:
                at += 1
            first[region] = at // _WORDS_PER_BLOCK


def scan_regions_compiled(words: Words) -> RegionScan:
    """
    Count the assigned pages of every region and find the first assigned block.

    Parameters
    ----------
    words : (n_regions, 4096) uint64
        As from `gmemgpu.rmp.image.rmp_image`.

    Returns
    -------
    RegionScan
        One entry for each region.
    """
    scan = RegionScan(np.empty(len(words), np.int32), np.empty(len(words), np.int16))
    _scan(words, scan.assigned, scan.first)
    return scan
