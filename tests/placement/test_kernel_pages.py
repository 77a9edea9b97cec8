from __future__ import annotations

import itertools

from gmemgpu.placement.extent_allocator import ExtentAllocator
from gmemgpu.placement.kernel_pages import KernelPages
from gmemgpu.units import PAGES_PER_BLOCK

FREE = (((10, 4),),)


def test_scattered_pages_have_a_block_each_and_never_its_first_page() -> None:
    allocator = ExtentAllocator(64, FREE, newest_first=False)
    pages = KernelPages(allocator, "scatter", iter([13, 13, 11]))
    assert pages.allocate(2) == [13 * PAGES_PER_BLOCK + 1, 11 * PAGES_PER_BLOCK + 1]
    assert allocator.allocate(2, 0, snp=False) == [(10, 1), (12, 1)]
    assert pages.allocate(1) is None
    pages.free([13 * PAGES_PER_BLOCK + 1])
    assert allocator.allocate(1, 0, snp=False) == [(13, 1)]


def test_packed_pages_fill_one_block_before_the_next() -> None:
    allocator = ExtentAllocator(64, FREE, newest_first=False)
    pages = KernelPages(allocator, "packed", itertools.repeat(0))
    first = pages.allocate(511)
    assert first == [10 * PAGES_PER_BLOCK + slot for slot in range(1, 512)]
    assert pages.allocate(1) == [11 * PAGES_PER_BLOCK + 1]
    pages.free(first[100:102])
    # The block that was full has room again; the one in use is filled first.
    assert pages.allocate(511) == [
        *(11 * PAGES_PER_BLOCK + slot for slot in range(2, 512)),
        10 * PAGES_PER_BLOCK + 102,
    ]
    assert allocator.allocate(3, 0, snp=False) is None
    pages.free([*first[:100], first[101], *first[102:]])
    assert allocator.allocate(3, 0, snp=False) == [(10, 1), (12, 2)]


def test_packed_pages_that_do_not_fit_leave_nothing_behind() -> None:
    allocator = ExtentAllocator(64, FREE, newest_first=False)
    pages = KernelPages(allocator, "packed", itertools.repeat(0))
    assert pages.allocate(4 * 511 + 1) is None
    assert allocator.allocate(4, 0, snp=False) == [(10, 4)]
