"""On a device threads run in any order: the engine gives the same rows in all that the emulator has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.array.xp.on_cupy import CupyNamespace
from gmemgpu.engine.array.xp.on_numpy import NUMPY
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

FEWER = settings(max_examples=settings.default.max_examples // 5)
"""An emulated example takes some tenths of a second; tests/engine/test_parity.py has them all."""


@pytest.fixture
def any_order() -> Iterator[None]:
    yield
    device.order, device.all_orders = 0, False


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
    device.all_orders = True
    trace = generate(small_variant(preset("mixed-pods")), 5).trace
    expected = engine("numpy").evaluate([trace], named_policies(), Costs())
    assert CupyEngine().evaluate([trace], named_policies(), Costs()) == expected


@pytest.mark.slow
@pytest.mark.usefixtures("any_order", "watched")
def test_no_barrier_is_missing() -> None:
    trace = generate(small_variant(preset("mixed-pods")), 5).trace
    expected = engine("numpy").evaluate([trace], named_policies(), Costs())
    assert CupyEngine().evaluate([trace], named_policies(), Costs()) == expected


@pytest.mark.usefixtures("any_order", "watched")
@pytest.mark.parametrize("n", [1, 300, 5000])
def test_no_barrier_is_missing_in_scans(n: int) -> None:
    xp = CupyNamespace(cupy, kernel.launch_here)
    values = np.random.default_rng(n).integers(-(1 << 62), 1 << 62, n)
    at = xp.asarray(np.array([0, n // 3, n // 3, n - 1, n]))
    assert np.array_equal(xp.max_scan(xp.asarray(values)).get(), np.maximum.accumulate(values))
    assert np.array_equal(xp.max_scan_within(xp.asarray(values), at).get(), NUMPY.max_scan_within(values, at.get()))
