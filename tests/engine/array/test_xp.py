"""The primitives, with NumPy and with CuPy, against plain Python."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.engine.array.dominance import dominance_sums
from gmemgpu.engine.array.xp.namespace import Namespace, begins
from gmemgpu.engine.array.xp.on_cupy import THREADS, TILE_ITEMS, CupyNamespace
from gmemgpu.engine.array.xp.on_numpy import NUMPY
from gmemgpu.model.trace import Int64Array


@pytest.fixture(scope="module", params=["numpy", "cupy"])
def xp(request: pytest.FixtureRequest) -> Namespace:
    if request.param == "numpy":
        return NUMPY
    cupy = pytest.importorskip("cupy", reason="no CUDA device, and no g++ to emulate one")
    from gmemgpu.engine.cupy.kernel import launch_here

    return CupyNamespace(cupy, launch_here)


SEGMENTS = st.lists(st.lists(st.integers(-9, 1 << 62), max_size=6), min_size=1, max_size=4)


def flat(segments: list[list[int]]) -> Int64Array:
    return np.array([value for segment in segments for value in segment], np.int64)


@given(sorted_ones=SEGMENTS, data=st.data())
def test_search(xp: Namespace, sorted_ones: list[list[int]], data: st.DataObject) -> None:
    sorted_ones = [sorted(segment) for segment in sorted_ones]
    some = st.lists(st.integers(-9, 1 << 62) | st.sampled_from([0, *flat(sorted_ones).tolist()]), max_size=5)
    needles = [data.draw(some) for _ in sorted_ones]
    at, needles_at = (xp.asarray(begins([len(s) for s in each])) for each in (sorted_ones, needles))
    for side, bisect in (("left", bisect_left), ("right", bisect_right)):
        values, wanted = xp.asarray(flat(sorted_ones)), xp.asarray(flat(needles))
        found = xp.search(values, at[:-1], at[1:], wanted, needles_at, side)  # type: ignore[arg-type]
        starts = np.repeat(at.tolist()[:-1], [len(own) for own in needles])
        expected = [bisect(s, n) for s, ns in zip(sorted_ones, needles, strict=True) for n in ns]
        assert found.tolist() == expected
        found = xp.search(values, at[:-1], at[1:], wanted, needles_at, side, at[:-1])  # type: ignore[arg-type]
        assert found.tolist() == [a + b for a, b in zip(expected, starts, strict=True)]


@given(sorted_ones=SEGMENTS.map(lambda some: [sorted(s) for s in some if s]), data=st.data())
def test_last_of(xp: Namespace, sorted_ones: list[list[int]], data: st.DataObject) -> None:
    at = begins([len(segment) for segment in sorted_ones])
    chosen = data.draw(st.lists(st.integers(0, len(sorted_ones) - 1), max_size=6)) if sorted_ones else []
    needles = [data.draw(st.integers(sorted_ones[k][0], 1 << 62)) for k in chosen]
    columns = (flat(sorted_ones), at[:-1][chosen], at[1:][chosen], np.array(needles, np.int64))
    found = xp.last_of(*(xp.asarray(column) for column in columns))
    assert found.tolist() == [at[k] + bisect_right(sorted_ones[k], n) - 1 for k, n in zip(chosen, needles, strict=True)]


@given(segments=SEGMENTS)
def test_scans(xp: Namespace, segments: list[list[int]]) -> None:
    host, at = flat(segments), xp.asarray(begins([len(s) for s in segments]))
    values = xp.asarray(host)
    within = [value for segment in segments for value in accumulate(segment, max)]
    assert xp.max_scan_within(values, at).tolist() == within
    assert xp.max_scan(values).tolist() == list(accumulate(host.tolist(), max))
    assert xp.min_scan(values).tolist() == list(accumulate(host[::-1].tolist(), min))[::-1]
    assert xp.sums(values // 9).tolist() == [0, *accumulate((host // 9).tolist())]
    assert xp.spread(xp.arange(len(segments)), at, len(host)).tolist() in (
        [0],
        [q for q, segment in enumerate(segments) for _ in segment],
    )
    assert xp.owners(at, len(host)).tolist() == [q for q, segment in enumerate(segments) for _ in segment]


@given(columns=st.lists(st.sampled_from([np.int64, np.int32, np.int8, bool]), max_size=5), n=st.integers(0, 9))
def test_put(xp: Namespace, columns: list[type], n: int) -> None:
    given_: list[Any] = [np.arange(n + k).astype(dtype) for k, dtype in enumerate(columns)]
    for found, column in zip(xp.put(*given_), given_, strict=True):
        assert found.dtype == column.dtype
        assert found.tolist() == column.tolist()


@given(segments=st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=4), data=st.data())
def test_distinct(xp: Namespace, segments: list[list[int]], data: st.DataObject) -> None:
    flat_ones = data.draw(st.permutations([(q, value) for q, segment in enumerate(segments) for value in segment]))
    owner, values = (np.array(each, np.int64) for each in (list(zip(*flat_ones, strict=True)) or ((), ())))
    at, found, rank = xp.distinct(xp.asarray(values), xp.asarray(owner) if len(segments) > 1 else None, len(segments))
    once = [sorted(set(segment)) for segment in segments]
    assert at.tolist() == begins([len(each) for each in once]).tolist()
    assert found.tolist() == [value for each in once for value in each]
    assert rank.tolist() == [once[q].index(value) for q, value in flat_ones]


@pytest.mark.parametrize("extra", [-1, 0, 1, 3000])
def test_scans_longer_than_a_tile(xp: Namespace, extra: int) -> None:
    n = 2 * THREADS["MAX"] * TILE_ITEMS + extra
    values = np.random.default_rng(n).integers(-(1 << 62), 1 << 62, n)
    borders = np.array([0, 7, 7, n // 2, n - 2, n])
    expected = np.concatenate([np.maximum.accumulate(values[a:b]) for a, b in pairwise(borders)])
    assert np.array_equal(xp.fetch(xp.max_scan_within(xp.asarray(values), xp.asarray(borders)))[0], expected)
    assert np.array_equal(xp.fetch(xp.max_scan(xp.asarray(values)))[0], np.maximum.accumulate(values))


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
def test_chain(xp: Namespace, drawn: tuple[Int64Array, Int64Array], data: st.DataObject) -> None:
    host, at = drawn
    expected = walked(host, at)
    following, borders = xp.asarray(host), xp.asarray(at)
    assert xp.chain(following, borders).tolist() == expected
    # Another chain may be given as a hint; however much of that is used, the outcome is the same.
    usual = host.copy()
    for i in data.draw(st.lists(st.integers(0, max(0, len(host) - 1)), max_size=4)):
        if len(usual):
            end = int(at[np.searchsorted(at, i, "right")])
            usual[i] = data.draw(st.integers(i + 1, max(i + 1, end)))
    like = xp.asarray(usual), xp.asarray(np.array(walked(usual, at), np.int64))
    assert xp.chain(following, borders, like).tolist() == expected


@pytest.mark.parametrize("steps", [(1,), (1, 2, 700), (5000, 9)])
@pytest.mark.parametrize("extra", [-1, 0, 1, 3000])
def test_chains_longer_than_a_tile(xp: Namespace, extra: int, steps: tuple[int, ...]) -> None:
    n = 2 * THREADS["CHAIN"] * TILE_ITEMS + extra
    at = np.array([0, 7, 7, n // 2, n - 2, n, n])
    following = np.arange(n) + np.random.default_rng(n).choice(steps, n)
    assert xp.chain(xp.asarray(following), xp.asarray(at)).tolist() == walked(following, at)


@given(
    jumps=st.lists(st.tuples(st.integers(0, 1499), st.integers(2, 1500)), max_size=12),
    borders=st.lists(st.integers(0, 1500), max_size=3),
)
def test_a_chain_that_mostly_leads_to_the_next_element(
    xp: Namespace, jumps: list[tuple[int, int]], borders: list[int]
) -> None:
    host, at = np.arange(1, 1501), np.array([0, *sorted(borders), 1500])
    for i, by in jumps:
        host[i] += by
    assert xp.chain(xp.asarray(host), xp.asarray(at)).tolist() == walked(host, at)


@given(drawn=st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12), size=st.sampled_from([10, 1000]))
def test_come_later(xp: Namespace, drawn: list[tuple[int, bool]], size: int) -> None:
    index, which = np.array([i for i, _ in drawn], np.int64), np.array([flag for _, flag in drawn], bool)
    expected = [any(i == index[k] and flag for i, flag in drawn[:k]) for k in range(len(drawn))]
    assert xp.come_later(size, xp.asarray(index), xp.asarray(which)).tolist() == expected


@given(pairs=st.lists(st.tuples(st.integers(-5, 1 << 40), st.integers(0, 4)), max_size=8))
def test_expand(xp: Namespace, pairs: list[tuple[int, int]]) -> None:
    first, count = (np.array([p[k] for p in pairs], np.int64) for k in (0, 1))
    for owner, value in (xp.expand(*xp.put(first, count)), xp.expand_known(first, count)):
        assert list(zip(owner.tolist(), value.tolist(), strict=True)) == [
            (i, begin + k) for i, (begin, n) in enumerate(pairs) for k in range(n)
        ]


@given(keys=st.lists(st.integers(0, 1 << 40) | st.integers(0, 3), max_size=20))
def test_orders_and_sums(xp: Namespace, keys: list[int]) -> None:
    values = xp.asarray(np.array(keys, np.int64))
    assert xp.stable_order(values).tolist() == sorted(range(len(keys)), key=keys.__getitem__)
    assert xp.once(values).tolist() == sorted(set(keys))
    index = values % 4
    each = [[k for k in keys if k % 4 == i] for i in range(4)]
    assert xp.sum_at(4, index, -values).tolist() == [-sum(own) for own in each]
    assert xp.count_at(4, index).tolist() == [len(own) for own in each]
    assert xp.count_at(4, index, values > 2).tolist() == [sum(k > 2 for k in own) for own in each]
    assert xp.max_at(4, index, values + 1).tolist() == [max(own, default=-1) + 1 for own in each]


@pytest.mark.parametrize("ascending", [False, True])
def test_sums_beyond_a_tile(xp: Namespace, ascending: bool) -> None:
    n = 2 * THREADS["SUM"] * TILE_ITEMS + 77
    random = np.random.default_rng(n)
    index, values, which = random.integers(0, 5, n), random.integers(-(1 << 50), 1 << 50, n), random.random(n) < 0.6
    if ascending:
        index.sort()
    expected = [values[index == i].sum() for i in range(6)]
    assert xp.sum_at(6, *map(xp.asarray, (index, values))).tolist() == expected
    assert xp.count_at(6, *map(xp.asarray, (index, which))).tolist() == np.bincount(index[which], minlength=6).tolist()


@given(rows=st.lists(st.lists(st.integers(-9, 9), min_size=3, max_size=3), min_size=1, max_size=4))
def test_sums_along(xp: Namespace, rows: list[list[int]]) -> None:
    host = np.array(rows, np.int64)
    for axis in (0, 1):
        found = xp.sums_along(xp.asarray(host), axis)
        assert found.ravel().tolist() == np.cumsum(host, axis=axis).ravel().tolist()


@given(lists=st.lists(st.lists(st.integers(-9, 1 << 62), max_size=4), min_size=1, max_size=4))
def test_fetch(xp: Namespace, lists: list[list[int]]) -> None:
    arrays: list[Any] = [np.array(values, np.int64) for values in lists]
    arrays.append(np.array([True, False, True]))
    found = xp.fetch(*map(xp.asarray, arrays))
    assert [each.tolist() for each in found] == [each.tolist() for each in arrays]
    assert [each.dtype for each in found] == [each.dtype for each in arrays]


POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 15), st.integers(-(1 << 50), 1 << 50)), max_size=60)


@given(points=POINTS, queries=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 15)), min_size=1, max_size=9))
def test_dominance_sums(xp: Namespace, points: list[tuple[int, int, int]], queries: list[tuple[int, int]]) -> None:
    columns = [*np.array(points, np.int64).reshape(-1, 3).T, *np.array(queries, np.int64).T]
    found = dominance_sums(xp, *(xp.asarray(np.ascontiguousarray(column)) for column in columns), 7, 16)
    assert found.tolist() == [sum(w for p, h, w in points if p <= a and h < b) for a, b in queries]
