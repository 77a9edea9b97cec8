"""The scan counts every page and names the lowest block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gmemgpu.rmp.image import WORDS_PER_REGION
from gmemgpu.rmp.scan import scan_regions
from gmemgpu.units import PAGES_PER_BLOCK, PAGES_PER_REGION

LAST = PAGES_PER_REGION - 1


@given(regions=st.lists(st.sets(st.integers(0, LAST), max_size=4), max_size=3))
@example(regions=[{LAST}, set(), {0}])
@example(regions=[{PAGES_PER_BLOCK - 1}, {PAGES_PER_BLOCK}])
@example(regions=[set(range(PAGES_PER_REGION))])
def test_pages_and_first_block(regions: list[set[int]]) -> None:
    bits = np.zeros((len(regions), PAGES_PER_REGION), bool)
    for row, pages in zip(bits, regions, strict=True):
        row[list(pages)] = True
    scan = scan_regions(np.packbits(bits, axis=1, bitorder="little").view(np.uint64))
    assert (scan.assigned.dtype, scan.first.dtype) == (np.int32, np.int16)
    assert scan.assigned.tolist() == [len(pages) for pages in regions]
    assert scan.first.tolist() == [min(pages) // PAGES_PER_BLOCK if pages else -1 for pages in regions]


@pytest.mark.parametrize("n_regions", [127, 128, 129, 300])
def test_regions_in_every_chunk(n_regions: int) -> None:
    words = np.zeros((n_regions, WORDS_PER_REGION), np.uint64)
    at = np.arange(n_regions) * 37 % WORDS_PER_REGION
    words[np.arange(n_regions), at] = np.uint64(7)
    words[5] = 0
    scan = scan_regions(words)
    assert scan.assigned.tolist() == [0 if r == 5 else 3 for r in range(n_regions)]
    assert scan.first.tolist() == [-1 if r == 5 else int(at[r]) // 8 for r in range(n_regions)]
