"""The RMP of a trace at one time: which pages are assigned, one bit each."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmemgpu.model.event import Kind
from gmemgpu.model.trace import Trace
from gmemgpu.timeline.piece import cut_at_regions
from gmemgpu.units import PAGES_PER_REGION

__all__ = ["Words", "WORDS_PER_REGION", "REGION_IMAGE_BYTES", "rmp_image"]

Words: TypeAlias = NDArray[np.uint64]

WORDS_PER_REGION = PAGES_PER_REGION // 64
REGION_IMAGE_BYTES = PAGES_PER_REGION // 8

_OWNERSHIP = (Kind.ASSIGN, Kind.RELEASE, Kind.SHARE)


def rmp_image(trace: Trace, t_ns: int) -> Words:
    """
    Build the image of the assigned pages of every region at a time, after its events.

    Parameters
    ----------
    trace : Trace
        A valid one; events at or past the horizon do not exist.
    t_ns : int
        Time of the image.

    Returns
    -------
    (n_regions, 4096) uint64
        Bit b of word w is page 64 w + b of the region. Pages beyond the end of memory are 0.
    """
    trace = trace.before_horizon()
    n_events = int(np.searchsorted(trace.t_ns, t_ns, "right"))
    pieces = cut_at_regions(trace, np.flatnonzero(np.isin(trace.kind[:n_events], _OWNERSHIP)))
    pieces = pieces.take(np.argsort(pieces.region, kind="stable"))
    assigns = trace.kind[pieces.event] == Kind.ASSIGN
    regions, begin, n_pieces = np.unique(pieces.region, return_index=True, return_counts=True)
    image = np.zeros((trace.host.n_regions, WORDS_PER_REGION), np.uint64)
    owned = np.empty(PAGES_PER_REGION, bool)
    for region, first, n in zip(regions, begin, n_pieces, strict=True):
        owned[:] = False
        mine = slice(first, first + n)
        for lo, hi, assign in zip(
            pieces.lo[mine].tolist(), pieces.hi[mine].tolist(), assigns[mine].tolist(), strict=True
        ):
            owned[lo:hi] = assign
        # Bytes in order of PFN are words where the lowest byte comes first, as it does wherever CUDA runs.
        image[region] = np.packbits(owned, bitorder="little").view("<u8")
    return image
