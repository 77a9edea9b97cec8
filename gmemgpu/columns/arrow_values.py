"""Values of Arrow columns as NumPy arrays, without Arrow's own conversions: those load pandas where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmemgpu.model.trace import BoolArray

__all__ = ["is_text", "is_binary", "joined", "mask_of", "finite_decimals"]


def is_text(kind: pa.DataType) -> bool:
    """
    Check whether a type is text of any length.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type.

    Returns
    -------
    bool
        True for both widths of offsets.
    """
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_binary(kind: pa.DataType) -> bool:
    """
    Check whether a type is bytes of any length.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type.

    Returns
    -------
    bool
        True for both widths of offsets.
    """
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def joined(chunks: list[pa.Array], dtype: type[np.generic]) -> NDArray[Any]:
    """
    Return the values of chunks in one array.

    Parameters
    ----------
    chunks : list of pyarrow.Array
        Of numbers, without nulls.
    dtype : type
        Of the result where there is no row; else it is that of the chunks.

    Returns
    -------
    (n,) array
        One a row.
    """
    parts = [np.from_dlpack(chunk) for chunk in chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def mask_of(column: pa.ChunkedArray) -> BoolArray:
    """
    Return a column of truth values: a bit a row becomes a byte a row.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Of bool, without nulls.

    Returns
    -------
    (n,) bool
        One a row.
    """
    mask: BoolArray = joined([chunk.cast(pa.uint8()) for chunk in column.chunks], np.uint8) == 1
    return mask


def finite_decimals(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """
    Read a column of text as decimal numbers, all at once.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Of text.

    Returns
    -------
    (n,) float64 or None
        None if some cell is no number to Arrow, or is its nan or inf.
    """
    try:
        values: NDArray[np.float64] = joined(column.cast(pa.float64()).chunks, np.float64)
    except pa.ArrowInvalid:
        return None
    return values if np.isfinite(values).all() else None
