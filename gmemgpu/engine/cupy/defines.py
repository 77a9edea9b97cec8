"""Numbers that Python and the CUDA kernels share: handed to the compiler as ``-D`` options, never typed twice."""

from __future__ import annotations

from enum import IntEnum

from gmemgpu.engine.class_code import ABSENT, CACHED, CLEAN, FAIL_EARLY
from gmemgpu.timeline.snp import FOREVER
from gmemgpu.units import PAGES_PER_BLOCK, PAGES_PER_REGION

__all__ = [
    "GMEM_FLAG",
    "GroupField",
    "JobField",
    "OutField",
    "PieceOp",
    "PolicyField",
    "Scope",
    "Gate",
    "TimerKind",
    "TotalField",
    "TraceField",
    "THREADS",
    "DEFINES",
    "compiler_options",
]

GMEM_FLAG = 1 << 15
"""Beside a class code: some assigned page belongs to a guest_memfd (G > 0)."""


THREADS = {"TIMELINE": 256, "STATES": 128, "TOTALS": 128, "FEW": 32, "WINDOW": 128, "RANKS": 128, "SCAN": 256}
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


class TraceField(IntEnum):
    """One 64-bit integer each in the row of a trace; those with a type are device addresses."""

    HORIZON_NS = 0
    WARMUP_NS = 1
    N_REGIONS = 2
    N_POSITIONS = 3
    """Covered regions."""
    N_GROUPS = 4
    """Groups of regions that equally many cores cover; uncovered regions are a group too."""
    N_EPOCHS = 5
    EPOCHS = 6
    """i64[n][2]: times with SNP on."""
    N_INITS = 7
    INITS = 8
    """i64[n]: times of ``snp_init``."""
    N_SHUTDOWNS = 9
    SHUTDOWNS = 10
    """i64[n][2]."""
    N_HAZARDS = 11
    HAZARDS = 12
    """i64[n][2]: shutdowns, then times with KVM unloaded."""
    REGION_GROUP = 13
    """i32[n_regions]."""
    REGION_COVERED = 14
    """u8[n_regions]."""
    REGION_OF = 15
    """i32[n_positions], ascending."""
    PIECE_OFFSET = 16
    """i64[n_regions + 1]."""
    PIECE_NS = 17
    """i64[n_pieces]."""
    PIECE_LO = 18
    """i32[n_pieces]."""
    PIECE_HI = 19
    """i32[n_pieces]."""
    PIECE_INODE = 20
    """i32[n_pieces]."""
    PIECE_OP = 21
    """u8[n_pieces]: `PieceOp`."""
    STATE_ASSIGNED = 22
    """i32[n_pieces]: after each piece; so are the next four."""
    STATE_GMEM = 23
    STATE_EVICTING = 24
    STATE_USED = 25
    STATE_FIRST = 26
    """i16[n_pieces]."""
    COUNTS = 27
    """i64[n_regions][3]: class rows (with the one that ends the region's list), used rows, falls."""
    CLASS_OFFSET = 28
    """i64[n_regions + 1]."""
    CLASS_NS = 29
    """i64[n_class_rows]: when the class below begins; the last of each region is for ever."""
    CLASS_CODE = 30
    """u16[n_class_rows]: class code, `GMEM_FLAG` beside it."""
    USED_OFFSET = 31
    """i64[n_regions + 1]."""
    USED_NS = 32
    """i64[n_used_rows]: when the number of used pages changes; the first of each region is at 0."""
    USED_PAGES = 33
    """i32[n_used_rows]."""
    USED_HIGH = 34
    """i64[n_used_rows]: the region's integral up to here is high * 2**20 + low."""
    USED_LOW = 35
    """i64[n_used_rows]."""
    HAS_USED = 36
    FALL_OFFSET = 37
    """i64[n_regions + 1]."""
    FALL_NS = 38
    """i64[n_falls]: when a covered region became free."""
    FALL_POSITION = 39
    """i64[n_falls]."""
    TOTALS = 40
    """i64[n_groups][TotalField]."""
    N_CLEARINGS = 41
    CLEARING_NS = 42
    """i64[n_clearings]: releases and shares of covered regions, in time order."""
    CLEARING_POSITION = 43
    """i32[n_clearings]."""


class PolicyField(IntEnum):
    """One 64-bit integer each in the row of a policy."""

    TIMER = 0
    DELAY_NS = 1
    MAX_WAIT_NS = 2
    """Negative: none."""
    DROP = 3
    SCOPE = 4
    GATE = 5
    LEADER_FIRST = 6
    BOOT = 7


class TimerKind(IntEnum):
    """`gmemgpu.model.policy.TimerKind`."""

    FIXED = 0
    DEBOUNCE = 1
    PERIODIC = 2


class Scope(IntEnum):
    """`gmemgpu.model.policy.Scope`; the first two are carried from pass to pass."""

    WINDOW = 0
    DIRTY_RETRY = 1
    DIRTY = 2
    REGION = 3
    VM = 4
    INODE = 5


