"""Draws of rare things along lines of pages or of time, and two distributions that need a table or a limit."""

from __future__ import annotations

import numpy as np

from gmemgpu.model.trace import Int64Array
from gmemgpu.vmtable.exact_math import FloatArray, exact_log, exact_power
from gmemgpu.vmtable.random_stream import Stream

__all__ = ["hits", "poisson_points", "beta_quantile", "binomial"]

_BETA_STEPS = 1 << 14
_TINY = 1e-6


def _walk(stream: Stream, length: int, *, mean_gap: float, stride: int, n_expected: float) -> Int64Array:
    # Places on [0, length) whose distances are `stride` plus an exponential variate rounded down.
    chunks: list[Int64Array] = []
    at = -stride
    while at < length:
        n = int(n_expected + 4 * n_expected**0.5) + 16
        # A gap longer than the line is as good as one of its length: sums stay within 63 bits until they have left it.
        gaps = np.minimum(np.floor(stream.exponential(n) * mean_gap), float(length)).astype(np.int64) + stride
        chunk = at + np.cumsum(gaps)
        past = np.flatnonzero(chunk >= length)
        chunks.append(chunk[: past[0]] if past.size else chunk)
        at = length if past.size else int(chunk[-1])
    return np.concatenate(chunks) if chunks else np.empty(0, np.int64)


def hits(stream: Stream, length: int, chance: float) -> Int64Array:
    """
    Draw each of `length` places with the same chance, independently.

    Parameters
    ----------
    stream : Stream
        Source of the draws.
    length : int
        Below 2**61.
    chance : float
        0 to 1.

    Returns
    -------
    (k,) int64
        Ascending, each once.
    """
    if chance <= 0:
        return np.empty(0, np.int64)
    # The distance to the next hit is geometric: an exponential variate over -ln(1 - chance), rounded down.
    if chance < _TINY:
        mean_gap = 1.0 / chance - 0.5  # 1 - chance would lose its last digits
    elif chance < 1:
        mean_gap = -1.0 / float(exact_log(np.array([1.0 - chance]))[0])
    else:
        mean_gap = 0.0
    return _walk(stream, length, mean_gap=mean_gap, stride=1, n_expected=length * chance)


def poisson_points(stream: Stream, length: int, mean_gap: float) -> Int64Array:
    """
    Draw a Poisson process on a line of integers.

    Parameters
    ----------
    stream : Stream
        Source of the draws.
    length : int
        Below 2**61.
    mean_gap : float
        Positive.

    Returns
    -------
    (k,) int64
        Ascending; a place may come twice.
    """
    return _walk(stream, length, mean_gap=mean_gap, stride=0, n_expected=length / mean_gap)


def beta_quantile(p: FloatArray, alpha: float, beta: float) -> FloatArray:
    """
    Return quantiles of a beta distribution, to about four digits, the same bits on every machine.

    Parameters
    ----------
    p : (n,) float64
        In [0, 1).
    alpha, beta : float
        Positive.

    Returns
    -------
    (n,) float64
        In [0, 1].

    Notes
    -----
    The density is summed over midpoints and the sum inverted linearly; ``scipy.special`` would do, at the price of a
    dependency and of last bits that differ between machines.
    """
    middle = (np.arange(_BETA_STEPS) + 0.5) / _BETA_STEPS
    mass = exact_power(middle, alpha - 1.0) * exact_power(1.0 - middle, beta - 1.0)
    cumulative = np.concatenate([[0.0], np.cumsum(mass)])
    target = p * cumulative[-1]
    cell = np.clip(np.searchsorted(cumulative, target, side="right") - 1, 0, _BETA_STEPS - 1)
    within = (target - cumulative[cell]) / mass[cell]
    result: FloatArray = np.clip((cell + within) / _BETA_STEPS, 0.0, 1.0)
    return result


def binomial(stream: Stream, n: Int64Array, chance: float) -> Int64Array:
    """
    Draw the number of successes in `n` trials each, by the normal limit, which is exact where `chance` is 0 or 1.

    Parameters
    ----------
    stream : Stream
        Source of the draws.
    n : (k,) int64
        Trials.
    chance : float
        0 to 1.

    Returns
    -------
    (k,) int64
        0 to n.
    """
    spread = np.sqrt(n * (chance * (1.0 - chance)))
    drawn = np.rint(n * chance + spread * stream.normal(len(n))).astype(np.int64)
    result: Int64Array = np.clip(drawn, 0, n)
    return result
