"""How many rounds pairs need, also where each pass holds up the next, and how much work that is."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from by_hand import ev, host, trace

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.array import settle
from gmemgpu.engine.array.batch import Batch, Pairs
from gmemgpu.engine.array.columns import host_columns
from gmemgpu.engine.array.settle import settled_rows
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.registry import engine
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy, Timer
from gmemgpu.model.trace import Trace
from gmemgpu.workload.preset import preset, small_variant

N_CYCLES = 300
PASS_NS = 3 * 174_800  # three regions whose bits are set


@pytest.fixture(scope="module")
def saturated() -> Trace:
    # Regions come and go while passes over all of them run back to back: requests come a bit faster than passes end,
    # by gaps that never repeat, so that every length before decides which request begins a pass.
    rng = np.random.default_rng(5)
    t, events = 0, []
    for _ in range(N_CYCLES):
        region, inode = int(rng.integers(0, 3)), int(rng.integers(1, 9))
        t += int(rng.integers(1, PASS_NS))
        events.append(ev(t, "assign", region, 512 * int(rng.integers(1, 9)), inode=inode))
        t += int(rng.integers(1, PASS_NS))
        events.append(ev(t, "release", region, 512 * 9, inode=inode))
    return trace(*events, horizon=t + 10 * PASS_NS, on=host(3))


def pairs_of(of: Trace, *policies: Policy) -> Pairs:
    return Pairs(Tables(host_columns(of)), policies, Costs())


def saturating(**choices: Any) -> Policy:
    plain: dict[str, Any] = {"name": "p", "hook": "conversion", "executor": "leader_followers"}
    return Policy(**{**plain, **choices})


@pytest.mark.parametrize("busy", ["rerun", "drop"])
@pytest.mark.parametrize("timer", ["immediate", "fixed(300 us)", "debounce(200 us, 900 us)", "debounce(90 us)"])
@pytest.mark.parametrize("scope", ["window", "dirty", "dirty_retry", "region"])
def test_passes_back_to_back(saturated: Trace, scope: Any, timer: str, busy: Any) -> None:
    policy = saturating(timer=Timer.parse(timer), scope=scope, busy=busy)
    expected = engine("reference").evaluate([saturated], [policy], Costs())[0]
    rounds: list[int] = []
    assert settled_rows(pairs_of(saturated, policy), rounds) == expected
    assert rounds[0] <= 20, rounds
    if scope == "window" and timer == "immediate":
        span_ns = saturated.horizon_ns
        assert expected[0]["scan_wall_ns"] > 0.6 * span_ns, "not saturated"


def test_without_the_serial_schedule_the_rows_are_the_same(saturated: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of(saturated, saturating())
    fast: list[int] = []
    slow: list[int] = []
    expected = settled_rows(pairs, fast)
    monkeypatch.setattr(settle, "ARRAY_ROUNDS", 1 << 30)
    assert settled_rows(pairs, slow) == expected
    assert fast[0] < slow[0]


class Counted(np.ndarray):
    """An array that counts the arrays made from it, and from those, and their elements."""

    made = 0
    elements = 0

    def __array_finalize__(self, obj: object) -> None:
        Counted.made += 1
        Counted.elements += self.size


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    def watch(kind: type[Batch] | type[Tables]) -> None:
        plain = kind.__init__

        def counting(self: Any, *arguments: Any) -> None:
            plain(self, *arguments)
            for name, value in list(vars(self).items()):
                if isinstance(value, np.ndarray):
                    setattr(self, name, value.view(Counted))

        monkeypatch.setattr(kind, "__init__", counting)

    watch(Tables)
    watch(Batch)
    Counted.made = Counted.elements = 0
    return Counted


# Ceilings about a fifth above what was measured when they were set: what crosses one has become more work.
@pytest.mark.parametrize(
    ("scope", "arrays", "elements", "rounds"),
    [("window", 500, 108_000, 2), ("dirty_retry", 420, 17_000, 2), ("dirty", 420, 73_000, 2)],
)
def test_work_does_not_grow(counted: type[Counted], scope: str, arrays: int, elements: int, rounds: int) -> None:
    small = generate(small_variant(preset("mixed-pods")), 1).trace
    policies = [policy for policy in named_policies() if policy.scope == scope and not policy.is_oracle]
    needed: list[int] = []
    pairs = pairs_of(small, *policies)
    settled_rows(pairs)  # what is found once a trace is there now
    counted.made = counted.elements = 0
    settled_rows(pairs, needed)
    assert max(needed) <= rounds
    assert counted.made <= arrays
    assert counted.elements <= elements


def test_a_batch_costs_hardly_more_operations_than_a_pair(counted: type[Counted]) -> None:
    small = generate(small_variant(preset("mixed-pods")), 1).trace
    policy = next(policy for policy in named_policies() if policy.name == "v10")
    copies = pairs_of(small, *(dataclasses.replace(policy, name=str(k)) for k in range(20)))
    one = copies.some(np.arange(1))
    settled_rows(one)  # what is found once a trace is there now
    counted.made = 0
    settled_rows(one)
    alone, counted.made = counted.made, 0
    settled_rows(copies)
    assert counted.made < 4 * alone
