"""Numbers that Python and the CUDA kernels share: handed to the compiler as ``-D`` options, never typed twice."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from gmemgpu.engine.array.xp.on_cupy import THREADS as ARRAY_THREADS
from gmemgpu.engine.array.xp.on_cupy import TILE_ITEMS
from gmemgpu.engine.class_code import CACHED, CLEAN
from gmemgpu.model.event import Kind
from gmemgpu.timeline.integral import LIMB_BITS
from gmemgpu.timeline.snp import FOREVER
from gmemgpu.units import PAGES_PER_BLOCK, PAGES_PER_REGION

__all__ = ["Needs", "PieceOp", "Play", "THREADS", "DEFINES", "compiler_options"]

THREADS = {"EVENTS": 256, "PIECES": 256, "TIMELINE": 256, "ROWS": 256, "SCAN": 256, "IMAGE": 256, **ARRAY_THREADS}
"""Threads of a thread block, by kernel; what a block serves is in the kernel's header."""


class PieceOp(IntEnum):
    """What a piece of an event does to its region's pages."""

    ASSIGN = 0
    """To a guest_memfd."""
    ASSIGN_EVICTING = 1
    """To a guest_memfd whose eviction is under way."""
    ASSIGN_OTHER = 2
    """To a VMSA, to firmware: no inode."""
    CLEAR = 3
    USE = 4
    UNUSE = 5
    EVICT_BEGIN = 6
    EVICT_END = 7


class Play(IntEnum):
    """What of a region a launch of `region_timeline` plays."""

    GUESTS = 0
    """Assigned pages and those of guest_memfds, where nothing is evicted."""
    EVICTIONS = 1
    """The same and pages under eviction."""
    USES = 2
    """Pages in use."""


class Needs(IntFlag):
    """What of a region has to be played, beside assigned pages."""

    EVICTING = 1
    USED = 2


DEFINES: dict[str, int] = {
    "PAGES_PER_BLOCK": PAGES_PER_BLOCK,
    "PAGES_PER_REGION": PAGES_PER_REGION,
    "FOREVER": FOREVER,
    "CODE_CACHED": CACHED,
    "CODE_CLEAN": CLEAN,
    "TILE_ITEMS": TILE_ITEMS,
    "LIMB_BITS": LIMB_BITS,
    **{f"THREADS_{name}": threads for name, threads in THREADS.items()},
    **{f"KIND_{kind.name}": int(kind) for kind in Kind},
    **{f"OP_{op.name}": int(op) for op in PieceOp},
    **{f"PLAY_{play.name}": int(play) for play in Play},
    **{f"NEEDS_{needs.name}": int(needs) for needs in Needs},
}
"""Name to value of every ``-D`` option."""


def compiler_options() -> tuple[str, ...]:
    """Return the options that every kernel is compiled with."""
    return ("-std=c++17", *(f"-D{name}={value}" for name, value in DEFINES.items()))
