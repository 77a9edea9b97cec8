"""Exact sums of what may pass 63 bits on its way: in two halves, put together in Python's integers."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.engine.array.xp.namespace import Array, Namespace
from gmemgpu.model.trace import Int64Array
from gmemgpu.timeline.integral import LIMB_BITS

__all__ = ["HALF_BITS", "halves", "joined_halves", "joined_limbs", "segment_sums", "whole_sums"]

HALF_BITS = 31
"""Sums are kept in two: of the lower bits of all values, and of the others."""


def halves(values: Array) -> tuple[Array, Array]:
    """Return the higher and the lower part of each value."""
    return values >> HALF_BITS, values & ((1 << HALF_BITS) - 1)


def joined_halves(high: Int64Array, low: Int64Array) -> list[int]:
    """Return the sums whose halves these are, on the host."""
    return [(a << HALF_BITS) + b for a, b in zip(high.tolist(), low.tolist(), strict=True)]


def joined_limbs(parts: Sequence[Int64Array]) -> list[int]:
    """Return integrals (`gmemgpu.timeline.integral`) from the halves of both of their parts."""
    high, low = joined_halves(*parts[:2]), joined_halves(*parts[2:])
    return [(a << LIMB_BITS) + b for a, b in zip(high, low, strict=True)]


def segment_sums(xp: Namespace, at: Array, values: Array, largest: int) -> list[Array]:
    """
    Sum values by segment.

    Parameters
    ----------
    xp : Namespace
    at : (n_segments + 1,) int64
    values : (n,) int64
    largest : int
        No value is larger, or further below zero.

    Returns
    -------
    list of (n_segments,) int64
        The sums, if they fit 63 bits for sure; else the higher and the lower half of each.
    """
    found = []
    for part in (values,) if largest * len(values) < 1 << 63 else halves(values):
        sums = xp.sums(part)[at]
        found.append(sums[1:] - sums[:-1])
    return found


def whole_sums(parts: Sequence[Int64Array]) -> list[int]:
    """Return sums from what `segment_sums` gave, on the host."""
    found: list[int] = parts[0].tolist() if len(parts) == 1 else joined_halves(*parts)
    return found
