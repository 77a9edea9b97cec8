"""Numbers for what a column holds, and for the groups that several columns make together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Codes", "codes_of", "numbered", "combined", "groups_of", "group_sums", "stops_of", "rows_beside"]

Codes: TypeAlias = NDArray[np.int32]
"""32 bits are enough to number rows, and half the memory."""


def codes_of(column: pa.ChunkedArray) -> tuple[Codes, list[Any]]:
    """
    Assign numbers to the values of a column, in the order in which they first come.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Dictionary-encoded, for speed, or not.

    Returns
    -------
    codes : (n,) int32
        Number of each row's value.
    values : list
        By code; None for a null.
    """
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    known = [*column.chunk(0).dictionary.to_pylist(), None]
    codes = np.concatenate([_indices(chunk.indices, null=len(known) - 1) for chunk in column.chunks])
    codes, first = _in_order(codes, len(known))
    return codes, [known[code] for code in first]


def _indices(array: pa.Array, null: int) -> Codes:
    # By buffers: Arrow's own conversions load pandas where it is installed, which takes a third of a second.
    valid, data = array.buffers()
    within = slice(array.offset, array.offset + len(array))
    codes: Codes = np.frombuffer(data, array.type.to_pandas_dtype())[within].astype(np.int32)
    if array.null_count:
        codes[np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[within] == 0] = null
    return codes


def _in_order(codes: Codes, n_codes: int) -> tuple[Codes, list[int]]:
    # New numbers by first appearance, without those that never appear, and the old number of each.
    first = np.full(n_codes, len(codes), np.int32)
    # Of several assignments to one place the last one stays: the one that comes first in the column.
    first[codes[::-1]] = np.arange(len(codes), dtype=np.int32)[::-1]
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < len(codes))]
    place = np.zeros(n_codes, np.int32)
    place[order] = np.arange(len(order))
    return place[codes], order.tolist()


def numbered(values: NDArray[np.int64]) -> tuple[Codes, NDArray[np.int64]]:
    """
    Assign numbers to integers by size.

    Parameters
    ----------
    values : (n,) int64
        At least one.

    Returns
    -------
    codes : (n,) int32
        Below the number of distinct values.
    distinct : (n_distinct,) int64
        Ascending.
    """
    lowest = int(values.min())
    span = int(values.max()) - lowest + 1
    if span > 4 * len(values):
        distinct, places = np.unique(values, return_inverse=True)
        return places.astype(np.int32), distinct
    # Codes of columns, combined, lie close together: marking them takes a tenth of the time that sorting does.
    codes: Codes = (values - lowest).astype(np.int32)
    there = np.zeros(span, bool)
    there[codes] = True
    distinct = np.flatnonzero(there).astype(np.int64, copy=False)
    if len(distinct) < span:
        codes = (np.cumsum(there, dtype=np.int32) - np.int32(1))[codes]
    return codes, distinct + lowest


def combined(major: Codes, minor: Codes, n_minor: int) -> tuple[Codes, NDArray[np.int64]]:
    """
    Assign numbers to the pairs that two columns of numbers make.

    Parameters
    ----------
    major, minor : (n,) int32
        Not negative.
    n_minor : int
        More than any of `minor`.

    Returns
    -------
    codes : (n,) int32
        Below the number of distinct pairs.
    pairs : (n_pairs,) int64
        ``major * n_minor + minor``, ascending.
    """
    return numbered(major * np.int64(n_minor) + minor)


def groups_of(columns: Sequence[tuple[Codes, list[Any]]]) -> tuple[Codes, list[tuple[Any, ...]]]:
    """
    Assign numbers to the groups of rows that agree in some columns, in the order in which they first come.

    Parameters
    ----------
    columns : sequence of (codes, values)
        At least one, as `codes_of` returns them.

    Returns
    -------
    group : (n,) int32
        Number of each row's group.
    keys : list of tuple
        What each group has in the columns, by number.
    """
    group, known = columns[0]
    if len(columns) == 1:
        return group, [(value,) for value in known]
    n_groups = len(known)
    for codes, values in columns[1:]:
        group, pairs = combined(group, codes, len(values))
        n_groups = len(pairs)
    group, _ = _in_order(group, n_groups)
    row = np.empty(n_groups, np.int32)
    row[group] = np.arange(len(group), dtype=np.int32)
    return group, [tuple(values[codes[at]] for codes, values in columns) for at in row.tolist()]


def group_sums(values: NDArray[Any], group: NDArray[Any], n_groups: int) -> NDArray[np.float64]:
    """
    Compute the sum of each group.

    Parameters
    ----------
    values : (n,) float64 or bool
        What is added up.
    group : (n,) int32 or int64
        Below `n_groups`.
    n_groups : int
        How many there are.

    Returns
    -------
    (n_groups,) float64
        0 for a group without values.
    """
    sums: NDArray[np.float64] = np.bincount(group, values, n_groups).astype(np.float64, copy=False)
    return sums


def stops_of(group: Codes, at_least: int) -> list[int]:
    """
    Find where rows can be cut so that no group lies on both sides: in a store most groups are runs of rows.

    Parameters
    ----------
    group : (n,) int32
        Of each row; not negative.
    at_least : int
        Rows of a piece, but for the last.

    Returns
    -------
    list of int
        Row after the last one of each piece, ascending; the last is n.
    """
    rows = np.arange(len(group))
    last = np.zeros(int(group.max()) + 1, np.int64)
    np.maximum.at(last, group, rows)
    possible = np.flatnonzero(np.maximum.accumulate(last[group]) == rows) + 1
    found = [0]
    while found[-1] < len(group):
        at = np.searchsorted(possible, min(found[-1] + at_least, len(group)))
        found.append(int(possible[at]))
    return found[1:]


def rows_beside(trace: Codes, policy: Codes, code: int | None) -> Codes:
    """
    Return for each row the one that a policy has on the same trace.

    Parameters
    ----------
    trace, policy : (n,) int32
        Of each row.
    code : int or None
        The policy; None for one that has no rows.

    Returns
    -------
    (n,) int32
        Its row, -1 where there is none.
    """
    row_of = np.full(int(trace.max()) + 1, -1, np.int32)
    if code is not None:
        rows = np.flatnonzero(policy == code)
        row_of[trace[rows]] = rows
    return row_of[trace]
