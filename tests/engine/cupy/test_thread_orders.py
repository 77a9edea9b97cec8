"""On a device threads run in any order: the engine gives the same rows in all that the emulator has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmemgpu.engine.cupy import CupyEngine
from gmemgpu.engine.registry import engine
from gmemgpu.model.catalogue import default_costs, named_policies
from gmemgpu.model.cost import Costs
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.testing.strategies import costs, policies, traces
from gmemgpu.workload.generate import generate
from gmemgpu.workload.preset import preset, small_variant

cupy = pytest.importorskip("cupy", reason="no device, and no g++ to emulate one")
if not hasattr(cupy, "is_emulated"):
    pytest.skip("a real device takes the order that it likes", allow_module_level=True)

from strict_cupy import device  # noqa: E402  # only where the stand-in is installed

FEWER = settings(max_examples=min(60, settings.default.max_examples))
"""An emulated example takes some hundredths of a second; tests/engine/test_parity.py has them all."""

LATENCIES_IN_ANY_ORDER = {"evaluate_few", "evaluate_window"}


@pytest.fixture
def any_order() -> Iterator[None]:
    yield
    device.order, device.all_orders, device.unordered = 0, False, set()


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
    expected = engine("numpy").evaluate([trace], named_policies(), default_costs())
    assert CupyEngine().evaluate([trace], named_policies(), default_costs()) == expected
