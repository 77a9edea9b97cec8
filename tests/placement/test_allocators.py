"""Every allocator against a plain set of free blocks, and each one's own order of use."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.placement.allocator import Allocator, Extent
from gmemgpu.placement.extent_allocator import ExtentAllocator
from gmemgpu.placement.pool_1g import Pool1G
from gmemgpu.placement.scatter import Scatter
from gmemgpu.vmtable.random_stream import Purpose, Stream

NODE_BLOCKS = 2048
# Two nodes of four regions; region 0 and the top of each node are taken.
FREE = (((512, 1500),), ((2048, 100), (2200, 1800)))
Build = Callable[[Sequence[Sequence[Extent]]], Allocator]
BUILDERS: dict[str, Build] = {
    "first_fit": lambda free: ExtentAllocator(NODE_BLOCKS, free, newest_first=False),
    "lifo": lambda free: ExtentAllocator(NODE_BLOCKS, free, newest_first=True),
    "scatter": lambda free: Scatter(NODE_BLOCKS, free, Stream(1, Purpose.PLACEMENT)),
    "pool_1g": lambda free: Pool1G(NODE_BLOCKS, free, share=0.5),
}


def blocks_of(extents: Sequence[Extent]) -> list[int]:
    return [block for first, n in extents for block in range(first, first + n)]


def some_draws() -> itertools.count[int]:
    return itertools.count(123_456_789, 987_654_321)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("allocate"), st.integers(1, 900), st.integers(-1, 1), st.booleans()),
        st.tuples(st.just("free"), st.integers(0, 50), st.integers(0, 2)),
        st.tuples(st.just("pages"), st.integers(1, 5)),
        st.tuples(st.just("free pages"), st.integers(0, 50)),
    ),
    max_size=40,
)


@pytest.mark.parametrize("name", BUILDERS)
@given(steps=operations)
def test_hands_out_only_free_blocks_and_all_of_them_again(name: str, steps: list[tuple]) -> None:
    allocator = BUILDERS[name](FREE)
    free = {block for extents in FREE for block in blocks_of(extents)}
    everything = set(free)
    held: list[list[Extent]] = []
    pages: list[list[int]] = []
    for step in steps:
        if step[0] == "allocate":
            _, n, node, snp = step
            extents = allocator.allocate(n, node, snp=snp)
            if extents is None:
                assert name == "pool_1g" or n > len(free)
                continue
            got = blocks_of(extents)
            assert len(got) == n
            assert len(set(got)) == n
            assert set(got) <= free
            free -= set(got)
            held.append(extents)
        elif step[0] == "free" and held:
            extents = held.pop(step[1] % len(held))
            # A part may come back before the rest.
            half = len(extents) // 2 if step[2] == 0 else 0
            for part in (extents[:half], extents[half:]):
                allocator.free(part)
                free |= set(blocks_of(part))
        elif step[0] == "pages":
            blocks = allocator.allocate_at_random(step[1], some_draws())
            if blocks is None:
                assert name == "pool_1g" or step[1] > len(free)
                continue
            assert len(set(blocks)) == step[1]
            assert set(blocks) <= free
            free -= set(blocks)
            pages.append(blocks)
        elif step[0] == "free pages" and pages:
            blocks = pages.pop(step[1] % len(pages))
            allocator.free_cold(blocks)
            free |= set(blocks)
    for extents in held:
        allocator.free(extents)
    for blocks in pages:
        allocator.free_cold(blocks)
    # All is back: whole regions of the pool for SNP guests, every other block for anyone.
    rest: list[int] = []
    for n, snp in ((512, True), (1, False)):
        while (extents := allocator.allocate(n, -1, snp=snp)) is not None:
            rest += blocks_of(extents)
    assert sorted(rest) == sorted(everything)


@pytest.mark.parametrize("name", ["first_fit", "lifo", "scatter"])
def test_all_blocks_can_be_had_at_once_again(name: str) -> None:
    allocator = BUILDERS[name](FREE)
    everything = {block for extents in FREE for block in blocks_of(extents)}
    for _ in range(3):
        parts = [allocator.allocate(n, 0, snp=True) for n in (700, 1, 1333)]
        singles = allocator.allocate_at_random(20, some_draws())
        assert singles is not None
        for part in parts[::-1]:
            assert part is not None
            allocator.free(part)
        allocator.free_cold(singles)
        whole = allocator.allocate(len(everything), 0, snp=True)
        assert whole is not None
        assert set(blocks_of(whole)) == everything
        assert allocator.allocate(1, -1, snp=True) is None
        assert allocator.allocate_at_random(1, some_draws()) is None
        allocator.free(whole)


@pytest.mark.parametrize("name", ["first_fit", "lifo", "scatter"])
def test_a_full_node_spills_to_the_next(name: str) -> None:
    allocator = BUILDERS[name](FREE)
    # Node 1 has 1900 free blocks: 100 more come from node 0, which follows the last.
    extents = allocator.allocate(2000, 1, snp=False)
    assert extents is not None
    nodes = [block // NODE_BLOCKS for block in blocks_of(extents)]
    assert nodes == [1] * 1900 + [0] * 100


@pytest.mark.parametrize("name", ["first_fit", "lifo", "scatter"])
def test_no_node_named_means_the_emptiest(name: str) -> None:
    allocator = BUILDERS[name](FREE)
    first = allocator.allocate(450, -1, snp=False)
    second = allocator.allocate(1, -1, snp=False)
    assert first is not None
    assert second is not None
    assert {block // NODE_BLOCKS for block in blocks_of(first)} == {1}
    assert second[0][0] // NODE_BLOCKS == 0


def test_first_fit_takes_the_lowest() -> None:
    allocator = ExtentAllocator(NODE_BLOCKS, FREE[:1], newest_first=False)
    a, b, c = (allocator.allocate(100, 0, snp=False) for _ in range(3))
    assert (a, b, c) == ([(512, 100)], [(612, 100)], [(712, 100)])
    assert b is not None
    allocator.free(b)
    allocator.free([(512, 100)])
    # Merged with the gap below, not with the freed order.
    assert allocator.allocate(250, 0, snp=False) == [(512, 200), (812, 50)]


def test_lifo_takes_what_was_freed_last() -> None:
    allocator = ExtentAllocator(NODE_BLOCKS, FREE[:1], newest_first=True)
    extents = [allocator.allocate(100, 0, snp=False) for _ in range(5)]
    assert extents == [[(512 + 100 * i, 100)] for i in range(5)]
    allocator.free([(712, 100)])
    allocator.free([(512, 100)])
    assert allocator.allocate(60, 0, snp=False) == [(512, 60)]
    assert allocator.allocate(100, 0, snp=False) == [(572, 40), (712, 60)]
    assert allocator.allocate(50, 0, snp=False) == [(772, 40), (1012, 10)]


def test_lifo_starts_at_the_hot_part_of_a_merged_extent() -> None:
    allocator = ExtentAllocator(NODE_BLOCKS, FREE[:1], newest_first=True)
    assert allocator.allocate(300, 0, snp=False) == [(512, 300)]
    allocator.free([(512, 100)])
    allocator.free([(612, 100)])
    # 512…711 is one extent; its younger half goes first, then the older one, then memory never used.
    assert allocator.allocate(50, 0, snp=False) == [(612, 50)]
    assert allocator.allocate(100, 0, snp=False) == [(662, 50), (512, 50)]
    assert allocator.allocate(60, 0, snp=False) == [(562, 50), (812, 10)]


def test_a_block_taken_below_the_hot_part_leaves_it_hot() -> None:
    allocator = ExtentAllocator(NODE_BLOCKS, FREE[:1], newest_first=True)
    assert allocator.allocate(300, 0, snp=False) == [(512, 300)]
    allocator.free([(512, 100)])
    allocator.free([(612, 100)])
    assert allocator.allocate_at_random(1, iter([520])) == [520]
    assert allocator.allocate(10, 0, snp=False) == [(612, 10)]


def test_a_single_page_makes_no_memory_hot() -> None:
    allocator = ExtentAllocator(NODE_BLOCKS, FREE[:1], newest_first=True)
    assert allocator.allocate(100, 0, snp=False) == [(512, 100)]
    blocks = allocator.allocate_at_random(3, iter([900, 1000, 1500]))
    assert blocks == [900, 1000, 1500]
    allocator.free([(512, 100)])
    allocator.free_cold(blocks)
    assert allocator.allocate(200, 0, snp=False) == [(512, 200)]


def test_a_random_block_is_looked_for_until_one_is_free() -> None:
    allocator = ExtentAllocator(NODE_BLOCKS, FREE[:1], newest_first=False)
    assert allocator.allocate_at_random(2, iter([0, 3, 600, 600, 2047, 601])) == [600, 601]
    assert allocator.allocate(100, 0, snp=False) == [(512, 88), (602, 12)]
    # Draws that never hit: the lowest free block will do.
    assert allocator.allocate_at_random(1, itertools.repeat(0)) == [614]


@pytest.mark.parametrize("name", ["first_fit", "lifo", "scatter"])
def test_every_free_block_can_hold_a_page(name: str) -> None:
    allocator = BUILDERS[name](FREE)
    n = sum(n for extents in FREE for _, n in extents)
    blocks = allocator.allocate_at_random(n, some_draws())
    assert blocks is not None
    assert len(set(blocks)) == len(blocks) == n
    assert allocator.allocate_at_random(1, some_draws()) is None


def test_scatter_has_no_order_and_no_bias() -> None:
    allocator = Scatter(NODE_BLOCKS, FREE[:1], Stream(5, Purpose.PLACEMENT))
    counts = [0] * 3
    for _ in range(60):
        extents = allocator.allocate(150, 0, snp=False)
        assert extents is not None
        blocks = blocks_of(extents)
        assert blocks != sorted(blocks)
        for block in blocks:
            counts[(block - 512) // 500] += 1
        allocator.free(extents)
    # 9000 draws over three thirds: 3000 each, standard deviation below 45.
    assert all(2780 < count < 3220 for count in counts)


def test_pool_gives_snp_guests_whole_regions_of_their_own() -> None:
    # Node 0 has whole regions 1 and 2 (3 lacks its top), node 1 has 5 and 6 (4 and 7 lack blocks).
    pool = Pool1G(NODE_BLOCKS, FREE, share=0.5)
    assert pool.allocate(600, 0, snp=True) == [(1024, 512), (3072, 88)]
    assert pool.allocate(1, 0, snp=True) is None
    pool.free([(1024, 512)])
    assert pool.allocate(512, 1, snp=True) == [(1024, 512)]
    # The rest of a guest's last region stays its own; the region returns once all of it is back.
    pool.free([(3072, 80)])
    assert pool.allocate(1, 1, snp=True) is None
    pool.free([(3152, 8)])
    assert pool.allocate(1, 1, snp=True) == [(3072, 1)]


def test_pool_keeps_ordinary_guests_and_single_pages_out() -> None:
    pool = Pool1G(NODE_BLOCKS, FREE, share=1.0)
    outside = {*range(1536, 2012), *range(2048, 2148), *range(2200, 2560), *range(3584, 4000)}
    ordinary = pool.allocate(len(outside), 0, snp=False)
    assert ordinary is not None
    assert set(blocks_of(ordinary)) == outside
    assert pool.allocate(1, 0, snp=False) is None
    assert pool.allocate_at_random(1, some_draws()) is None
    assert pool.allocate(4 * 512, 0, snp=True) == [(512, 512), (1024, 512), (2560, 512), (3072, 512)]
