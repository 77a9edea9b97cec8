"""Passes of RMPOPT that were seen, held against those that were due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmemgpu.units import NS_PER_S

__all__ = ["V10_DELAY_NS", "PassesSeen", "passes_seen"]

V10_DELAY_NS = 10 * NS_PER_S
"""Of postings v8 to v10, counted from the last call that arms: `mod_delayed_work`."""


@dataclass(frozen=True, slots=True)
class PassesSeen:
    """
    What the kernel's passes show of its delay.

    Parameters
    ----------
    begun_ns : tuple of int
        When each began, ascending.
    lasted_ns : tuple of int
        How long each lasted; -1 where the file does not tell its end.
    n_due : int
        Passes that were due before the end of the file by the delay of v10.
    delays_ns : tuple of int
        From the last call that arms to each pass that began after one, ascending.
    """

    begun_ns: tuple[int, ...] = ()
    lasted_ns: tuple[int, ...] = ()
    n_due: int = 0
    delays_ns: tuple[int, ...] = ()


def passes_seen(armed_ns: Sequence[int], begun_ns: Sequence[int], lasted_ns: Sequence[int], end_ns: int) -> PassesSeen:
    """
    Compute how passes followed the calls that arm them.

    Parameters
    ----------
    armed_ns : sequence of int
        Times of calls that arm RMPOPT, ascending.
    begun_ns : sequence of int
        Times at which passes began, ascending.
    lasted_ns : sequence of int
        How long each lasted, -1 if that is not known.
    end_ns : int
        Of the file.

    Returns
    -------
    PassesSeen
        A pass at the same time as a call, or with none since the pass before, has no delay.
    """
    armed, begun = np.array(armed_ns, np.int64), np.array(begun_ns, np.int64)
    due = armed[np.append(armed[1:] - armed[:-1] > V10_DELAY_NS, True)] + V10_DELAY_NS if len(armed) else armed
    last = np.searchsorted(armed, begun) - 1
    first_since = last != np.append(-1, last[:-1])[: len(last)]
    follows = (last >= 0) & first_since
    delays = np.sort(begun[follows] - armed[last[follows]])
    return PassesSeen(tuple(begun_ns), tuple(lasted_ns), int((due <= end_ns).sum()), tuple(delays.tolist()))
