"""The packaged policies and costs, figure by figure, as MODEL.md sections 6 and 8 name them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import pytest

from gmemgpu.catalogue import named_policies, policies_from_tables, read_costs, tell_doubts
from gmemgpu.errors import SpecError
from gmemgpu.model.cost import MAX_COST_NS, Costs
from gmemgpu.model.policy import ORACLE, Hook, Policy, Scope, Timer

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
    "merged": ("vm_destroy", "debounce(10 s)", "rerun", "window", "all", "leader_followers", True),
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
    "hugetlb_1g_freed": ("freed_1g", "immediate", "rerun", "region", "all", "leader_first", True),
    "periodic_60s": ("none", "periodic(60 s)", "rerun", "window", "all", "leader_first", True),
}


def packaged(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("gmemgpu.data") / name).read_text(encoding="utf-8"))


def test_the_costs() -> None:
    assert asdict(Costs()) == COSTS
    assert max(COSTS.values()) < MAX_COST_NS


@pytest.mark.parametrize("name", COSTS)
def test_every_cost_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    description = Costs.__pydantic_fields__[name].description
    # What was not measured says so.
    assert re.match(r".+\. (Estimate: |Fit: |Fit, as |Assumption: |Assumption, as ).+\.$", description)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("block = -1\n", ["f.toml: block: -1 cannot be used: it must be greater than or equal to 0"]),
        (
            "block = 1_000_000_001\n",
            ["f.toml: block: 1000000001 cannot be used: it must be less than or equal to 1000000000"],
        ),
        (
            'blok = 1\nbase = "30"\n',
            [
                'f.toml: base: "30" cannot be used: it must be a valid integer',
                'f.toml: blok: unknown key; did you mean "block"?',
            ],
        ),
        (
            'block = {sorce = "mine", ns = 3}\nbase = {source = "mine"}\n',
            [
                "f.toml: base: {'source': 'mine'} cannot be used: a table of a cost has ns, in integer ns, and source",
                "f.toml: block: {'sorce': 'mine', 'ns': 3} cannot be used: a table of a cost has ns, in integer ns, "
                "and source",
            ],
        ),
    ],
)
def test_a_costs_file_that_is_wrong(tmp_path: Path, text: str, problems: list[str]) -> None:
    (tmp_path / "f.toml").write_text(text)
    with pytest.raises(SpecError) as caught:
        read_costs(tmp_path / "f.toml")
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems] == problems


def test_a_costs_file_changes_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text('block = 7\nbase = {ns = 3, source = "measured here"}\n')
    assert asdict(read_costs(tmp_path / "f.toml")) == {**COSTS, "block": 7, "base": 3}


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


def test_every_mistake_of_every_policy_at_once() -> None:
    tables = [
        {"hook": "vm_destory", "timer": "debounce(10 parsecs)", "boot": "yes", "scoop": "dirty"},
        {"name": "a", "hook": "none", "timer": "periodic(0 s)"},
        {"name": "b", "hook": "freed", "timer": "periodic(1 s)"},
        {"name": "c", "hook": "freed", "timer": "fixed(1 s, 2 s)"},
        {"name": "d", "hook": "freed"},
        {"name": "d", "hook": "freed", "timer": "at once"},
        {"name": "d", "hook": "freed"},
        {"name": "oracle", "hook": "freed"},
        {"name": " ", "hook": "freed"},
        7,
    ]
    with pytest.raises(SpecError) as caught:
        policies_from_tables(tables, "f")
    assert [str(problem).removeprefix("f: policy") for problem in caught.value.problems] == [
        "[0].name: is missing: Unique among the policies evaluated together.",
        '[0].hook: "vm_destory" is unknown; did you mean "vm_destroy"?',
        '[0].timer: "10 parsecs" is not a time; write a number and one of ns, us, µs, ms, s, min, h, d, as in "10 s"',
        '[0].boot: "yes" cannot be used: it must be a valid boolean',
        '[0].scoop: unknown key; did you mean "scope"?',
        "[1].timer.delay_ns: 0 cannot be used: a period must be longer than 0",
        '[2].timer: "periodic(1 s)" asks no hook; write hook = "none" instead of "freed"',
        "[3].timer.max_wait_ns: fixed takes one time; only debounce has a maximum wait",
        '[5].timer: "at once" is no timer; write "immediate", "fixed(10 s)", "debounce(10 s)", "debounce(10 s, 60 s)" '
        'or "periodic(60 s)"',
        '[6].name: "d" is taken by an earlier policy',
        '[7]: name "oracle" is the bound, which cannot be redefined',
        "[8].name: is empty; results are told apart by name",
        "[9]: 7 is no table of keys and values",
    ]


NAMED = {
    "extent": {"vm", "inode", "region"},
    "vm": {"vm"},
    "inode": {"vm", "inode"},
    "region": {"region"},
    "clock": set(),
}
HOOKS = {
    "conversion": "extent", "invalidate_folio": "extent", "free_folio": "extent", "freed": "extent",
    "folio_1g": "extent", "freed_1g": "extent", "evict_begin": "inode", "evict_end": "inode", "inode_free": "inode",
    "vm_destroy": "vm", "region_free": "region", "none": "clock",
}  # fmt: skip


@pytest.mark.parametrize("hook", get_args(Hook))
def test_requests_that_name_nothing_that_the_scope_visits(hook: Hook) -> None:
    timer = Timer("periodic", 1) if hook == "none" else Timer()
    doubtful = {scope for scope in get_args(Scope) if Policy(name="p", hook=hook, timer=timer, scope=scope).doubt}
    assert doubtful == {"vm", "inode", "region"} - NAMED[HOOKS[hook]]


def test_a_doubt_names_the_pair_and_says_why() -> None:
    assert Policy(name="p", hook="vm_destroy", scope="region").doubt == (
        'hook = "vm_destroy" with scope = "region" visits nothing: a request comes from the end of a VM, which names '
        "no region; nothing follows the boot pass. Use scope vm, dirty or window"
    )
    assert 'timer = "periodic(1 s)" with scope = "vm" visits nothing: a request comes from a clock' in str(
        Policy(name="p", hook="none", timer="periodic(1 s)", scope="vm").doubt
    )
    # Without a clock nothing is asked for.
    assert Policy(name="p", hook="none", scope="vm").doubt is None
    assert not [policy.name for policy in named_policies() if policy.doubt]


def test_doubts_are_told_or_refused() -> None:
    doubtful = Policy(name="p", hook="evict_end", scope="region")
    with pytest.warns(RuntimeWarning, match='^f: policy "p": hook = "evict_end" with scope = "region" visits nothing'):
        tell_doubts([ORACLE, doubtful], "f")
    with pytest.raises(SpecError) as caught:
        tell_doubts([doubtful, ORACLE, replace(doubtful, name="q")], "f", strict=True)
    assert [problem.where for problem in caught.value.problems] == ['f: policy "p"', 'f: policy "q"']
    tell_doubts(named_policies(), "f", strict=True)
