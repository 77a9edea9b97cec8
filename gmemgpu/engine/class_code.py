"""Class codes: what a pass finds at a region, as one small integer, what each costs, and whether costs fit 63 bits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gmemgpu.errors import BackendError
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Executor
from gmemgpu.model.trace import Int64Array, Trace
from gmemgpu.units import BLOCKS_PER_REGION, INT64_MAX

__all__ = [
    "FAIL_EARLY",
    "CLEAN",
    "CACHED",
    "ABSENT",
    "N_CODES",
    "CodeCosts",
    "code_costs",
    "check_63_bits",
]

FAIL_EARLY = BLOCKS_PER_REGION
"""Added to a busy region's first block, 0…511, while a guest's pages there are being converted (E > 0)."""
CLEAN = 2 * FAIL_EARLY
CACHED = CLEAN + 1
ABSENT = CACHED + 1
"""Dropped by the gate: costs nothing."""
N_CODES = ABSENT + 1

_RMP_BYTES_PER_BLOCK = 64
"""One cache line: RMPOPT looks at the entries of 2 MiB granularity."""

_ROUNDS = ("round", "cores", "threads")
"""Prefixes of the costs of visiting a region on several cores."""


@dataclass(frozen=True, slots=True, eq=False)
class CodeCosts:
    """
    Cost of one attempt by class code; regions covered by equally many cores form a group.

    Parameters
    ----------
    length_ns : (n_groups * N_CODES,) int64
        L + F of MODEL.md section 6, code c of group g at ``g * N_CODES + c``.
    totals : dict of str to (n_groups * N_CODES,) int64
        By metric name: what an attempt adds to it.
    """

    length_ns: Int64Array
    totals: dict[str, Int64Array]


@lru_cache(maxsize=64)  # hosts and policies of a sweep share a few
def code_costs(executor: Executor, costs: Costs, core_counts: tuple[int, ...], threads_per_core: int) -> CodeCosts:
    """
    Tabulate an executor's costs.

    Parameters
    ----------
    executor : Executor
        How an attempt is spread over cores.
    costs : Costs
        Times of RMPOPT, in ns.
    core_counts : tuple of int
        Numbers of cores that cover some region each, ascending: a group each.
    threads_per_core : int
        Sibling threads of a core.

    Returns
    -------
    CodeCosts
        To be read only: who asks for the same gets the same.
    """
    tables = [_one_group(executor, costs, count, threads_per_core) for count in core_counts]
    return CodeCosts(
        length_ns=np.concatenate([length for length, _ in tables]),
        totals={name: np.concatenate([totals[name] for _, totals in tables]) for name in tables[0][1]},
    )


def _by_class(fail: Int64Array | int, clean: int, cached: int) -> Int64Array:
    table = np.zeros(N_CODES, np.int64)
    table[:FAIL_EARLY] = table[FAIL_EARLY:CLEAN] = fail
    table[CLEAN], table[CACHED] = clean, cached
    return table


def _one_group(
    executor: Executor, costs: Costs, cores: int, threads_per_core: int
) -> tuple[Int64Array, dict[str, Int64Array]]:
    blocks = np.arange(1, BLOCKS_PER_REGION + 1)  # examined until the first assigned one is met
    scan = _by_class(costs.base + blocks * costs.block, costs.base + BLOCKS_PER_REGION * costs.block, costs.cached)
    busy = _by_class(costs.busy_fail, costs.busy_clean, costs.busy_cached)
    one = _by_class(1, 1, 1)
    follow = one  # whether followers are asked at all, by class
    scanners = 1
    followers = cores - 1
    if executor in ("leader_followers", "leader_first"):
        rounds = _by_class(costs.round_fail, costs.round_clean, costs.round_cached)
        if executor == "leader_first":
            follow = _by_class(0, 1, 1)
        length = scan + rounds * follow
        leader, follower = scan, busy
    elif executor == "serial":
        leader = follower = scan + costs.call * one
        length = cores * leader
        scanners = cores
    else:
        if executor == "all_cores":
            length = _by_class(costs.cores_fail, costs.cores_clean, costs.cores_cached)
        else:
            length = _by_class(costs.threads_fail, costs.threads_clean, costs.threads_cached)
            followers = cores * threads_per_core - 1
        scanners = followers + 1
        leader = follower = busy
    ipis = followers * follow
    return length, {
        "attempts": one,
        "rmpopts": ipis + one,
        "ipis": ipis,
        "leader_busy_ns": leader,
        "follower_busy_ns": follower * ipis,
        "rmp_bytes_read": _by_class(blocks, BLOCKS_PER_REGION, 0) * scanners * _RMP_BYTES_PER_BLOCK,
    }


def check_63_bits(trace: Trace, costs: Costs, backend: str) -> None:
    """
    Refuse a trace on which a pass might last too long.

    Parameters
    ----------
    trace : Trace
        A valid one.
    costs : Costs
        Times of RMPOPT, in ns.
    backend : str
        Name of the engine that counts in 63 bits.

    Raises
    ------
    BackendError
        If a pass might last so long that its times do not fit 63 bits.
    """
    # The dearest visit is a serial one: every core in turn is called and scans a whole region, or finds the bit set.
    host = trace.host
    scan = max(costs.base + BLOCKS_PER_REGION * costs.block, costs.cached)
    followers = max(getattr(costs, f"{how}_{what}") for how in _ROUNDS for what in ("clean", "cached", "fail"))
    longest_ns = host.n_regions * max(host.cores * (costs.call + scan), scan + followers)
    if trace.horizon_ns + longest_ns > INT64_MAX:
        raise BackendError(
            f'backend "{backend}" counts in 63 bits, and a pass over {host.n_regions} regions on {host.cores} cores '
            f"may take {longest_ns:.1e} ns at these costs; lower the costs, or take the reference"
        )
