"""Kernels that take the place of array operations, against those operations."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.engine.array.due import Lasted, Timers, due_times
from gmemgpu.engine.array.passes import Passes
from gmemgpu.engine.array.request_times import RequestTimes
from gmemgpu.engine.array.xp.namespace import Namespace, begins
from gmemgpu.engine.array.xp.on_cupy import CupyNamespace
from gmemgpu.engine.array.xp.on_numpy import NUMPY
from gmemgpu.model.trace import Int64Array

MOST_NS = 40
TIMES = st.integers(0, MOST_NS)


@pytest.fixture(scope="module")
def device() -> Namespace:
    cupy = pytest.importorskip("cupy", reason="no CUDA device, and no g++ to emulate one")
    from gmemgpu.engine.cupy.kernel import launch_here

    return CupyNamespace(cupy, launch_here)


def on(xp: Namespace, value: Any) -> Any:
    """Return the same with arrays of a library."""
    if isinstance(value, np.ndarray):
        return xp.asarray(value)
    if hasattr(value, "__dataclass_fields__"):
        return type(value)(*(on(xp, getattr(value, field.name)) for field in fields(value)))
    return value


def ints(values: list[int]) -> Int64Array:
    return np.array(values, np.int64)


@st.composite
def segments(draw: st.DrawFn, n_pairs: int, most: int = 6) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Draw ascending times for each pair: where those of each begin, whose each is, and the times."""
    each = [sorted(draw(st.lists(TIMES, max_size=most))) for _ in range(n_pairs)]
    at = begins([len(own) for own in each])
    return at, np.repeat(np.arange(n_pairs), np.diff(at)), ints([t for own in each for t in own])


@st.composite
def due_arguments(draw: st.DrawFn) -> tuple[Any, ...]:
    n_pairs = draw(st.integers(1, 3))
    at, pair, t_ns = draw(segments(n_pairs))
    n, ends = len(t_ns), at[1:][pair]

    def column(least: Int64Array, most: Int64Array) -> Int64Array:
        return ints([draw(st.integers(a, b)) for a, b in zip(least.tolist(), most.tolist(), strict=True)])

    def times() -> Int64Array:
        return column(t_ns, np.full(n, MOST_NS + 20))

    index = np.arange(n)
    later = [column(index + 1, ends) for _ in range(3)]
    met = np.zeros(0, np.int64)
    requests = RequestTimes(
        at, t_ns, column(index, ends - 1), times(), later[0], times(), later[1], times(), later[2], met
    )
    # Before some of all requests were lost.
    lost = draw(st.none() | st.lists(st.integers(0, 3), min_size=n + 1, max_size=n + 1))
    origin = None if lost is None else index + np.cumsum(lost)[:n]
    all_at = at if lost is None else at + begins(lost)[at]
    n_all = int(all_at[-1])
    first = ints(sorted(draw(st.sets(st.integers(0, n_all - 1))))) if n_all else met
    lasted = Lasted(first, ints([draw(TIMES) for _ in first]), all_at)
    pass_at, pass_pair, start_ns = draw(segments(n_pairs))
    n_passes = len(start_ns)
    end_ns = start_ns + ints(draw(st.lists(TIMES, min_size=n_passes, max_size=n_passes)))
    boot = np.array(draw(st.lists(st.booleans(), min_size=n_passes, max_size=n_passes)), bool)
    passes = Passes(pass_at, pass_pair, start_ns, end_ns, boot, column(at[pass_pair], at[1:][pass_pair]))
    boot_at, _, boot_ns = draw(segments(n_pairs, 2))
    boot_end = boot_ns + ints([draw(TIMES) for _ in boot_ns])
    drop = np.array(draw(st.lists(st.booleans(), min_size=n_pairs, max_size=n_pairs)))
    debounce_ns = ints(draw(st.lists(st.sampled_from([-1, 5]), min_size=n_pairs, max_size=n_pairs)))
    most_boots = int(np.diff(boot_at).max())
    timers = Timers(drop, bool(drop.any()), bool(drop.all()), debounce_ns, boot_at, boot_ns, most_boots)
    return timers, requests, origin, passes, boot_end, lasted


@given(arguments=due_arguments())
def test_due_times(device: Namespace, arguments: tuple[Any, ...]) -> None:
    expected = due_times(NUMPY, *arguments)
    found = due_times(device, *(on(device, argument) for argument in arguments))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.tolist() == theirs.tolist()
