"""Searches, scans and chains within segments, against plain Python."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.engine.array.dominance import dominance_sums
from gmemgpu.engine.array.xp.namespace import begins
from gmemgpu.engine.array.xp.on_numpy import NUMPY as xp
from gmemgpu.model.trace import Int64Array

SEGMENTS = st.lists(st.lists(st.integers(-9, 1 << 62), max_size=6), min_size=1, max_size=4)


def flat(segments: list[list[int]]) -> Int64Array:
    return np.array([value for segment in segments for value in segment], np.int64)


@given(sorted_ones=SEGMENTS, data=st.data())
def test_search(sorted_ones: list[list[int]], data: st.DataObject) -> None:
    sorted_ones = [sorted(segment) for segment in sorted_ones]
    some = st.lists(st.integers(-9, 1 << 62) | st.sampled_from([0, *flat(sorted_ones).tolist()]), max_size=5)
    needles = [data.draw(some) for _ in sorted_ones]
    at, needles_at = begins([len(s) for s in sorted_ones]), begins([len(s) for s in needles])
    for side, bisect in (("left", bisect_left), ("right", bisect_right)):
        found = xp.search(flat(sorted_ones), at[:-1], at[1:], flat(needles), needles_at, side)  # type: ignore[arg-type]
        assert found.tolist() == [bisect(s, n) for s, ns in zip(sorted_ones, needles, strict=True) for n in ns]


@given(segments=SEGMENTS)
def test_scans(segments: list[list[int]]) -> None:
    values, at = flat(segments), begins([len(s) for s in segments])
    within = [value for segment in segments for value in accumulate(segment, max)]
    assert xp.max_scan_within(values, at).tolist() == within
    assert xp.max_scan(values).tolist() == list(accumulate(values.tolist(), max))
    assert xp.min_scan(values).tolist() == list(accumulate(values[::-1].tolist(), min))[::-1]
    assert xp.spread(np.arange(len(segments)), at).tolist() in (
        [0],
        [q for q, segment in enumerate(segments) for _ in segment],
    )


@st.composite
def followings(draw: st.DrawFn) -> tuple[Int64Array, Int64Array]:
    at = begins(draw(st.lists(st.integers(0, 40), min_size=1, max_size=3)))
    following = [
        min(i + draw(st.sampled_from([1, 1, 1, 2, 5, 99])), b + draw(st.sampled_from([0, 1])))
        for a, b in pairwise(at.tolist())
        for i in range(a, b)
    ]
    return np.array(following, np.int64), at


def walked(following: Int64Array, at: Int64Array) -> list[int]:
    met = []
    for i, stop in pairwise(at.tolist()):
        while i < stop:
            met.append(i)
            i = following[i]
    return met


@given(drawn=followings(), data=st.data())
def test_chain(drawn: tuple[Int64Array, Int64Array], data: st.DataObject) -> None:
    following, at = drawn
    expected = walked(following, at)
    assert xp.chain(following, at).tolist() == expected
    # A chain much like another one may be spliced from it; however much that is used, the outcome is the same.
    usual = following.copy()
    for i in data.draw(st.lists(st.integers(0, max(0, len(following) - 1)), max_size=4)):
        if len(usual):
            end = int(at[np.searchsorted(at, i, "right")])
            usual[i] = data.draw(st.integers(i + 1, max(i + 1, end)))
    like = usual, np.array(walked(usual, at), np.int64)
    assert xp.chain(following, at, like).tolist() == expected


@given(pairs=st.lists(st.tuples(st.integers(-5, 1 << 40), st.integers(0, 4)), max_size=8))
def test_expand(pairs: list[tuple[int, int]]) -> None:
    first, count = np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64)
    owner, value = xp.expand(first, count)
    assert list(zip(owner.tolist(), value.tolist(), strict=True)) == [
        (i, begin + k) for i, (begin, n) in enumerate(pairs) for k in range(n)
    ]


@given(keys=st.lists(st.integers(0, 1 << 40) | st.integers(0, 3), max_size=20))
def test_orders_and_sums(keys: list[int]) -> None:
    values = np.array(keys, np.int64)
    assert xp.stable_order(values).tolist() == sorted(range(len(keys)), key=keys.__getitem__)
    assert xp.once(values).tolist() == sorted(set(keys))
    index = values % 4
    sums = [sum(k for k in keys if k % 4 == i) for i in range(4)]
    assert xp.sum_at(4, index, values).tolist() == sums


POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 15), st.integers(-(1 << 50), 1 << 50)), max_size=60)


@given(points=POINTS, queries=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 15)), min_size=1, max_size=9))
def test_dominance_sums(points: list[tuple[int, int, int]], queries: list[tuple[int, int]]) -> None:
    place, height, weight = np.array(points, np.int64).reshape(-1, 3).T
    at, below = np.array(queries, np.int64).T
    found = dominance_sums(xp, place, height, weight, at, below, 7, 4)
    assert found.tolist() == [sum(w for p, h, w in points if p <= a and h < b) for a, b in queries]
