"""Columns of an Arrow table as arrays of floats, and differences that are exact until they are rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Columns", "Floats", "Rows", "chunks"]

Floats: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.int32] | NDArray[np.int64]

_BLOCK = 1 << 16
"""Rows worked on at once: temporary arrays stay in the cache, and small beside the columns."""


def chunks(column: pa.ChunkedArray) -> Iterator[NDArray[Any]]:
    """
    Yield the integers of a column, chunk after chunk, without a copy.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Of int64 or decimal128(38, 0), without nulls.

    Yields
    ------
    (n,) int64, or (n, 2) uint64
        Of a decimal the low and the high word of 64 bits, two's complement.

    Raises
    ------
    TypeError
        If the column is of another type, or has nulls.

    Notes
    -----
    Of Arrow's buffers: its own conversions load pandas where that is installed, which takes a third of a second.
    """
    wide = pa.types.is_decimal128(column.type)
    if column.null_count or not (wide or pa.types.is_int64(column.type)):
        raise TypeError(f"a column of metrics is int64 or decimal128 without nulls, not {column.type}")
    for chunk in column.chunks:
        if len(chunk):
            words = np.frombuffer(chunk.buffers()[1], np.uint64 if wide else np.int64)
            yield (words.reshape(-1, 2) if wide else words)[chunk.offset : chunk.offset + len(chunk)]


class Columns:
    """
    Rows of metrics as arrays, each beside the oracle's row of the same trace.

    Parameters
    ----------
    read : callable
        From a name to a `pyarrow.ChunkedArray` of int64 or decimal128(38, 0), without nulls, a value a row. It may read
        a file: one column is kept, or all if they are short, since several quantities need the same.
    oracle : (n_rows,) int64
        Row of the oracle on the same trace, -1 for none.

    Notes
    -----
    Integrals pass 2**63, so they are read as the two words that Arrow keeps of a 128-bit decimal. A value becomes the
    float nearest to it, or the one next to that: ``high * 2**64 + low`` rounds three times. A difference is taken in
    whole words first, since floats of two large and nearly equal integrals would cancel.
    """

    def __init__(self, read: Callable[[str], pa.ChunkedArray], oracle: Rows) -> None:
        self._read = read
        self._oracle = oracle
        self._last: dict[str, pa.ChunkedArray] = {}

    def _column(self, name: str) -> pa.ChunkedArray:
        if name not in self._last:
            if len(self._oracle) > _BLOCK:
                self._last.clear()
            self._last[name] = self._read(name)
        return self._last[name]

    def __getitem__(self, name: str) -> Floats:
        """
        Return a column.

        Returns
        -------
        (n_rows,) float64
        """
        column = self._column(name)
        floats = np.empty(len(column))
        at = 0
        for values in chunks(column):
            for block in _blocks(len(values)):
                floats[at : at + len(values[block])] = _floats(values[block])
                at += len(values[block])
        return floats

    def existing(self, name: str) -> Floats:
        """
        Return a column in which a negative number says that there is no value, such as a latency of no episodes.

        Parameters
        ----------
        name : str
            The column.

        Returns
        -------
        (n_rows,) float64
            Not a number for those.
        """
        values = self[name]
        values[values < 0] = np.nan
        return values

    def of_oracle(self, name: str) -> Floats:
        """
        Return what the oracle has in a column.

        Parameters
        ----------
        name : str
            The column.

        Returns
        -------
        (n_rows,) float64
            Not a number where there is no oracle.
        """
        values = self[name][self._oracle]
        values[self._oracle < 0] = np.nan
        return values

    def behind_oracle(self, name: str) -> Floats:
        """
        Return the oracle's value less a row's own, subtracted before anything is rounded.

        Parameters
        ----------
        name : str
            The column.

        Returns
        -------
        (n_rows,) float64
            Not a number where there is no oracle.
        """
        column = self._column(name)
        words = np.concatenate([_words(values) for values in chunks(column)])
        floats = np.empty(len(words))
        for block in _blocks(len(words)):
            own, best = words[block], words[self._oracle[block]]
            borrow = best[:, 0] < own[:, 0]
            floats[block] = _rounded(best[:, 0] - own[:, 0], (best[:, 1] - own[:, 1] - borrow).view(np.int64))
        floats[self._oracle < 0] = np.nan
        return floats


def _blocks(n_rows: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, n_rows, _BLOCK))


def _words(values: NDArray[Any]) -> NDArray[np.uint64]:
    if values.ndim == 2:
        return values
    return np.stack((values.view(np.uint64), (values >> 63).view(np.uint64)), axis=1)


def _floats(values: NDArray[Any]) -> Floats:
    return values.astype(np.float64) if values.ndim == 1 else _rounded(values[:, 0], values[:, 1].view(np.int64))


def _rounded(low: NDArray[np.uint64], high: NDArray[np.int64]) -> Floats:
    negative = high < 0
    if not negative.any():
        return _magnitude(low, high)
    # Of the magnitude: for -1 the words are 2**64 - 1 and -1, whose floats would add up to 0.
    opposite = ~low + np.uint64(1)
    found = _magnitude(np.where(negative, opposite, low), np.where(negative, ~high + (opposite == 0), high))
    return np.where(negative, -found, found)


def _magnitude(low: NDArray[np.uint64], high: NDArray[np.int64]) -> Floats:
    return high.astype(np.float64) * 2.0**64 + low.astype(np.float64)
