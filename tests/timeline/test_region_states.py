"""Runs of pages against a plain array of pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.model.event import Kind
from gmemgpu.timeline.region_states import region_states

PAGES = 24
KINDS = [Kind.ASSIGN, Kind.RELEASE, Kind.SHARE, Kind.USE, Kind.UNUSE, Kind.EVICT_BEGIN, Kind.EVICT_END]

pieces = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, PAGES - 1), st.integers(1, PAGES), st.integers(-1, 2)), max_size=40
).map(lambda rows: [(kind, lo, min(lo + n, PAGES), inode) for kind, lo, n, inode in rows])


@given(pieces)
def test_equals_page_by_page(rows: list[tuple[Kind, int, int, int]]) -> None:
    owner: list[int | None] = [None] * PAGES
    in_use = [False] * PAGES
    evicted: set[int] = set()
    expected = []
    for kind, lo, hi, inode in rows:
        for page in range(lo, hi):
            if kind == Kind.ASSIGN:
                owner[page] = inode
            elif kind in (Kind.RELEASE, Kind.SHARE):
                owner[page] = None
            elif kind in (Kind.USE, Kind.UNUSE):
                in_use[page] = kind == Kind.USE
        if kind == Kind.EVICT_BEGIN and inode >= 0:
            evicted.add(inode)
        elif kind == Kind.EVICT_END:
            evicted.discard(inode)
        held = [name for name in owner if name is not None]
        expected.append(
            (
                len(held),
                sum(name >= 0 for name in held),
                sum(name in evicted for name in held),
                sum(used and name is None for used, name in zip(in_use, owner, strict=True)),
                0 if held else -1,
            )
        )
    # Evictions of inode -1 never reach a region: they change nothing.
    kept = [i for i, row in enumerate(rows) if row[0] < Kind.EVICT_BEGIN or row[3] >= 0]
    columns = [list(map(int, column)) for column in zip(*(rows[i] for i in kept), strict=True)]
    states = region_states(*columns) if kept else []
    assert list(zip(*states, strict=True)) == [expected[i] for i in kept]


def test_first_block_is_that_of_the_lowest_page() -> None:
    kinds, los, his = [0, 0, 2], [262_143, 512, 512], [262_144, 514, 514]
    assert region_states(kinds, los, his, [1, 2, 2]).first == [511, 1, 511]
