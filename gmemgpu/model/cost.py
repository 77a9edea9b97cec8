"""What a pass costs, in integer nanoseconds (MODEL.md section 6)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gmemgpu.errors import Problem

__all__ = ["Costs", "cost_problems", "MAX_COST_NS"]

MAX_COST_NS = 10**9
"""No single cost may exceed 1 s: nothing that RMPOPT does is near that, and sums of it stay countable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """
    Cost table; all values integer ns, defaults and their sources in ``gmemgpu/data/costs.toml``.

    Parameters
    ----------
    base, block, cached
        Leader: entering RMPOPT, each 2 MiB block looked at, and finding the bit set.
    round_clean, round_cached, round_fail
        The round of followers after the leader, by the region's class.
    busy_clean, busy_cached, busy_fail
        What one core or thread spends on its RMPOPT, by class.
    cores_clean, cores_cached, cores_fail
        A region visited on every core at once (v1).
    threads_clean, threads_cached, threads_fail
        A region visited on every thread at once (v2).
    call
        One synchronous call to another core (serial).
    """

    base: int
    block: int
    cached: int
    round_clean: int
    round_cached: int
    round_fail: int
    busy_clean: int
    busy_cached: int
    busy_fail: int
    cores_clean: int
    cores_cached: int
    cores_fail: int
    threads_clean: int
    threads_cached: int
    threads_fail: int
    call: int


def cost_problems(costs: Costs, where: str) -> list[Problem]:
    """
    List costs that are out of range.

    Parameters
    ----------
    costs : Costs
        To be checked.
    where : str
        Prefix of every problem's place.

    Returns
    -------
    list of Problem
        Empty if all are integers in 0…`MAX_COST_NS`.
    """
    problems = []
    for field in fields(costs):
        value = getattr(costs, field.name)
        if isinstance(value, bool) or not isinstance(value, int):
            problems.append(Problem(f"{where}: {field.name}", f"{value!r} is not an integer of nanoseconds"))
        elif not 0 <= value <= MAX_COST_NS:
            problems.append(Problem(f"{where}: {field.name}", f"{value} is outside 0 to {MAX_COST_NS} ns"))
    return problems
