"""The packaged policies and costs, figure by figure, as MODEL.md sections 6 and 8 name them."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

import pytest

from gmemgpu.catalogue import default_costs, named_policies
from gmemgpu.model.cost import MAX_COST_NS, cost_problems
from gmemgpu.model.policy import ORACLE, Policy

COSTS = {
    "base": 30,
    "block": 60,
    "cached": 2800,
    "round_clean": 121_000,
    "round_cached": 172_000,
    "round_fail": 46_000,
    "busy_clean": 4000,
    "busy_cached": 4000,
    "busy_fail": 1500,
    "cores_clean": 190_000,
    "cores_cached": 180_000,
    "cores_fail": 50_000,
    "threads_clean": 230_000,
    "threads_cached": 215_000,
    "threads_fail": 60_000,
    "call": 27_000,
}
# hook, timer, busy, scope, gate, executor, boot
POLICIES = {
    "never": ("none", "immediate", "rerun", "window", "all", "leader_followers", False),
    "boot_only": ("none", "immediate", "rerun", "window", "all", "leader_followers", True),
    "v2": ("inode_free", "immediate", "drop", "window", "all", "all_threads", True),
    "v3": ("vm_destroy", "fixed(10 s)", "rerun", "window", "all", "leader_followers", True),
    "v10": ("vm_destroy", "debounce(10 s)", "rerun", "window", "all", "leader_followers", True),
    "v10_first": ("vm_destroy", "debounce(10 s)", "rerun", "window", "all", "leader_first", True),
    "capped": ("vm_destroy", "debounce(10 s, 60 s)", "rerun", "window", "all", "leader_followers", True),
    "conv_debounce_1s": ("conversion", "debounce(1 s)", "rerun", "window", "all", "leader_followers", True),
    "conv_debounce_10s": ("conversion", "debounce(10 s)", "rerun", "window", "all", "leader_followers", True),
    "dirty_1s": ("conversion", "fixed(1 s)", "rerun", "dirty", "all", "leader_first", True),
    "dirty_10s": ("conversion", "fixed(10 s)", "rerun", "dirty", "all", "leader_first", True),
    "dirty_100s": ("conversion", "fixed(100 s)", "rerun", "dirty", "all", "leader_first", True),
    "dirty_retry_10s": ("conversion", "fixed(10 s)", "rerun", "dirty_retry", "all", "leader_first", True),
    "evict_begin": ("evict_begin", "immediate", "rerun", "inode", "all", "leader_followers", True),
    "evict_end": ("evict_end", "immediate", "rerun", "inode", "all", "leader_followers", True),
    "inode_free_regions": ("inode_free", "immediate", "rerun", "inode", "all", "leader_followers", True),
    "vm_regions_10s": ("vm_destroy", "fixed(10 s)", "rerun", "vm", "all", "leader_first", True),
    "free_folio": ("free_folio", "immediate", "rerun", "region", "all", "leader_first", True),
    "invalidate_folio": ("invalidate_folio", "immediate", "rerun", "region", "all", "leader_first", True),
    "freed": ("freed", "immediate", "rerun", "region", "all", "leader_first", True),
    "conversion_region": ("conversion", "immediate", "rerun", "region", "all", "leader_first", True),
    "gmem_tracked": ("free_folio", "fixed(1 s)", "rerun", "dirty", "gmem_free", "leader_first", True),
    "refcount": ("region_free", "immediate", "rerun", "region", "free", "leader_first", True),
    "refcount_1s": ("region_free", "fixed(1 s)", "rerun", "region", "free", "leader_first", True),
    "hugetlb_1g": ("folio_1g", "immediate", "rerun", "region", "all", "leader_first", True),
    "periodic_60s": ("none", "periodic(60 s)", "rerun", "window", "all", "leader_first", True),
}


def packaged(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("gmemgpu.data") / name).read_text(encoding="utf-8"))


def test_the_costs() -> None:
    costs = default_costs()
    assert {name: getattr(costs, name) for name in COSTS} == COSTS
    assert cost_problems(costs, "costs") == []
    assert max(COSTS.values()) < MAX_COST_NS


def test_every_cost_has_a_source() -> None:
    tables = packaged("costs.toml")
    assert list(tables) == list(COSTS)
    for name, table in tables.items():
        # What was not measured says so.
        assert table["source"].startswith(("estimate", "fit", "assumption")), name


@pytest.mark.parametrize("name", ["hosts", "lifetimes", "sizes"])
def test_every_packaged_figure_has_a_source(name: str) -> None:
    tables = packaged(f"{name}.toml")
    assert tables
    assert [key for key, table in tables.items() if not table.get("source")] == []


def choices(policy: Policy) -> tuple[str | bool, ...]:
    return (
        policy.hook,
        str(policy.timer),
        policy.busy,
        policy.scope,
        policy.gate,
        policy.executor,
        policy.boot,
    )


def test_the_policies() -> None:
    named = {policy.name: policy for policy in named_policies()}
    assert named.pop("oracle") == ORACLE
    assert {name: choices(policy) for name, policy in named.items()} == POLICIES


def test_every_policy_has_an_origin() -> None:
    assert [policy.name for policy in named_policies() if not policy.origin] == []