class Gate(IntEnum):
    """`gmemgpu.model.policy.Gate`."""

    ALL = 0
    GMEM_FREE = 1
    FREE = 2


class JobField(IntEnum):
    """One 64-bit integer each in the row of a (trace, policy) pair; those with a type are device addresses."""

    TRACE = 0
    POLICY = 1
    N_REQUESTS = 2
    REQUEST_NS = 3
    """i64[n_requests]."""
    REQUEST_FIRST = 4
    """i32[n_requests]: first position of the requesting extent."""
    REQUEST_STOP = 5
    """i32[n_requests]: one past its last position."""
    REQUEST_LIST = 6
    """i32[n_requests]: whose list of regions, -1 for none."""
    LIST_OFFSET = 7
    """i64[n_lists + 1]: of the VMs or inodes that requests name."""
    LIST_POSITION = 8
    """i32[n]: where each ever had pages."""
    LIST_SINCE_NS = 9
    """i64[n]."""
    LENGTHS = 10
    """i64[n_groups][4]: an attempt that fails at the first block (less `block`), each block, clean, cached."""
    BIT_END_NS = 11
    """i64[n_positions], scratch: until when the bit is set."""
    CURSOR = 12
    """i32[n_positions], scratch: class row that the last visit saw."""
    CODE = 13
    """u16[n_positions], scratch of the window kernel: class in the last pass."""
    MEMBERS = 14
    """u32[ceil(n_positions / 32)], scratch: regions that wait for a pass."""
    LOST = 15
    """u32[ceil(n_requests / 32)], scratch: requests that were dropped; 0 if nobody will ask."""
    LATENCY_NS = 16
    """i64[counted episodes]."""
    OUT = 17
    """i64[len(OutField)], then i64[n_groups][len(GroupField)]; zeros at first."""


class OutField(IntEnum):
    """What comes back for each (trace, policy) pair."""

    REQUESTS = 0
    REQUESTS_LOST = 1
    REQUESTS_HAZARD = 2
    PASSES = 3
    PASSES_EMPTY = 4
    PASSES_SKIPPED = 5
    PASSES_HAZARD = 6
    SCAN_WALL_NS = 7
    PASS_WALL_MAX_NS = 8
    NEW = 9
    CACHED = 10
    FAILED = 11
    WASTED = 12
    EARLY = 13
    LATENCIES = 14
    LASTING = 15
    P50_NS = 16
    P90_NS = 17
    P99_NS = 18
    MAX_NS = 19


class GroupField(IntEnum):
    """What comes back for each pair and group of regions; wide sums as limbs that cannot overflow."""

    FAIL = 0
    BLOCKS = 1
    """Over the attempts of class fail(k): k + 1, summed."""
    CLEAN = 2
    CACHED = 3
    SET_HIGH = 4
    """Times with the bit set, in units of 2**31 ns."""
    SET_LOW = 5
    USED_HIGH = 6
    """Pages in use meanwhile: units of 2**51, 2**20 and 1 page·ns."""
    USED_MIDDLE = 7
    USED_LOW = 8


class TotalField(IntEnum):
    """What the timeline of a trace says of each group, whatever the policy; limbs as in `GroupField`."""

    FREE_HIGH = 0
    FREE_LOW = 1
    USED_HIGH = 2
    """Of all time with SNP on."""
    USED_MIDDLE = 3
    USED_LOW = 4
    FREE_USED_HIGH = 5
    """Of the time that regions were free."""
    FREE_USED_MIDDLE = 6
    FREE_USED_LOW = 7
    EPISODES = 8
    LASTING = 9


def _members(prefix: str, of: type[IntEnum]) -> dict[str, int]:
    return {f"{prefix}_{member.name}": int(member) for member in of}


DEFINES: dict[str, int] = {
    "PAGES_PER_BLOCK": PAGES_PER_BLOCK,
    "PAGES_PER_REGION": PAGES_PER_REGION,
    "FOREVER": FOREVER,
    "FAIL_EARLY": FAIL_EARLY,
    "CLEAN": CLEAN,
    "CACHED": CACHED,
    "ABSENT": ABSENT,
    "GMEM_FLAG": GMEM_FLAG,
    **{f"THREADS_{name}": threads for name, threads in THREADS.items()},
    **_members("OP", PieceOp),
    **_members("T", TraceField),
    "T_FIELDS": len(TraceField),
    **_members("P", PolicyField),
    "P_FIELDS": len(PolicyField),
    **_members("TIMER", TimerKind),
    **_members("SCOPE", Scope),
    **_members("GATE", Gate),
    **_members("J", JobField),
    "J_FIELDS": len(JobField),
    **_members("O", OutField),
    "O_FIELDS": len(OutField),
    **_members("G", GroupField),
    "G_FIELDS": len(GroupField),
    **_members("S", TotalField),
    "S_FIELDS": len(TotalField),
}
"""Name to value of every ``-D`` option."""


def compiler_options() -> tuple[str, ...]:
    """Return the options that every kernel is compiled with."""
    return ("-std=c++17", *(f"-D{name}={value}" for name, value in DEFINES.items()))
