"""Executor: what one attempt costs, and whom (MODEL.md section 6)."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Executor
from gmemgpu.units import BLOCKS_PER_REGION

__all__ = ["AttemptCost", "TargetClass", "attempt_cost"]

_RMP_BYTES_PER_BLOCK = 64

TargetClass = Literal["clean", "cached", "fail"]


class AttemptCost(NamedTuple):
    """
    Cost of one attempt; it lasts ``leader_ns + round_ns``.

    Parameters
    ----------
    leader_ns, round_ns : int
        L and F: the leader's part, then the round of the others.
    n_ipis : int
        Cores or threads that are asked by an interrupt.
    leader_busy_ns, follower_busy_ns : int
        Time taken from other work; the second summed over followers.
    rmp_bytes : int
        Read from the RMP, by all scanners together.
    """

    leader_ns: int
    round_ns: int
    n_ipis: int
    leader_busy_ns: int
    follower_busy_ns: int
    rmp_bytes: int


def attempt_cost(
    executor: Executor, target: TargetClass, first_block: int, n_cores: int, threads_per_core: int, costs: Costs
) -> AttemptCost:
    """
    Compute what an attempt costs.

    Parameters
    ----------
    executor : Executor
        How the attempt is spread over cores.
    target : TargetClass
        Class of the region, from the state at the pass's start.
    first_block : int
        The k of ``fail(k)``; not looked at otherwise.
    n_cores : int
        C_r: the cores that cover the target.
    threads_per_core : int
        Sibling threads of a core.
    costs : Costs
        Times of RMPOPT, in ns.

    Returns
    -------
    AttemptCost
        The row of the executor and class in the tables of MODEL.md section 6.
    """
    # The two tables of section 6, row by row.
    if target == "clean":
        scan_ns, blocks = costs.base + costs.block * BLOCKS_PER_REGION, BLOCKS_PER_REGION
        round_ns, busy_ns = costs.round_clean, costs.busy_clean
        cores_ns, threads_ns = costs.cores_clean, costs.threads_clean
    elif target == "cached":
        scan_ns, blocks = costs.cached, 0
        round_ns, busy_ns = costs.round_cached, costs.busy_cached
        cores_ns, threads_ns = costs.cores_cached, costs.threads_cached
    else:
        scan_ns, blocks = costs.base + (first_block + 1) * costs.block, first_block + 1
        round_ns, busy_ns = costs.round_fail, costs.busy_fail
        cores_ns, threads_ns = costs.cores_fail, costs.threads_fail
    rmp_bytes = _RMP_BYTES_PER_BLOCK * blocks  # for each scanner
    others = n_cores - 1
    if executor == "leader_first" and target == "fail":
        # Nobody else is asked.
        return AttemptCost(scan_ns, 0, 0, scan_ns, 0, rmp_bytes)
    if executor in ("leader_followers", "leader_first"):
        return AttemptCost(scan_ns, round_ns, others, scan_ns, others * busy_ns, rmp_bytes)
    if executor == "all_cores":
        return AttemptCost(0, cores_ns, others, busy_ns, others * busy_ns, rmp_bytes * n_cores)
    if executor == "all_threads":
        n_threads = n_cores * threads_per_core
        return AttemptCost(0, threads_ns, n_threads - 1, busy_ns, (n_threads - 1) * busy_ns, rmp_bytes * n_threads)
    # serial: one core after another, each called by the leader.
    call_ns = costs.call + scan_ns
    return AttemptCost(n_cores * call_ns, 0, others, call_ns, others * call_ns, rmp_bytes * n_cores)
