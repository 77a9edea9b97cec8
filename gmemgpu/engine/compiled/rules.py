"""A policy and its costs as numbers, which is what compiled code can read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.class_code import CodeCosts
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Int64Array

__all__ = [
    "FIXED",
    "DEBOUNCE",
    "PERIODIC",
    "WINDOW",
    "DIRTY",
    "DIRTY_RETRY",
    "BY_EXTENT",
    "BY_NAME",
    "Rules",
    "rules_of",
]

# Kinds of a timer.
FIXED = 0
DEBOUNCE = 1
PERIODIC = 2
_TIMERS = {"fixed": FIXED, "debounce": DEBOUNCE, "periodic": PERIODIC}
# Scopes; the last stands for two, by VM and by inode.
WINDOW = 0
DIRTY = 1
DIRTY_RETRY = 2
BY_EXTENT = 3
BY_NAME = 4
_SCOPES = {
    "window": WINDOW,
    "dirty": DIRTY,
    "dirty_retry": DIRTY_RETRY,
    "region": BY_EXTENT,
    "vm": BY_NAME,
    "inode": BY_NAME,
}


class Rules(NamedTuple):
    """
    One policy on one trace.

    Parameters
    ----------
    timer : int
        `FIXED`, `DEBOUNCE` or `PERIODIC`.
    delay_ns : int
        Delay or period.
    max_wait_ns : int
        Longest wait of a batch; -1 for none.
    drops : bool
        Whether requests that arrive while a pass runs are lost.
    scope : int
        `WINDOW`, `DIRTY`, `DIRTY_RETRY`, `BY_EXTENT` or `BY_NAME`.
    fails_by_class : bool
        Whether followers are not asked once the leader failed.
    boot_ns : (n,) int64
        When a boot pass is due.
    horizon_ns, warmup_ns : int
        Of the trace.
    group : (n_regions,) int64
        Place of each region's first class code in `length_ns`.
    length_ns : (n_groups * N_CODES,) int64
        How long an attempt takes, by class code.
    """

    timer: int
    delay_ns: int
    max_wait_ns: int
    drops: bool
    scope: int
    fails_by_class: bool
    boot_ns: Int64Array
    horizon_ns: int
    warmup_ns: int
    group: Int64Array
    length_ns: Int64Array


def rules_of(policy: Policy, tables: Tables, code_costs: CodeCosts) -> Rules:
    """Return a policy, not the oracle, as numbers for one trace."""
    wait_ns = policy.timer.max_wait_ns
    return Rules(
        timer=_TIMERS[policy.timer.kind],
        delay_ns=policy.timer.delay_ns,
        max_wait_ns=-1 if wait_ns is None else wait_ns,
        drops=policy.busy == "drop",
        scope=_SCOPES[policy.scope],
        fails_by_class=policy.executor == "leader_first",
        boot_ns=np.array([0, *tables.snp[0].inits] if policy.boot else [], np.int64),
        horizon_ns=int(tables.horizon_ns[0]),
        warmup_ns=int(tables.warmup_ns[0]),
        group=tables.hosts[0].group,
        length_ns=code_costs.length_ns,
    )
