"""Kernels that take the place of array operations, against those operations."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joined_columns import joined_columns

from gmemgpu.engine.array.batch import Batch, Pairs
from gmemgpu.engine.array.begun import BootPasses, Coming, begun, boot_passes, merged, met_passes, pushed
from gmemgpu.engine.array.constants import used_between
from gmemgpu.engine.array.dominance import dominance_sums, span_points
from gmemgpu.engine.array.due import Lasted, Timers, due_times
from gmemgpu.engine.array.naming import NamedRegions
from gmemgpu.engine.array.passes import Passes
from gmemgpu.engine.array.request_times import RequestTimes, some_requests
from gmemgpu.engine.array.tables import Tables
from gmemgpu.engine.array.targets import cleared_keys, requested_keys
from gmemgpu.engine.array.visits import attempt_costs, attempt_visits, attempts_of
from gmemgpu.engine.array.xp.namespace import Namespace, begins
from gmemgpu.engine.array.xp.on_cupy import THREADS, TILE_ITEMS, CupyNamespace
from gmemgpu.engine.array.xp.on_numpy import NUMPY
from gmemgpu.model.cost import Costs
from gmemgpu.model.trace import Int64Array, Trace
from gmemgpu.testing.strategies import policies, traces
from gmemgpu.timeline.integral import UsedIntegral

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


def alike(ours: Any, theirs: Any) -> None:
    """Check that values, or dataclasses of arrays, are the same."""
    if hasattr(theirs, "__dataclass_fields__"):
        for field in fields(theirs):
            alike(getattr(ours, field.name), getattr(theirs, field.name))
    else:
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()


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
        alike(ours, theirs)


def test_a_pass_of_another_pair_lasts_for_no_request(device: Namespace) -> None:
    # Of pair 1 no pass is known yet: the last one before its requests is pair 0's, which would lose some of them.
    at, t_ns, index = ints([0, 1, 4]), ints([0, 10, 20, 30]), np.arange(4)
    nothing = np.zeros(0, np.int64)
    requests = RequestTimes(at, t_ns, index, t_ns, index + 1, t_ns + 90, index + 1, t_ns, index + 1, nothing)
    passes = Passes(ints([0, 1, 1]), ints([0]), ints([0]), ints([15]), np.zeros(1, bool), ints([0]))
    lasted = Lasted(passes.first, passes.end_ns - passes.start_ns, at)
    timers = Timers(np.ones(2, bool), True, True, ints([-1, -1]), ints([0, 0, 0]), nothing, 0)
    for xp in (NUMPY, device):
        found = due_times(xp, *(on(xp, each) for each in (timers, requests, None, passes, nothing, lasted)))
        assert [column.tolist() for column in found] == [t_ns.tolist(), t_ns.tolist(), [1, 2, 3, 4]]


@given(arguments=due_arguments(), data=st.data())
def test_met_passes(device: Namespace, arguments: tuple[Any, ...], data: st.DataObject) -> None:
    _, requests, origin, _, _, lasted = arguments
    n = len(requests.t_ns)
    met = ints(sorted(data.draw(st.sets(st.integers(0, n - 1))))) if n else requests.met
    given_ = met, requests.at, requests.due_ns, requests.alone_ns, origin, lasted
    alike(met_passes(device, *(on(device, each) for each in given_)), met_passes(NUMPY, *given_))


@st.composite
def coming(draw: st.DrawFn, n_pairs: int) -> Coming:
    at, _, start_ns = draw(segments(n_pairs))
    n = len(start_ns)
    due_ns, length_ns = (ints(draw(st.lists(TIMES, min_size=n, max_size=n))) for _ in range(2))
    return Coming(at, start_ns, due_ns, length_ns, np.arange(n), np.zeros(n, bool))


@given(n_pairs=st.integers(1, 3), data=st.data())
def test_merged_and_begun(device: Namespace, n_pairs: int, data: st.DataObject) -> None:
    plain, boots = data.draw(coming(n_pairs)), data.draw(coming(n_pairs))
    boot_passes = BootPasses(boots.at, boots.start_ns, boots.due_ns, boots.length_ns)
    expected = merged(NUMPY, plain, boot_passes)
    alike(merged(device, on(device, plain), on(device, boot_passes)), expected)

    horizon_ns = ints(data.draw(st.lists(st.integers(0, 3 * MOST_NS), min_size=n_pairs, max_size=n_pairs)))
    nothing = Passes(np.zeros(n_pairs + 1, np.int64), *(np.zeros(0, np.int64) for _ in range(5)))
    found, _ = begun(NUMPY, expected, horizon_ns, nothing)
    old = found
    if data.draw(st.booleans()):
        moved = data.draw(st.lists(st.sampled_from([0, 0, 1]), min_size=len(found.first), max_size=len(found.first)))
        old = Passes(found.at, found.pair, found.start_ns + moved, found.end_ns, found.boot, found.first)
    elif data.draw(st.booleans()):
        old, _ = begun(NUMPY, expected, horizon_ns // 2, nothing)
    ours, ours_differ = begun(device, on(device, expected), on(device, horizon_ns), on(device, old))
    theirs, theirs_differ = begun(NUMPY, expected, horizon_ns, old)
    alike(ours, theirs)
    alike(ours_differ, theirs_differ)


@given(
    passes=st.lists(st.tuples(TIMES | st.just(1 << 60), TIMES | st.sampled_from([1 << 60, 1 << 62])), max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=3),
)
def test_pushed(device: Namespace, passes: list[tuple[int, int]], cuts: list[int]) -> None:
    n = len(passes)
    due, length = (ints([each[k] for each in passes]) for k in (0, 1))
    at = ints([0, *sorted(min(cut, n) for cut in cuts), n])
    given_ = due, length, at, due
    alike(pushed(device, *(on(device, each) for each in given_)), pushed(NUMPY, *given_))


@pytest.mark.parametrize("extra", [-1, 0, 1, 3000])
def test_passes_pushed_beyond_a_tile(device: Namespace, extra: int) -> None:
    n = 2 * THREADS["MAX"] * TILE_ITEMS + extra
    random = np.random.default_rng(n)
    due, length = np.sort(random.integers(0, 10 * n, n)), random.integers(0, 21, n)
    at = ints([0, 7, 7, n // 2, n - 2, n, n])
    found = pushed(device, *(on(device, each) for each in (due, length, at, due)))
    alike(found, pushed(NUMPY, due, length, at, due))
    assert (found.get() > due).mean() > 0.3


@given(
    of=st.lists(traces(), min_size=1, max_size=2), chosen=st.lists(policies(), min_size=1, max_size=2), data=st.data()
)
def test_attempts(device: Namespace, of: list[Trace], chosen: list[Any], data: st.DataObject) -> None:
    of = [trace.before_horizon() for trace in of]
    chosen = [policy for policy in chosen if not policy.is_oracle]
    if not chosen or not all(trace.host.covering_cores() and max(trace.host.covering_cores()) for trace in of):
        return
    host, ours = (Batch(Pairs(Tables(joined_columns(of, xp)), chosen, Costs())) for xp in (NUMPY, device))
    at, pair, start_ns = data.draw(segments(len(host)))
    none = np.zeros(len(pair), np.int64)
    passes = Passes(at, pair, start_ns * (int(host.horizon_ns.min()) // (MOST_NS + 1)), none, none > 0, none)
    instant = host.instant(passes.start_ns, at)
    alike(ours.instant(on(device, passes.start_ns), on(device, at)), instant)
    cells = [(k, p) for k, q in enumerate(pair.tolist()) for p in range(int(host.n_positions[q]))]
    picked = data.draw(st.sets(st.sampled_from(cells), max_size=12)) if cells else set()
    key = ints([k * host.most_positions + p for k, p in sorted(picked)])
    attempts = attempts_of(host, passes, instant, key)
    our_attempts = attempts_of(ours, on(device, passes), on(device, instant), on(device, key))
    alike(our_attempts, attempts)

    n = len(attempts.row)
    visited = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    caught = np.random.default_rng(n).random(host.n_rows) < 0.3
    code, _, length_ns = costs = attempt_costs(host, attempts, visited, caught)
    our_costs = attempt_costs(ours, our_attempts, on(device, visited), on(device, caught))
    length_ns = length_ns * data.draw(st.sampled_from([1, 10**6]))  # so that rows are over by their visit
    expected = attempt_visits(host, attempts, passes.start_ns, code, length_ns)
    found = attempt_visits(ours, our_attempts, *(on(device, each) for each in (passes.start_ns, code, length_ns)))
    for theirs, mine in zip((*costs, *expected), (*our_costs, *found), strict=True):
        alike(mine, theirs)


@given(arguments=due_arguments(), data=st.data())
def test_some_requests(device: Namespace, arguments: tuple[Any, ...], data: st.DataObject) -> None:
    requests = arguments[1]
    chosen = ints(data.draw(st.lists(st.integers(0, len(requests.at) - 2), min_size=1, max_size=4)))
    alike(some_requests(device, on(device, requests), chosen), some_requests(NUMPY, requests, chosen))


@given(arguments=due_arguments(), data=st.data())
def test_targets(device: Namespace, arguments: tuple[Any, ...], data: st.DataObject) -> None:
    _, requests, _, passes, _, _ = arguments
    n_pairs, n, n_passes = len(requests.at) - 1, len(requests.t_ns), len(passes.start_ns)

    def flags(size: int) -> Any:
        return np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool)

    # What passes begin with ascends.
    first = np.sort(passes.first) if n else passes.first
    boot = passes.boot | (n == 0)
    passes = Passes(passes.at, passes.pair, passes.start_ns, passes.end_ns, boot, first)
    ran, lost, base = flags(n_passes), data.draw(st.none() | st.just(flags(n))), 7
    request = ints(sorted(data.draw(st.lists(st.integers(0, n - 1), max_size=9)))) if n else np.zeros(0, np.int64)
    position = np.arange(len(request)) % base
    named = NamedRegions(requests.at, request, position, position * 4)
    given_ = named, request, requests, lost, passes, ran
    ours, theirs = (
        requested_keys(xp, *(on(xp, each) for each in given_), base)  # type: ignore[arg-type]
        for xp in (device, NUMPY)
    )
    assert [key for key in ours.tolist() if key >= 0] == theirs.tolist()

    at, pair, cleared_ns = data.draw(segments(n_pairs))
    given_ = cleared_ns, np.arange(len(pair)) % base, at, pair, passes, ran
    ours, theirs = (cleared_keys(xp, *(on(xp, each) for each in given_), base) for xp in (device, NUMPY))
    assert [key for key in ours.tolist() if key >= 0] == theirs.tolist()
    assert device.once(ours, 0).tolist() == NUMPY.once(theirs).tolist()


@given(n_pairs=st.integers(1, 3), large=st.booleans(), data=st.data())
def test_boot_passes(device: Namespace, n_pairs: int, large: bool, data: st.DataObject) -> None:
    boot_at, boot_pair, due_ns = data.draw(segments(n_pairs, 3))
    at, pair, start_ns = data.draw(segments(n_pairs))
    n = len(start_ns)
    length_ns = ints(data.draw(st.lists(TIMES | st.just(1 << 60) if large else TIMES, min_size=n, max_size=n)))
    # As many boot passes have started as fell due, at most.
    boot = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    before = begins(boot)
    ordinal = before[1:] - before[at[:-1][pair]]
    boot &= ordinal <= np.diff(boot_at)[pair]
    passes = Passes(at, pair, start_ns, start_ns + length_ns, boot, np.zeros(n, np.int64))
    given_ = boot_at, boot_pair, due_ns, passes, np.flatnonzero(~boot)
    found = boot_passes(device, *(on(device, each) for each in given_))
    for ours, theirs in zip(found, boot_passes(NUMPY, *given_), strict=True):
        alike(ours, theirs)


@given(data=st.data(), n_passes=st.integers(1, 9))
def test_span_points(device: Namespace, data: st.DataObject, n_passes: int) -> None:
    drawn = st.tuples(st.integers(0, n_passes - 1), st.integers(1, n_passes), st.integers(0, 3), TIMES)
    each = [(low, max(low + 1, high), *rest) for low, high, *rest in data.draw(st.lists(drawn, max_size=9))]
    spans = tuple(ints([span[k] for span in each]) for k in range(4))
    table_row, position = ints([2, 0, 1, 2]), ints([4, 0, 6])
    asked = ints(data.draw(st.lists(st.integers(0, 1), min_size=n_passes, max_size=n_passes)))
    given_ = spans, table_row, position, begins(asked)
    ours, _ = span_points(device, tuple(on(device, column) for column in spans), *(on(device, x) for x in given_[1:]))
    theirs, n_places = span_points(NUMPY, *given_)

    def looked_at(points: tuple[Any, ...]) -> list[tuple[int, ...]]:
        return sorted(
            point for point in zip(*(column.tolist() for column in points), strict=True) if point[0] < n_places
        )

    assert looked_at(ours) == looked_at(theirs)
    assert len(looked_at(theirs)) == len(theirs[0])


@pytest.mark.parametrize("n_heights", [1, 5, 128, 600, 1536])
@pytest.mark.parametrize("n", [0, 63, 64, 1023, 1024, 5000])
def test_dominance_sums_beyond_a_tile(device: Namespace, n: int, n_heights: int) -> None:
    random = np.random.default_rng(n + n_heights)
    n_places = 37
    # Places of no point, and one that fills tiles.
    place = np.where(random.random(n) < 0.4, 11, random.integers(3, n_places - 2, n))
    points = place, random.integers(0, n_heights, n), random.integers(-(1 << 50), 1 << 50, n)
    queries = np.arange(2 * n_places) % n_places, random.integers(0, n_heights, 2 * n_places)
    found = dominance_sums(device, *(on(device, each) for each in (*points, *queries)), n_places, n_heights)
    alike(found, dominance_sums(NUMPY, *points, *queries, n_places, n_heights))


@given(n_regions=st.integers(1, 3), data=st.data())
def test_used_between(device: Namespace, n_regions: int, data: st.DataObject) -> None:
    offset, region, t_ns = data.draw(segments(n_regions))
    # Each region has a row at 0; running sums have wrapped somewhere.
    offset, t_ns = offset + np.arange(n_regions + 1), np.insert(t_ns, offset[:-1], 0) << 40
    random = np.random.default_rng(len(t_ns))
    used, high, low = (random.integers(0, most, len(t_ns)) for most in (1 << 18, (1 << 63) - 1, (1 << 63) - 1))
    region = ints(data.draw(st.lists(st.integers(0, n_regions - 1), max_size=6)))
    begin_ns, end_ns = (random.integers(0, 60 << 40, len(region)) for _ in range(2))
    given_ = UsedIntegral(offset, t_ns, used, high, low), region, begin_ns, end_ns
    ours = used_between(device, *(on(device, each) for each in given_))
    for mine, theirs in zip(ours, used_between(NUMPY, *given_), strict=True):
        alike(mine, theirs)
