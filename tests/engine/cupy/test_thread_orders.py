"""On a device threads run in any order: the engine gives the same rows in all that the emulator has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from by_hand import COSTS, ev, host, policy
from by_hand import trace as trace_of
from hypothesis import given, settings
from hypothesis import strategies as st

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.cupy import CupyEngine, kernel
from gmemgpu.engine.registry import engine
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import costs, policies, traces
from gmemgpu.workload.preset import preset, small_variant

cupy = pytest.importorskip("cupy", reason="no device, and no g++ to emulate one")
if not hasattr(cupy, "is_emulated"):
    pytest.skip("a real device takes the order that it likes", allow_module_level=True)

from strict_cupy import device  # noqa: E402  # only where the emulation is installed

FEWER = settings(max_examples=settings.default.max_examples * 3 // 5)
"""An emulated example takes some hundredths of a second; tests/engine/test_parity.py has them all."""

LATENCIES_IN_ANY_ORDER = {"evaluate_few", "evaluate_window"}


@pytest.fixture
def any_order() -> Iterator[None]:
    yield
    device.order, device.all_orders, device.unordered = 0, False, set()


@pytest.fixture
def watched() -> Iterator[None]:
    """Let kernels be compiled so that every access is looked at."""
    kernel._function.cache_clear()
    device.races = True
    yield
    device.races = False
    kernel._function.cache_clear()


@pytest.mark.usefixtures("any_order")
@pytest.mark.parametrize("order", [1, 2, 3])
@FEWER
@given(trace=traces(), chosen=st.lists(policies(), min_size=1, max_size=6), cost=costs())
def test_rows_in_another_order(order: int, trace: Trace, chosen: list[Policy], cost: Costs) -> None:
    device.order = order
    assert CupyEngine().evaluate([trace], chosen, cost) == engine("reference").evaluate([trace], chosen, cost)


@pytest.mark.usefixtures("any_order")
def test_every_launch_leaves_the_same_memory_in_every_order() -> None:
    device.all_orders, device.unordered = True, LATENCIES_IN_ANY_ORDER
    trace = generate(small_variant(preset("mixed-pods")), 5).trace
    expected = engine("numpy").evaluate([trace], named_policies(), Costs())
    assert CupyEngine().evaluate([trace], named_policies(), Costs()) == expected


# Looked at one by one, threads that clear the bits of different regions in one word are a race, though a harmless one:
# the word is changed by atomics, and no thread asks for the bit of another.
SHARE_WORDS = "dirty_retry"


@pytest.mark.slow
@pytest.mark.usefixtures("any_order", "watched")
def test_no_barrier_is_missing() -> None:
    chosen = [policy for policy in named_policies() if policy.scope != SHARE_WORDS]
    trace = generate(small_variant(preset("mixed-pods")), 5).trace
    assert CupyEngine().evaluate([trace], chosen, Costs()) == engine("numpy").evaluate([trace], chosen, Costs())


@pytest.mark.usefixtures("any_order", "watched")
@pytest.mark.parametrize("scope", ["region", "vm", "inode"])
def test_a_boot_pass_right_after_one_for_a_few_regions(scope: str) -> None:
    # More regions than a warp has lanes: each lane clears a word of members, and one lane writes to all words later.
    of = trace_of(
        *(ev(region, "assign", region) for region in range(70)),
        *(ev(1000 + region, "release", region) for region in range(70)),
        ev(2000, "vm_destroy"), ev(2000, "inode_free"), ev(200_000, "snp_init"),
        on=host(70), horizon=1_000_000,
    )  # fmt: skip
    hooks = {"region": "free_folio", "vm": "vm_destroy", "inode": "inode_free"}
    by = policy(hooks[scope], scope=scope, boot=True)
    assert CupyEngine().evaluate([of], [by], COSTS) == engine("numpy").evaluate([of], [by], COSTS)
