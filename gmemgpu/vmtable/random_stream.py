"""
Random numbers by counter: every purpose has its own stream, and a draw's value depends on its place alone.

Only the bit generator is NumPy's (Philox, whose output is fixed for ever); the distributions are made here, because
those of `numpy.random.Generator` may change between versions. Each variate takes exactly one raw number, so the first n
of a stream stay the same however many more are drawn.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmemgpu.model.trace import Int64Array
from gmemgpu.vmtable.exact_math import FloatArray, exact_exp, exact_log, exact_power, normal_quantile

__all__ = ["Purpose", "Stream", "NEVER_NS", "seconds_to_ns"]

NEVER_NS = 2 * 10**18
"""A time past every horizon (63 years): no draw is longer, and a sum of two still fits 63 bits."""


class Purpose(IntEnum):
    """
    What a stream is for. The numbers key the generator: they may be added to, never changed.

    From 64 on they belong to placement and the life cycle of memory.
    """

    ARRIVAL_GAP = 1
    DAY_FACTOR = 2
    BATCH_SIZE = 3
    COLOCATION = 4
    LIFETIME_COMPONENT = 5
    LIFETIME = 6
    LIFETIME_COPY = 7
    LIFETIME_OWN_COMPONENT = 8
    LIFETIME_OWN = 9
    SIZE = 10
    SIZE_COPY = 11
    SIZE_OWN = 12
    SNP = 13
    STOCK_COMPONENT = 15
    STOCK_LIFETIME = 16
    STOCK_RESIDUAL = 17
    STOCK_SIZE = 18
    STOCK_SNP = 19
    GANG = 20
    REFILL = 21
    END = 22
    BIN_LIFETIME = 23
    THINNING = 24
    CHOSEN_VM = 25
    LIFETIME_FACTOR = 26
    NIGHT_SIZE = 27
    NIGHT_LIFETIME = 28
    OWN_SNP = 29
    STOCK_THINNING = 30

    TOUCHED = 64
    CONVERT_FACTOR = 65
    RCU = 66
    VMSA = 67
    PIN = 68
    CONVERSION = 69
    LEAK = 70
    THP = 71
    PLACEMENT = 72
    PIN_DELAY = 74
    CONVERSION_EXTENT = 75
    DISPLACED = 76
    DISPLACED_PLACE = 77
    SHARED_PIN = 78
    SHARED_PIN_DELAY = 79


def seconds_to_ns(seconds: ArrayLike) -> Int64Array:
    """
    Round drawn times to whole microseconds and give them in nanoseconds.

    Parameters
    ----------
    seconds : array_like of float
        Not negative; what passes `NEVER_NS` is cut there.

    Returns
    -------
    array of int64
        Multiples of 1000.
    """
    microseconds = np.minimum(np.asarray(seconds, dtype=np.float64) * 1e6, NEVER_NS / 1000)
    result: Int64Array = np.rint(microseconds).astype(np.int64) * 1000
    return result


class Stream:
    """
    One sequence of random numbers.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    purpose : Purpose
        What the numbers are for.
    index : int, default 0
        A sequence of its own for each value, such as a VM's number; 0 to 2**64 - 1.

    Notes
    -----
    Philox with key (seed, purpose) and counter (0, 0, 0, index): sequences never overlap.
    """

    __slots__ = ("_bits",)

    def __init__(self, seed: int, purpose: Purpose, index: int = 0) -> None:
        key = np.array([seed, purpose], dtype=np.uint64)
        counter = np.array([0, 0, 0, index], dtype=np.uint64)
        self._bits = np.random.Philox(key=key, counter=counter)

    def raw(self, n: int) -> NDArray[np.uint64]:
        """
        Draw the next `n` numbers, uniform over 64 bits.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        (n,) array of uint64
            The next of the stream.
        """
        return self._bits.random_raw(n)

    def uniform(self, n: int) -> FloatArray:
        """
        Draw `n` numbers uniform in [0, 1), multiples of 2**-53.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        (n,) array of float64
            One raw number each.
        """
        return (self.raw(n) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def uniform_open(self, n: int) -> FloatArray:
        """
        Draw `n` numbers uniform in (0, 1): neither end, so that a logarithm or a quantile exists.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        (n,) array of float64
            One raw number each.
        """
        return ((self.raw(n) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52

    def integers(self, n: int, low: int, high: int) -> Int64Array:
        """
        Draw `n` integers uniform in low ≤ i < high; the range below 2**53.

        Parameters
        ----------
        n : int
            How many.
        low, high : int
            The range, the upper end excluded.

        Returns
        -------
        (n,) array of int64
            One raw number each.
        """
        result: Int64Array = low + np.floor(self.uniform(n) * (high - low)).astype(np.int64)
        return result

    def below(self, n: int, probability: float | FloatArray) -> NDArray[np.bool_]:
        """
        Draw `n` booleans, true with the given probability.

        Parameters
        ----------
        n : int
            How many.
        probability : float or (n,) array of float
            0 to 1.

        Returns
        -------
        (n,) array of bool
            One raw number each.
        """
        result: NDArray[np.bool_] = self.uniform(n) < probability
        return result

    def normal(self, n: int) -> FloatArray:
        """
        Draw `n` standard normal variates.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        (n,) array of float64
            One raw number each.
        """
        return normal_quantile(self.uniform_open(n))

    def exponential(self, n: int) -> FloatArray:
        """
        Draw `n` exponential variates of mean 1.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        (n,) array of float64
            One raw number each.
        """
        return -exact_log(self.uniform_open(n))

    def lognormal(self, n: int, median: float | FloatArray, sigma: float | FloatArray) -> FloatArray:
        """
        Draw `n` lognormal variates.

        Parameters
        ----------
        n : int
            How many.
        median, sigma : float or (n,) array of float
            Median, in the unit of the result, and standard deviation of the logarithm.

        Returns
        -------
        (n,) array of float64
            One raw number each.
        """
        result: FloatArray = median * exact_exp(sigma * self.normal(n))
        return result

    def weibull(self, n: int, scale: float, shape: float) -> FloatArray:
        """
        Draw `n` Weibull variates: scale × exponential to the 1/shape.

        Parameters
        ----------
        n : int
            How many.
        scale : float
            In the unit of the result.
        shape : float
            Positive.

        Returns
        -------
        (n,) array of float64
            One raw number each.
        """
        return scale * exact_power(self.exponential(n), 1.0 / shape)

    def choice(self, n: int, weights: ArrayLike) -> Int64Array:
        """
        Draw `n` indices, each with a chance proportional to its weight.

        Parameters
        ----------
        n : int
            How many.
        weights : (k,) array_like of float
            Not negative, not all 0.

        Returns
        -------
        (n,) array of int64
            From 0 to k - 1; one raw number each.
        """
        cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))
        index = np.searchsorted(cumulative, self.uniform(n) * cumulative[-1], side="right")
        # The product may round up to the total.
        result: Int64Array = np.minimum(index, len(cumulative) - 1).astype(np.int64)
        return result
