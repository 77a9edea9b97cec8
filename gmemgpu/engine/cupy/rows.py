"""Rows of timelines, made on the device from the states after pieces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmemgpu.engine.array.xp.namespace import Array
from gmemgpu.engine.array.xp.on_cupy import CupyNamespace
from gmemgpu.engine.cupy.defines import THREADS
from gmemgpu.engine.cupy.kernel import launch_here
from gmemgpu.engine.cupy.pieces import Events, Pieces
from gmemgpu.model.trace import Trace
from gmemgpu.timeline.build import UNTOUCHED, Timeline
from gmemgpu.timeline.integral import LIMB_BITS, UsedIntegral
from gmemgpu.timeline.piece import Owners

__all__ = ["joined", "region_rows", "timeline_of", "used_of"]

_STATES = ("assigned", "gmem", "evicting", "used", "first")
_TYPES = (np.int32, np.int32, np.int32, np.int32, np.int16)
_OFFSETS = ("class_at", "used_at")

Columns = Mapping[str, NDArray[Any]]


def region_rows(events: Events, pieces: Pieces, states: Mapping[str, Array], xp: CupyNamespace) -> dict[str, Array]:
    """
    Build the rows of some regions.

    Parameters
    ----------
    events : Events
    pieces : Pieces
    states : mapping of str to (n,) device array
        After each piece: assigned, gmem, evicting, used, first.
    xp : CupyNamespace

    Returns
    -------
    dict of str to device array
        Of two tables, whose rows of region r are ``at[r]:at[r + 1]``. In one are all rows that begin another class:
        `class_at`, `class_t` and ``class_`` with each state. In the other are those that change U: `used_at`, `used_t`,
        `used_pages`, and the parts `used_high` and `used_low` of the integral up to each.
    """
    n, n_regions = len(pieces), pieces.end - pieces.begin
    flags = xp.empty(n, bool), xp.empty(n, bool)
    arguments = (
        *(pieces.keys, np.int64(n), np.int64(pieces.begin), pieces.at, events.columns["t_ns"]),
        *(states[name] for name in _STATES),
    )
    nothing = {np.dtype(t): xp.empty(0, t) for t in (np.int64, np.int32, np.int16)}
    none = nothing[np.dtype(np.int64)]
    unwritten = [none, *(nothing[np.dtype(t)] for t in _TYPES), none, nothing[np.dtype(np.int32)]]

    def rows(writes: int, before: tuple[Array, Array], out: list[Array]) -> None:
        given = (*arguments, np.int32(writes), *before, *flags, *out)
        launch_here("timeline_rows", -(-n // THREADS["ROWS"]), THREADS["ROWS"], given)

    rows(0, (none, none), unwritten)
    before = tuple(xp.sums(flag) if n else xp.zeros(1, np.int64) for flag in flags)
    n_class, n_used = (count + n_regions for count in xp.concatenate([part[-1:] for part in before]).tolist())
    class_t, used_t = xp.zeros(n_class, np.int64), xp.zeros(n_used, np.int64)
    columns = [xp.full(n_class, value, dtype) for value, dtype in zip(UNTOUCHED, _TYPES, strict=True)]
    used_pages = xp.zeros(n_used, np.int32)
    rows(1, (before[0], before[1]), [class_t, *columns, used_t, used_pages])
    region = xp.arange(n_regions + 1)
    class_at, used_at = (part[pieces.at] + region for part in before)
    found = {"class_at": class_at, "class_t": class_t}
    found |= {f"class_{name}": column for name, column in zip(_STATES, columns, strict=True)}
    return found | _integral(used_at, used_t, used_pages.astype(np.int64), xp)


def _integral(at: Array, t_ns: Array, pages: Array, xp: CupyNamespace) -> dict[str, Array]:
    # As `used_integral`: what passes 63 bits in these sums cancels in the differences within a region.
    step = xp.zeros(len(t_ns), np.int64)
    step[1:] = t_ns[1:] - t_ns[:-1]
    step[at[:-1]] = 0
    before = xp.zeros(len(t_ns), np.int64)
    before[1:] = pages[:-1]
    high, low = xp.cumsum(before * (step >> LIMB_BITS)), xp.cumsum(before * (step & ((1 << LIMB_BITS) - 1)))
    return {"used_at": at, "used_t": t_ns, "used_pages": pages, "used_high": high, "used_low": low}


def joined(slices: list[Columns]) -> Columns:
    """Return the tables of slices of regions as one."""
    if len(slices) == 1:
        return slices[0]
    whole: dict[str, NDArray[Any]] = {}
    for name in slices[0]:
        parts = [part[name] for part in slices]
        if name in _OFFSETS:
            ends = np.cumsum([0, *(part[-1] for part in parts)])
            parts = [part[:-1] + end for part, end in zip(parts, ends, strict=False)] + [ends[-1:]]
        whole[name] = np.concatenate(parts)
    return whole


def timeline_of(trace: Trace, columns: Columns, begin: int, end: int) -> Timeline:
    """
    Build a trace's timeline from the rows of its regions.

    Parameters
    ----------
    trace : Trace
        Cut at its horizon.
    columns : mapping of str to array
        Of `region_rows`, on the host.
    begin, end : int
        The trace's regions.

    Returns
    -------
    Timeline
        Without the rows that begin no other class.
    """
    at = columns["class_at"][begin : end + 1]
    rows = slice(int(at[0]), int(at[-1]))
    assigned, gmem, evicting, used, first = (columns[f"class_{name}"][rows] for name in _STATES)
    t_ns = columns["class_t"][rows]
    return Timeline(trace, at - at[0], t_ns, assigned, gmem, evicting, used, first, Owners(trace))


def used_of(columns: Columns, begin: int, end: int) -> UsedIntegral | None:
    """Return the integral of U of a trace with these regions; None if no page is ever in use."""
    at = columns["used_at"][begin : end + 1]
    rows = slice(int(at[0]), int(at[-1]))
    t_ns, pages, high, low = (columns[f"used_{name}"][rows] for name in ("t", "pages", "high", "low"))
    return UsedIntegral(at - at[0], t_ns, pages, high, low) if pages.any() else None
