"""What engines are timed on: small hosts of pods, and the named policies by kind."""

from __future__ import annotations

from gmemgpu.catalogue import named_policies
from gmemgpu.generator import generate
from gmemgpu.model.policy import ORACLE, Policy
from gmemgpu.model.trace import Trace
from gmemgpu.workload.preset import preset, small_variant

__all__ = ["ALL", "PRESET", "policy_kinds", "sample_traces"]

PRESET = "mixed-pods"
"""Its small variant makes some 1,400 events on 16 regions."""

ALL = "all"
"""The kind that `auto` goes by."""

_KIND_OF_SCOPE = {
    "window": "window",
    "dirty": "dirty",
    "dirty_retry": "dirty",
    "region": "region",
    "vm": "guest",
    "inode": "guest",
}


def policy_kinds() -> dict[str, tuple[Policy, ...]]:
    """
    Collect the named policies, grouped by how their passes visit regions.

    Returns
    -------
    dict of str to tuple of Policy
        Kind to policies, first `ALL` of them; those without requests and without a clock are in no other kind.
    """
    everything = (*(policy for policy in named_policies() if not policy.is_oracle), ORACLE)
    kinds: dict[str, tuple[Policy, ...]] = {ALL: everything}
    for policy in everything:
        # Without requests and without a clock there is nothing to time.
        if not policy.is_oracle and (policy.hook != "none" or policy.timer.kind == "periodic"):
            kind = _KIND_OF_SCOPE[policy.scope]
            kinds[kind] = (*kinds.get(kind, ()), policy)
    return kinds


def sample_traces(n: int) -> list[Trace]:
    """
    Generate the traces that engines are timed on.

    Parameters
    ----------
    n : int
        How many: seeds 0 to `n` - 1.

    Returns
    -------
    list of Trace
        The same integers on every machine.
    """
    workload = small_variant(preset(PRESET))
    return [generate(workload, seed).trace for seed in range(n)]
