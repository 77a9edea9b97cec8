"""Percentiles of the latencies of all episodes of all seeds, from the histograms of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmemgpu.metrics.columns import Floats
from gmemgpu.report.grouping import Codes, group_sums
from gmemgpu.report.statistics import Estimate, estimates_of, jackknife

__all__ = ["Pooled", "pooled_percentiles"]

_FEWEST_SEEDS = 2 - 1e-9
"""Whose episodes make up a tail, in effect: an end that less rests on is no end."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pooled:
    """
    Rows whose episodes are put together.

    Parameters
    ----------
    line : (n_rows,) int32
        The line that a row belongs to.
    draw : (n_rows,) int32
        A number for its seed in that line, line after line.
    line_of_draw : (n_draws,) int32
        The line of each draw, ascending.
    n_lines : int
        How many lines there are.
    """

    line: Codes
    draw: Codes
    line_of_draw: Codes
    n_lines: int


def pooled_percentiles(
    pooled: Pooled, histograms: Iterable[pa.Array], exact: Sequence[tuple[int, Floats]]
) -> list[list[Estimate | None]]:
    """
    Estimate percentiles of each line.

    Parameters
    ----------
    pooled : Pooled
        What belongs together.
    histograms : iterable of pyarrow.ListArray
        A list a row, in the order of the rows.
    exact : sequence of (int, (n_rows,) float64)
        A percent for each percentile, and what it is in each row; not a number where there are no episodes.

    Returns
    -------
    list of list of Estimate or None
        For each percentile, `n_lines` long.

    Notes
    -----
    A bin is at most an eighth wide; within it a percentile is interpolated, and kept between the least and the most
    that it is in a row, where it must lie. Where rows agree it is exact.

    The interval is Woodruff's: the share of episodes below the percentile is a ratio of sums over seeds, with a
    jackknife on its log-odds, and how far it reaches down bounds the latency above, and up, below, by the same
    histogram. Where a tail is that of few seeds, as the sum of its parts squared over the sum of their squares tells,
    so few count for the degrees of freedom; where that is below two, the end on that side is open.
    """
    running = _histograms(pooled, histograms)
    np.cumsum(running, axis=1, out=running)
    total = running[:, -1].astype(np.float64)
    n_seeds = np.bincount(pooled.line_of_draw[total > 0], minlength=pooled.n_lines)
    # By lines, not `reduceat`, which goes through memory in strides.
    ends = np.searchsorted(pooled.line_of_draw, np.arange(pooled.n_lines + 1)).tolist()
    cumulated = np.stack([running[start:stop].sum(axis=0) for start, stop in pairwise(ends)]).astype(np.float64)
    block = _Block(pooled.line_of_draw, running, total, cumulated)
    return [_estimates(pooled, block.percentile(percent / 100), n_seeds, values) for percent, values in exact]


def _estimates(pooled: Pooled, ends: Floats, n_seeds: NDArray[np.int64], values: Floats) -> list[Estimate | None]:
    value, low, high = ends
    there = ~np.isnan(values)
    least, most = np.full(pooled.n_lines, np.inf), np.full(pooled.n_lines, -np.inf)
    np.minimum.at(least, pooled.line[there], values[there])
    np.maximum.at(most, pooled.line[there], values[there])
    value = np.minimum(np.maximum(value, least), most)
    same = (least == most) & (n_seeds > 1)
    low = np.where(same, value, np.minimum(low, value))
    high = np.where(same, value, np.maximum(high, value))
    return estimates_of(value, low, high, n_seeds, ["percentile"] * pooled.n_lines)


@dataclass(frozen=True, slots=True)
class _Block:
    # The running sum of each draw's histogram, and of each line's.
    line_of_draw: Codes
    running: NDArray[np.int64]
    total: Floats
    cumulated: Floats

    def percentile(self, share: float) -> Floats:
        n_lines, cumulated = len(self.cumulated), self.cumulated
        at, within = _place(cumulated, np.full(n_lines, share))
        # Of each seed's episodes, how many are below the percentile of all.
        draws, bins = np.arange(len(self.line_of_draw)), at[self.line_of_draw]
        up_to = self.running[draws, bins]
        in_bin = up_to - np.where(bins > 0, self.running[draws, bins - 1], 0)
        below = up_to - (1.0 - within[self.line_of_draw]) * in_bin
        there = self.total > 0
        of, below, total = self.line_of_draw[there], below[there], self.total[there]
        n = np.bincount(of, minlength=n_lines)
        with np.errstate(divide="ignore", invalid="ignore"):
            effective = [
                group_sums(part, of, n_lines) ** 2 / group_sums(part**2, of, n_lines) for part in (below, total - below)
            ]
            all_below, all_total = (group_sums(part, of, n_lines)[of] - part for part in (below, total))
            without = all_below / all_total
        inside = group_sums(~((without > 1e-12) & (without < 1 - 1e-12)), of, n_lines) == 0
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = np.log(without) - np.log1p(-without)
        scaled = np.where(inside[of], odds, np.nan_to_num(without))
        several = n > 1
        down, up = jackknife(scaled, of, n, several, np.minimum(*map(np.nan_to_num, effective)) - 1)
        centre = np.where(inside, np.log(share) - np.log1p(-share), share)
        low, high = centre - up, centre + down
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = (np.where(inside, 1 / (1 + np.exp(-end)), end) for end in (low, high))
        value = _latency(at, within)
        open_below = several & ((low <= 0) | ~(effective[0] >= _FEWEST_SEEDS))
        open_above = several & ((high >= 1) | ~(effective[1] >= _FEWEST_SEEDS))
        low_ns, high_ns = (_latency(*_place(cumulated, np.clip(np.nan_to_num(end), 0, 1))) for end in (low, high))
        low_ns[open_below] = 0.0
        high_ns[open_above] = np.inf
        low_ns[~several] = high_ns[~several] = np.nan
        value[n == 0] = np.nan
        return np.stack((value, low_ns, high_ns))


