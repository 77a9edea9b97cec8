"""
Where a segmented RMP begins: 16 KiB of bookkeeping, then the table of its segments.

Linux, Documentation/arch/x86/amd-memory-encryption.rst; APM volume 2, 15.36.3: 512 entries of 8 bytes, mapped size in
GiB in bits 0-19, address in bits 20-51.
"""

from __future__ import annotations

import numpy as np

from gmemgpu.units import INT64_MAX

__all__ = ["SEGMENT_TABLE_BYTES", "mapped_segments"]

_BOOKKEEPING_BYTES = 16 << 10
SEGMENT_TABLE_BYTES = _BOOKKEEPING_BYTES + (4 << 10)
_MIB_SHIFT = 20
_SIZE_MASK = (1 << _MIB_SHIFT) - 1
_ADDRESS_BITS = 52


def mapped_segments(data: bytes) -> dict[int, int] | None:
    """
    Return the segments of an RMP.

    Parameters
    ----------
    data : bytes
        From RMP_BASE on.

    Returns
    -------
    dict of int to int
        Number of the segment to the GiB of memory that are mapped in it, ascending; None if the data are no such table.
    """
    if len(data) != SEGMENT_TABLE_BYTES:
        return None
    words = np.frombuffer(data, "<u8", offset=_BOOKKEEPING_BYTES)
    used = np.flatnonzero(words)
    values = words[used]
    if not len(used) or int(values.max()) > INT64_MAX or int(values.max()) >> _ADDRESS_BITS:
        return None
    sizes, addresses = values & np.uint64(_SIZE_MASK), values >> np.uint64(_MIB_SHIFT)
    if not sizes.all() or not addresses.all() or len(np.unique(addresses)) < len(addresses):
        return None
    return dict(zip(used.tolist(), sizes.tolist(), strict=True))
