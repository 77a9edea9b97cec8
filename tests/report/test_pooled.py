"""Percentiles of all episodes of all seeds, beside those of the latencies themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.engine.array.latency import latency_bins
from gmemgpu.report.pooled import Pooled, pooled_percentiles
from gmemgpu.report.statistics import Estimate

Rows = Sequence[tuple[int, int, Sequence[int]]]
"""Line, seed and latencies of each row."""


def nearest_rank(latencies: Sequence[int], percent: int) -> int:
    return sorted(latencies)[-(-len(latencies) * percent // 100) - 1]


def histogram(latencies: Sequence[int]) -> list[int]:
    return np.bincount(latency_bins(np.array(latencies, np.int64))).tolist() if latencies else []


def lists(rows: Rows, cuts: Sequence[int] = ()) -> Iterator[pa.Array]:
    """Yield the histograms, cut into pieces that begin within their buffers."""
    whole = pa.array([histogram(latencies) for _, _, latencies in rows], pa.list_(pa.int64()))
    for begin, end in pairwise([0, *sorted(cuts), len(rows)]):
        yield whole.slice(begin, end - begin)


def percentile(rows: Rows, percent: int, cuts: Sequence[int] = ()) -> list[Estimate | None]:
    line = np.array([line for line, _, _ in rows], np.int32)
    pairs = sorted({row[:2] for row in rows})
    draw = np.array([pairs.index(row[:2]) for row in rows], np.int32)
    of_draw = np.array([line for line, _ in pairs], np.int32)
    exact = np.array([nearest_rank(row[2], percent) if row[2] else np.nan for row in rows])
    lines = Pooled(line=line, draw=draw, line_of_draw=of_draw, n_lines=int(line.max()) + 1)
    (found,) = pooled_percentiles(lines, lists(rows, cuts), [(percent, exact)])
    return found


LATENCIES = st.lists(st.one_of(st.integers(0, 20), st.integers(0, 2**62)), max_size=8)
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), LATENCIES), min_size=1, max_size=12)


@given(rows=ROWS, percent=st.sampled_from([50, 90, 99]), cuts=st.lists(st.integers(0, 1), max_size=1))
def test_a_percentile_is_that_of_all_episodes_to_an_eighth(rows: Rows, percent: int, cuts: list[int]) -> None:
    for line, found in enumerate(percentile(rows, percent, cuts)):
        of_line = [row for row in rows if row[0] == line]
        latencies = [latency for _, _, of in of_line for latency in of]
        if not latencies:
            assert found is None
            continue
        assert found is not None
        assert found.n == len({seed for _, seed, of in of_line if of})
        assert found.value == pytest.approx(nearest_rank(latencies, percent), rel=1 / 8, abs=1)
        ranks = [float(nearest_rank(of, percent)) for _, _, of in of_line if of]
        assert min(ranks) <= found.value <= max(ranks)
        assert (found.low is None) is (found.n == 1)
        if found.low is not None:
            assert 0 <= found.low <= found.value
            assert found.high is None or found.value <= found.high


@given(rows=ROWS, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_and_the_blocks_they_come_in_change_nothing(rows: Rows, order: object) -> None:
    shuffled = list(rows)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    found, again = percentile(rows, 90), percentile(shuffled, 90)
    for one, other in zip(found, again, strict=True):
        assert (one is None) is (other is None)
        if one is not None and other is not None:
            assert one.n == other.n
            assert one[:3] == tuple(end if end is None else pytest.approx(end, rel=1e-9) for end in other[:3])


def test_pieces_may_end_within_a_line() -> None:
    # Line 1 has two rows of each seed.
    rows = [(line, seed, [seed + 5 * line, 1000 * line]) for line in (0, 1, 2, 1, 3) for seed in range(4)]
    for some in (rows, rows[4:12], rows[:12]):
        whole = percentile(some, 50)
        assert percentile(some, 50, cuts=[3, 4, 7]) == whole
        assert percentile(some, 50, cuts=[1, 3, 4, 7]) == whole


def test_seeds_that_agree_are_exact_and_without_width() -> None:
    rows = [(0, seed, [151_750] * 3) for seed in range(4)]
    assert percentile(rows, 99) == [Estimate(151_750.0, 151_750.0, 151_750.0, 4, "percentile")]


def test_one_seed_says_all_of_itself() -> None:
    assert percentile([(0, 7, [5, 1_000_003])], 99) == [Estimate(1_000_003.0, None, None, 1, "percentile")]


def test_a_seed_without_episodes_does_not_count() -> None:
    (found,) = percentile([(0, 0, [100, 200]), (0, 1, []), (0, 2, [100, 200])], 50)
    assert found is not None
    assert found.n == 2


def test_what_one_seed_alone_has_bounds_nothing() -> None:
    # All that is slow is in one seed: how slow others may be cannot be known.
    rows = [(0, seed, [100] * 50 if seed else [100] * 40 + [10**9] * 10) for seed in range(8)]
    (found,) = percentile(rows, 99)
    assert found is not None
    assert found.low is not None
    assert found.high is None
