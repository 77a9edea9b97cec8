"""What it would free to gather the few pages that hold regions: in a pool of their own, say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gmemgpu.model.trace import Int32Array
from gmemgpu.units import PAGES_PER_BLOCK, PAGES_PER_REGION

__all__ = ["LIMITS", "PoolStep", "pool_steps"]

LIMITS = (1, 8, 64, PAGES_PER_BLOCK, PAGES_PER_REGION // 100, PAGES_PER_REGION // 10)


@dataclass(frozen=True, slots=True)
class PoolStep:
    """
    What is gained if every region with few assigned pages is emptied.

    Parameters
    ----------
    at_most_pages : int
        Assigned pages of such a region.
    regions : int
        How many there are: they become free.
    pages : int
        Pages that lie elsewhere then: what a pool must hold.
    """

    at_most_pages: int
    regions: int
    pages: int


def pool_steps(assigned: Int32Array, limits: tuple[int, ...] = LIMITS) -> list[PoolStep]:
    """
    Compute what a pool would free.

    Parameters
    ----------
    assigned : (n,) int32
        Assigned pages of each region.
    limits : tuple of int
        The most pages of a region that is emptied, ascending.

    Returns
    -------
    list of PoolStep
        One for each limit.
    """
    busy = np.sort(assigned[assigned > 0]).astype(np.int64)
    total = np.concatenate([[0], np.cumsum(busy)])
    n = np.searchsorted(busy, np.array(limits, np.int64), "right")
    return [PoolStep(limit, int(k), int(total[k])) for limit, k in zip(limits, n.tolist(), strict=True)]