def _place(cumulated: Floats, share: Floats) -> tuple[NDArray[np.int64], Floats]:
    # The bin of a share of each line's episodes, and how far into it.
    # A whole number of episodes shall not become the next one by rounding.
    wanted = share * cumulated[:, -1] * (1 - 1e-12)
    n_bins = cumulated.shape[1]
    at = np.minimum((cumulated < wanted[:, None]).sum(axis=1), n_bins - 1)
    # A share of nothing is where the first of them is.
    at = np.maximum(at, (cumulated <= 0).sum(axis=1) % n_bins)
    rows = np.arange(len(at))
    end = cumulated[rows, at]
    begin = np.where(at > 0, cumulated[rows, at - 1], 0.0)
    within = np.divide(wanted - begin, end - begin, out=np.ones(len(at)), where=end > begin)
    return at, np.clip(within, 0.0, 1.0)


def _latency(at: NDArray[np.int64], within: Floats) -> Floats:
    begin, end = (_begins_ns(bins) for bins in (at, at + 1))
    latency: Floats = begin + within * (end - begin)
    return latency


def _begins_ns(bins: NDArray[np.int64]) -> Floats:
    # The inverse of gmemgpu.engine.array.latency.latency_bins.
    begins: Floats = np.where(bins < 8, bins, np.ldexp(8.0 + bins % 8, np.maximum(bins // 8 - 1, 0)))
    return begins


def _histograms(pooled: Pooled, histograms: Iterable[pa.Array]) -> NDArray[np.int64]:
    # Of each draw the sum over its rows.
    n_draws = len(pooled.line_of_draw)
    counts = np.empty((n_draws, 0), np.int64)
    row = 0
    for piece in histograms:
        draw = pooled.draw[row : row + len(piece)]
        row += len(piece)
        more = _counts(piece, max(1, counts.shape[1]))
        if more.shape[1] > counts.shape[1]:
            narrower, counts = counts, np.zeros((n_draws, more.shape[1]), np.int64)
            counts[:, : narrower.shape[1]] = narrower
        if n_draws == len(pooled.draw):
            counts[draw] = more
        else:
            _add(counts, draw, more)
    return counts


def _counts(lists: pa.Array, width: int) -> NDArray[np.int64]:
    # A histogram a row, so wide or as wide as the widest. By buffers, as gmemgpu.metrics.columns reads them.
    ends, values = lists.offsets, lists.values
    offsets = np.frombuffer(ends.buffers()[1], np.int32)[ends.offset : ends.offset + len(lists) + 1].astype(np.int64)
    lengths = np.diff(offsets)
    width = int(lengths.max(initial=width))
    begin = values.offset + offsets[0]
    filled = np.frombuffer(values.buffers()[1], np.int64)[begin : begin + offsets[-1] - offsets[0]]
    if (lengths == width).all():
        return filled.reshape(len(lists), width)
    counts = np.zeros((len(lists), width), np.int64)
    counts[np.arange(width) < lengths[:, None]] = filled
    return counts


def _add(counts: NDArray[np.int64], draw: Codes, more: NDArray[np.int64]) -> None:
    order = np.argsort(draw, kind="stable")
    starts = np.flatnonzero(np.diff(draw[order], prepend=-1))
    if len(starts) == len(draw):
        counts[draw] += more
        return
    # Of several scenarios a draw has several rows. Not `reduceat`, which goes through memory in strides.
    for start, stop in pairwise([*starts.tolist(), len(draw)]):
        rows = order[start:stop]
        counts[draw[rows[0]]] += more[rows].sum(axis=0)
