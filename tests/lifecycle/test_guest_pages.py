from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.lifecycle.guest_pages import Backing, cut, offsets_within, regular_cuts, running_sum, step_index


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


borders = st.lists(st.integers(0, 60), unique=True, max_size=20).map(sorted)


@given(edges=borders, points=borders)
def test_cut_gives_the_same_pages_without_a_border_inside(edges: list[int], points: list[int]) -> None:
    intervals = list(zip(edges[::2], edges[1::2], strict=False))
    low, high = (ints(*(interval[i] for interval in intervals)) for i in (0, 1))
    pieces = list(zip(*(column.tolist() for column in cut(low, high, ints(*points))), strict=True))
    expected = []
    for source, (start, end) in enumerate(intervals):
        inner = [start, *(p for p in points if start < p < end), end]
        expected += [(a, b, source) for a, b in itertools.pairwise(inner)]
    assert pieces == expected


@given(edges=borders, step=st.integers(1, 10), base=st.integers(0, 5))
def test_regular_cuts_are_the_multiples_inside(edges: list[int], step: int, base: int) -> None:
    intervals = [(base + a, base + b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    n = len(intervals)
    low, high = (ints(*(interval[i] for interval in intervals)) for i in (0, 1))
    cuts = regular_cuts(np.full(n, base), low, high, np.full(n, step))
    assert cuts.tolist() == [x for a, b in intervals for x in range(a + 1, b) if (x - base) % step == 0]


def test_groups() -> None:
    assert offsets_within(ints(2, 0, 3)).tolist() == [0, 1, 0, 1, 2]
    assert offsets_within(ints()).tolist() == []
    assert running_sum(ints(5, 1, 2, 3), ints(0, 0, 2, 2)).tolist() == [5, 6, 2, 5]
    assert step_index(ints(3, 7), ints(2, 3, 6, 7, 9)).tolist() == [-1, 0, 0, 1, 1]


def test_backing_looks_pages_up() -> None:
    backing = Backing(start=ints(0, 10, 15), pfn=ints(100, 500, 300))
    assert backing.pfn_at(ints(0, 9, 10, 14, 15, 20)).tolist() == [100, 109, 500, 504, 300, 305]
