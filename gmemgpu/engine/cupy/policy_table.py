"""Policies as rows of integers for the kernels, and which kernel runs which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from gmemgpu.engine.class_code import CACHED, CLEAN, N_CODES, CodeCosts
from gmemgpu.engine.cupy.defines import Gate, PolicyField, Scope, TimerKind
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Int64Array

__all__ = ["EvaluateKernel", "kernel_of", "policy_table", "attempt_lengths", "keeps_lost"]

EvaluateKernel = Literal["evaluate_few", "evaluate_window"]


def kernel_of(policy: Policy) -> EvaluateKernel:
    """Choose which kernel runs a policy: by how many regions its passes visit."""
    return "evaluate_window" if policy.scope in ("window", "dirty_retry") else "evaluate_few"


def keeps_lost(policy: Policy) -> bool:
    """Check whether a dropped request must be remembered, so that a later pass does not take up its regions."""
    return policy.busy == "drop" and policy.scope in ("region", "vm", "inode")


def policy_table(policies: Sequence[Policy]) -> Int64Array:
    """
    Tabulate policies as rows.

    Returns
    -------
    (n_policies, len(PolicyField)) int64
    """
    table = np.zeros((len(policies), len(PolicyField)), np.int64)
    for row, policy in zip(table, policies, strict=True):
        timer = policy.timer
        row[PolicyField.TIMER] = TimerKind[timer.kind.upper()]
        row[PolicyField.DELAY_NS] = timer.delay_ns
        row[PolicyField.MAX_WAIT_NS] = -1 if timer.max_wait_ns is None else timer.max_wait_ns
        row[PolicyField.DROP] = policy.busy == "drop"
        row[PolicyField.SCOPE] = Scope[policy.scope.upper()]
        row[PolicyField.GATE] = Gate[policy.gate.upper()]
        row[PolicyField.LEADER_FIRST] = policy.executor == "leader_first"
        row[PolicyField.BOOT] = policy.boot
    return table


def attempt_lengths(code_costs: CodeCosts) -> Int64Array:
    """
    Return what an attempt lasts, by group of regions.

    Returns
    -------
    (n_groups, 4) int64
        A failed one less its blocks, each block, a clean one, a cached one; ns.
    """
    table = code_costs.length_ns.reshape(-1, N_CODES)
    block = table[:, 1] - table[:, 0]
    return np.stack([table[:, 0] - block, block, table[:, CLEAN], table[:, CACHED]], axis=1)
