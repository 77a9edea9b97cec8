"""Rows of timelines, made on the device from the states after pieces."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gmemgpu.engine.array.xp.namespace import Array
from gmemgpu.engine.array.xp.on_cupy import CupyNamespace
from gmemgpu.engine.cupy.defines import THREADS
from gmemgpu.engine.cupy.kernel import launch_here
from gmemgpu.engine.cupy.pieces import Events, Pieces
from gmemgpu.timeline.build import UNTOUCHED
from gmemgpu.timeline.integral import LIMB_BITS

__all__ = ["STATES", "region_rows"]

STATES = ("assigned", "gmem", "evicting", "used", "first")
"""After each piece: A, G, E, U and the first block."""
_TYPES = (np.int32, np.int32, np.int32, np.int32, np.int16)


def region_rows(events: Events, pieces: Pieces, states: Mapping[str, Array], xp: CupyNamespace) -> dict[str, Array]:
    """
    Build the rows of some regions.

    Parameters
    ----------
    events : Events
    pieces : Pieces
    states : mapping of str to (n,) device array
        By the names of `STATES`.
    xp : CupyNamespace

    Returns
    -------
    dict of str to device array
        Of two tables, whose rows of region r are ``at[r]:at[r + 1]``. In one are all rows that begin another class:
        `class_at`, `class_t_ns`, `class_first`, `class_gmem` and `class_evicting`. In the other are those that change
        U: `used_offset`, `used_t_ns`, `used_used`, and the parts `used_high` and `used_low` of the integral up to each.
    """
    n, n_regions = len(pieces), pieces.end - pieces.begin
    flags = xp.empty(n, bool), xp.empty(n, bool)
    arguments = (
        *(pieces.keys, np.int64(n), np.int64(pieces.begin), pieces.at, events.columns["t_ns"]),
        *(states[name] for name in STATES),
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
    found = {"class_at": class_at, "class_t_ns": class_t}
    found |= {f"class_{name}": columns[STATES.index(name)] for name in ("first", "gmem", "evicting")}
    return found | _integral(used_at, used_t, used_pages.astype(np.int64), xp)


def _integral(at: Array, t_ns: Array, pages: Array, xp: CupyNamespace) -> dict[str, Array]:
    # As `used_integral`: what passes 63 bits in these sums cancels in the differences within a region.
    step = xp.zeros(len(t_ns), np.int64)
    step[1:] = t_ns[1:] - t_ns[:-1]
    step[at[:-1]] = 0
    before = xp.zeros(len(t_ns), np.int64)
    before[1:] = pages[:-1]
    high, low = xp.cumsum(before * (step >> LIMB_BITS)), xp.cumsum(before * (step & ((1 << LIMB_BITS) - 1)))
    return {"used_offset": at, "used_t_ns": t_ns, "used_used": pages, "used_high": high, "used_low": low}
