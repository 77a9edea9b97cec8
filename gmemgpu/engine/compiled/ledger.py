"""What compiled passes write: bits that they set, attempts by class code, and counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gmemgpu.model.trace import Int64Array

__all__ = [
    "NEW",
    "CACHED_FOUND",
    "FAILED",
    "WASTED",
    "EARLY",
    "PASSES",
    "EMPTY",
    "SKIPPED",
    "HAZARD",
    "WALL_NS",
    "LONGEST_NS",
    "LOST",
    "N_BITS",
    "Ledger",
    "new_ledger",
]

# Places in `Ledger.counts`. All but the last count only what begins after the warm-up.
NEW = 0
CACHED_FOUND = 1
FAILED = 2
WASTED = 3
EARLY = 4
PASSES = 5
EMPTY = 6
SKIPPED = 7
HAZARD = 8
WALL_NS = 9
LONGEST_NS = 10
LOST = 11
N_BITS = 12


class Ledger(NamedTuple):
    """
    The outcome of one policy's passes so far.

    Parameters
    ----------
    counts : (13,) int64
        Attempts by outcome, passes, requests lost and bits set, at the places named above.
    codes : (n_groups * N_CODES,) int64
        Attempts by class code, as `CodeCosts` numbers them.
    bits : (4, n) int64
        The first ``counts[N_BITS]`` columns: region, begin and end of the free episode, time of the bit.
    bit_end_ns : (n_regions,) int64
        Until when the region's bit is set, the end of the free episode; 0 if it never was.
    """

    counts: Int64Array
    codes: Int64Array
    bits: Int64Array
    bit_end_ns: Int64Array


def new_ledger(n_regions: int, n_codes: int, n_episodes: int) -> Ledger:
    """Return a ledger with nothing in it; each free episode sees its bit set once at most."""
    return Ledger(
        counts=np.zeros(N_BITS + 1, np.int64),
        codes=np.zeros(n_codes, np.int64),
        bits=np.empty((4, n_episodes), np.int64),
        bit_end_ns=np.zeros(n_regions, np.int64),
    )
