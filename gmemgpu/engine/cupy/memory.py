"""How much device memory there is, and how much traces and pairs take at most."""

from __future__ import annotations

from collections.abc import Sequence

from gmemgpu.engine.prepared import Prepared
from gmemgpu.model.policy import Policy

__all__ = ["ITEM_BYTES", "LEAST_BYTES", "budget_bytes", "table_bytes"]

_SHARE = 0.9
"""Of the free memory: the rest is for the driver, for launches, and for what lies between blocks of the pool."""

ITEM_BYTES = 400
"""Of a pair's arrays at their most, for each item as `pair_items` counts them: 270 were counted on the emulator, and
sorts, scans and masks of CuPy's take more beside them."""
LEAST_BYTES = 1 << 17
"""Of arrays however short: each takes 512 bytes at least, and some hundreds live at a time."""
_ROW_BYTES = 96
_INSTANT_BYTES = 9
_REQUEST_BYTES = 80
_CLEARING_BYTES = 40
_USED_BYTES = 32


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


def table_bytes(prepared: Prepared, policies: Sequence[Policy]) -> int:
    """Return what a trace takes while its pairs are evaluated: class rows, requests, clearings."""
    cuts = 2 * len(prepared.snp.epochs)
    rows = len(prepared.noticed) + cuts * len(prepared.covered)
    # Each of the columns begins anew in the pool.
    n = rows * (_ROW_BYTES + _INSTANT_BYTES) + (1 << 14)
    for hook, timer in {(policy.hook, policy.timer) for policy in policies}:
        ticks = prepared.horizon_ns // timer.delay_ns if timer.kind == "periodic" else 0
        n += (ticks or len(prepared.requests(hook).t_ns)) * _REQUEST_BYTES + (1 << 13)
    if any(policy.scope in ("dirty", "dirty_retry") for policy in policies):
        n += len(prepared.clearings[0]) * _CLEARING_BYTES + (1 << 11)
    if prepared.used is not None:
        n += len(prepared.used.t_ns) * _USED_BYTES + (1 << 12)
    return n
