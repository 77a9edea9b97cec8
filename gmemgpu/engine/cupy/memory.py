"""How much device memory there is, and how much pairs take at most."""

from __future__ import annotations

__all__ = ["ITEM_BYTES", "LEAST_BYTES", "budget_bytes"]

_SHARE = 0.9
"""Of the free memory: the rest is for the driver, for launches, and for what lies between blocks of the pool."""

ITEM_BYTES = 300
"""Of a pair's arrays at their most, for each item as `Pairs.items` counts them: up to 275 were counted on the emulator,
with scope ``window``. A portion that takes more after all is halved."""
LEAST_BYTES = 1 << 17
"""Of arrays however short: each takes 512 bytes at least, and some hundreds live at a time."""


def budget_bytes() -> int:
    """
    Return the device memory that a batch may take: what the driver has left, and what CuPy's pool holds unused.

    Less if processes share the device: `CUPY_GPU_MEMORY_LIMIT` says how much of it is this one's.
    """
    import cupy

    room, _ = cupy.cuda.Device().mem_info
    pool = cupy.get_default_memory_pool()
    room += pool.total_bytes() - pool.used_bytes()
    limit = pool.get_limit()
    if limit:
        room = min(room, limit - pool.used_bytes())
    return int(_SHARE * room)
