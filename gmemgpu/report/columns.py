"""The quantities of a decision table for all rows at once, as columns; the same numbers as row by row."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmemgpu.units import NS_PER_S

__all__ = ["positions", "Floats", "Codes", "quantity_columns", "codes_of"]

Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]

_WIDE = pa.decimal256(75, 0)
"""Differences and products of metrics are taken in it, exactly; floats come after."""


def codes_of(column: pa.ChunkedArray) -> tuple[Codes, list[object]]:
    """
    Number the values of a column in the order in which they first come.

    Parameters
    ----------
    column : pyarrow.ChunkedArray

    Returns
    -------
    codes : (n,) int64
    values : list
        By code.
    """
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    codes: Codes = _numpy(encoded.indices).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


def positions(rows: Codes) -> pa.Array:
    """
    Give row numbers to `pyarrow.Table.take`; without a copy.

    Notes
    -----
    Both ways between NumPy and Arrow go by their buffers here: Arrow's own conversions import pandas wherever it is
    installed, which takes a third of a second.
    """
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows, np.int64))])


def quantity_columns(table: pa.Table, oracle: Codes) -> dict[str, Floats]:
    """
    Work out every quantity of every row.

    Parameters
    ----------
    table : pyarrow.Table
        With ``cores``, ``horizon_ns``, ``warmup_ns`` and `METRICS_READ`.
    oracle : (n_rows,) int64
        Row of the oracle on the same trace, -1 for none.

    Returns
    -------
    dict of str to (n_rows,) float64
        By `Quantity.key`; not a number where a quantity has no meaning.

    Notes
    -----
    Differences of integers are exact before they become floats, as in `gmemgpu.metrics.derived.derived`; a quotient may
    differ from what that gives in its last bit, where numbers pass 2**53.
    """
    has_oracle = oracle >= 0
    bound = positions(np.where(has_oracle, oracle, 0))

    def of_oracle(name: str) -> pa.ChunkedArray:
        return table[name].take(bound)

    optimized = _wide(table["optimized_core_ns"])
    best = _wide(of_oracle("optimized_core_ns"))
    regret = _ratio(_floats(pc.subtract(best, optimized)), _floats(best))
    benefit = _ratio(
        _floats(table["in_use_optimized_core_ns"]),
        _floats(of_oracle("in_use_optimized_core_ns")),
    )
    return {
        "coverage": _ratio(_floats(optimized), _floats(table["cores"]) * _floats(table["optimizable_ns"])),
        "benefit": np.where(has_oracle, benefit, np.nan),
        "latency_p50_ns": _existing(table["latency_p50_ns"]),
        "latency_p99_ns": _existing(table["latency_p99_ns"]),
        "never": _existing(table["never"]),
        "core_seconds": (_floats(table["leader_busy_ns"]) + _floats(table["follower_busy_ns"])) / NS_PER_S,
        "ipis_per_new": _ratio(_floats(table["ipis"]), _floats(table["attempts_new"])),
        "pass_wall_max_ns": _existing(table["pass_wall_max_ns"]),
        "regret": np.where(has_oracle, regret, np.nan),
    }


def _wide(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(_WIDE)


def _floats(column: pa.ChunkedArray) -> Floats:
    # Unsafe: it lets 2**53 + 1 be rounded, as a float would be anyway.
    found: Floats = _numpy(column.cast(pa.float64(), safe=False).combine_chunks())
    return found


def _numpy(array: pa.Array) -> NDArray[Any]:
    # Of numbers without nulls.
    return np.from_dlpack(array)


def _existing(column: pa.ChunkedArray) -> Floats:
    # Metrics write -1 for a latency that does not exist.
    values = _floats(column)
    return np.where(values < 0, np.nan, values)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    quotient: Floats = np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator != 0)
    return quotient
