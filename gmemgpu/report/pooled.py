"""Percentiles of the latencies of all episodes of all seeds, from the histograms of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmemgpu.errors import StoreError
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
        A number for its seed in that line.
    line_of_draw : (n_draws,) int32
        The line of each draw.
    n_lines : int
        How many lines there are.
    stops : list of int
        Where rows can be cut so that no line lies on both sides, as `gmemgpu.report.grouping.stops_of` finds it.
    """

    line: Codes
    draw: Codes
    line_of_draw: Codes
    n_lines: int
    stops: list[int]


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
    n_lines = pooled.n_lines
    found = [np.full((3, n_lines), np.nan) for _ in exact]
    n_seeds = np.zeros(n_lines, np.int64)
    for block in _blocks(pooled, histograms):
        n_seeds += block.n_seeds(n_lines)
        for (percent, _), of in zip(exact, found, strict=True):
            lines, ends = block.percentile(percent / 100)
            of[:, lines] = ends
    return [_estimates(pooled, ends, n_seeds, values) for (_, values), ends in zip(exact, found, strict=True)]


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
    # Lines all of whose rows are here: the histogram of each draw, its running sum, and that of each line.
    lines: NDArray[np.int64]
    line_of_draw: NDArray[np.int64]
    counts: NDArray[np.int64]
    running: NDArray[np.int64]
    cumulated: Floats

    @property
    def total(self) -> Floats:
        total: Floats = self.running[:, -1].astype(np.float64)
        return total

    def n_seeds(self, n_lines: int) -> NDArray[np.int64]:
        found = np.zeros(n_lines, np.int64)
        found[self.lines] = np.bincount(self.line_of_draw[self.total > 0], minlength=len(self.lines))
        return found

    def percentile(self, share: float) -> tuple[NDArray[np.int64], Floats]:
        n_lines, cumulated = len(self.lines), self.cumulated
        at, within = _place(cumulated, np.full(n_lines, share))
        # Of each seed's episodes, how many are below the percentile of all.
        draws, bins = np.arange(len(self.line_of_draw)), at[self.line_of_draw]
        below = self.running[draws, bins] - (1.0 - within[self.line_of_draw]) * self.counts[draws, bins]
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
        down, up = jackknife(scaled, of.astype(np.int32), n, several, np.minimum(*map(np.nan_to_num, effective)) - 1)
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
        return self.lines, np.stack((value, low_ns, high_ns))


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


def _blocks(pooled: Pooled, histograms: Iterable[pa.Array]) -> Iterator[_Block]:
    # In a store the rows of a line mostly lie close together, so that few are held at a time.
    stops = list(pooled.stops)
    start = row = 0
    draws, counts = _empty(pooled, start, stops[0])
    for piece in histograms:
        done = 0
        while done < len(piece):
            n = min(len(piece) - done, stops[0] - row)
            counts = _added(counts, np.searchsorted(draws, pooled.draw[row : row + n]), _counts(piece.slice(done, n)))
            done, row = done + n, row + n
            if row == stops[0]:
                yield _block(pooled, slice(start, row), draws, counts)
                start = row
                del stops[0]
                if not stops:
                    # Rows after these are not asked for.
                    return
                draws, counts = _empty(pooled, start, stops[0])
    raise StoreError("rows changed while they were read; try again")


def _empty(pooled: Pooled, start: int, stop: int) -> tuple[Codes, NDArray[np.int64]]:
    draws = np.unique(pooled.draw[start:stop])
    return draws, np.zeros((len(draws), 1), np.int64)


def _counts(lists: pa.Array) -> NDArray[np.int64]:
    # A histogram a row, as wide as the widest. By buffers, as gmemgpu.metrics.columns reads them.
    ends, values = lists.offsets, lists.values
    offsets = np.frombuffer(ends.buffers()[1], np.int32)[ends.offset : ends.offset + len(lists) + 1].astype(np.int64)
    lengths = np.diff(offsets)
    width = int(lengths.max())
    if not width:
        return np.zeros((len(lists), 1), np.int64)
    begin = values.offset + offsets[0]
    filled = np.frombuffer(values.buffers()[1], np.int64)[begin : begin + offsets[-1] - offsets[0]]
    if (lengths == width).all():
        return filled.reshape(len(lists), width)
    counts = np.zeros((len(lists), width), np.int64)
    counts[np.arange(width) < lengths[:, None]] = filled
    return counts


def _added(counts: NDArray[np.int64], draw: NDArray[np.int64], more: NDArray[np.int64]) -> NDArray[np.int64]:
    n_lacking = more.shape[1] - counts.shape[1]
    if n_lacking > 0:
        counts = np.pad(counts, ((0, 0), (0, n_lacking)))
    width = slice(more.shape[1])
    order = np.argsort(draw, kind="stable")
    starts = np.flatnonzero(np.diff(draw[order], prepend=-1))
    if len(starts) == len(draw):
        counts[draw, width] += more
        return counts
    # Of several scenarios a draw has several rows. Not `reduceat`, which goes through memory in strides.
    for start, stop in pairwise([*starts.tolist(), len(draw)]):
        rows = order[start:stop]
        counts[draw[rows[0]], width] += more[rows].sum(axis=0)
    return counts


def _block(pooled: Pooled, rows: slice, draws: Codes, counts: NDArray[np.int64]) -> _Block:
    lines = np.unique(pooled.line[rows])
    # Draws are numbered line after line.
    line_of_draw = np.searchsorted(lines, pooled.line_of_draw[draws])
    ends = np.searchsorted(line_of_draw, np.arange(len(lines) + 1)).tolist()
    filled = np.stack([counts[start:stop].sum(axis=0) for start, stop in pairwise(ends)])
    return _Block(
        lines=lines.astype(np.int64),
        line_of_draw=line_of_draw,
        counts=counts,
        running=np.cumsum(counts, axis=1),
        cumulated=np.cumsum(filled, axis=1).astype(np.float64),
    )
