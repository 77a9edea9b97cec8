"""Batches are cut to the memory there is, and give the same rows however they are cut."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from by_hand import ev, host, trace

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.cupy import batch as batches
from gmemgpu.engine.cupy import pairs
from gmemgpu.engine.cupy.batch import BatchReport, evaluate_batches
from gmemgpu.engine.cupy.memory import budget_bytes
from gmemgpu.engine.cupy.resident import Resident
from gmemgpu.engine.cupy.trace_input import TraceInput
from gmemgpu.engine.registry import engine
from gmemgpu.errors import BackendError
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.trace import Trace
from gmemgpu.units import NS_PER_S
from gmemgpu.workload.preset import preset, small_variant

cupy = pytest.importorskip("cupy", reason="no device, and no g++ to emulate one")

POLICIES = [policy for policy in named_policies() if policy.name in ("v10", "dirty_10s", "refcount", "oracle", "v2")]


def small(seed: int) -> Trace:
    workload = small_variant(preset("mixed-pods"))
    return generate(workload.model_copy(update={"horizon_ns": 2 * 60 * NS_PER_S}), seed).trace


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    return [small(1), small(2), trace(ev(1, "assign"), on=host(3)), small(3)]


def expected(of: Sequence[Trace]) -> object:
    return engine("numpy").evaluate(of, POLICIES, Costs())


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Record how many traces each batch, and pairs each portion has."""
    seen: dict[str, list[int]] = {"batches": [], "portions": []}
    evaluate, run = batches._evaluate, pairs._run_portion

    def counted_evaluate(batch, *rest):  # type: ignore[no-untyped-def]
        seen["batches"].append(len(batch))
        return evaluate(batch, *rest)

    def counted_run(batch, portion):  # type: ignore[no-untyped-def]
        seen["portions"].append(len(portion))
        return run(batch, portion)

    monkeypatch.setattr(batches, "_evaluate", counted_evaluate)
    monkeypatch.setattr(pairs, "_run_portion", counted_run)
    return seen


def test_one_batch_serves_all_that_fits(traces: list[Trace], sizes: dict[str, list[int]]) -> None:
    assert evaluate_batches(traces, POLICIES, Costs()) == expected(traces)
    assert sizes == {"batches": [4], "portions": [4 * (len(POLICIES) - 1)]}


def test_traces_that_do_not_fit_together_come_apart(traces: list[Trace], sizes: dict[str, list[int]]) -> None:
    from gmemgpu.engine.cupy.memory import bound_bytes, owners_bytes

    residents = [Resident(TraceInput(item), POLICIES[:-1]) for item in traces]
    budget = max(bound_bytes(item) for item in residents) + owners_bytes(residents[:1]) + 1
    assert evaluate_batches(traces, POLICIES, Costs(), budget=budget) == expected(traces)
    assert len(sizes["batches"]) > 1
    assert sum(sizes["batches"]) == len(traces)


def test_many_pieces_go_on_their_way_early(
    traces: list[Trace], sizes: dict[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LAUNCH_PIECES", 1)
    assert evaluate_batches(traces, POLICIES, Costs()) == expected(traces)
    assert sizes["batches"] == [1, 1, 1, 1]


def test_no_trace_no_row() -> None:
    assert evaluate_batches([], POLICIES, Costs()) == []


def test_no_policy_gives_empty_rows(traces: list[Trace]) -> None:
    assert evaluate_batches(traces, [], Costs()) == [[], [], [], []]


def test_traces_are_taken_while_a_batch_is_on_the_device(traces: list[Trace], monkeypatch: pytest.MonkeyPatch) -> None:
    # The first batch may end only when the second trace after it has been asked for: else this would wait for ever.
    import threading

    monkeypatch.setattr(batches, "LAUNCH_PIECES", 1)
    asked = threading.Event()
    evaluate = batches._evaluate

    def waiting(batch, *rest):  # type: ignore[no-untyped-def]
        assert asked.wait(60)
        return evaluate(batch, *rest)

    monkeypatch.setattr(batches, "_evaluate", waiting)

    def made() -> Iterator[Trace]:
        for i, item in enumerate(traces):
            if i == 2:
                asked.set()
            yield item

    assert evaluate_batches(made(), POLICIES, Costs()) == expected(traces)


def test_an_error_of_the_caller_passes_through(traces: list[Trace]) -> None:
    def broken() -> Iterator[Trace]:
        yield traces[0]
        raise KeyError("made up")

    with pytest.raises(KeyError, match="made up"):
        evaluate_batches(broken(), POLICIES, Costs())


def _least_budget(of: Trace) -> int:
    # The least with which a trace can be evaluated, to 2 %: the double of what is too little, then by bisection. Too
    # little costs next to nothing to try; what is enough is evaluated.
    def is_enough(budget: int) -> bool:
        try:
            evaluate_batches([of], POLICIES, Costs(), budget=budget)
        except BackendError:
            return False
        return True

    low = 1 << 12
    while not is_enough(2 * low):
        low *= 2
    high = 2 * low
    while high - low > high // 50:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def test_a_trace_larger_than_a_batch_is_cut_into_slices(
    sizes: dict[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gmemgpu.engine.cupy import timelines
    from gmemgpu.engine.cupy.memory import bound_bytes, owners_bytes

    # Many pieces that change little: their rows are few, so that in slices the trace needs much less than whole.
    events = [ev(1, "use", region, 9) for region in range(6)]
    events += [ev(2 + t, "use", t % 6, 9) for t in range(12_000)]
    events += [ev(20_000 + t, ("assign", "release")[t % 2], 3, page=7) for t in range(8)]
    large = trace(*events, on=host(6))
    cuts: list[int] = []
    cut = timelines.cut_slices

    def counted(batch, n_bytes):  # type: ignore[no-untyped-def]
        lists = cut(batch, n_bytes)
        cuts.append(len(lists))
        return lists

    monkeypatch.setattr(timelines, "cut_slices", counted)
    resident = Resident(TraceInput(large), POLICIES)
    whole = bound_bytes(resident) + owners_bytes([resident])
    least = _least_budget(large)
    assert least < whole
    cuts.clear()
    sizes["portions"].clear()
    assert evaluate_batches([large], POLICIES, Costs(), budget=least) == expected([large])
    assert cuts[0] > 1
    cuts.clear()
    assert evaluate_batches([large], POLICIES, Costs(), budget=whole) == expected([large])
    assert cuts == [1]


def test_pairs_that_do_not_fit_together_come_apart(
    traces: list[Trace], sizes: dict[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = batches.run_pairs

    def scarce(residents, policies, costs, n_bytes, stream):  # type: ignore[no-untyped-def]
        largest = max(pairs.pair_bytes(policy, item, 10_000) for policy in policies for item in residents)
        assert n_bytes > 6 * largest
        return run(residents, policies, costs, 6 * largest, stream)

    monkeypatch.setattr(batches, "run_pairs", scarce)
    assert evaluate_batches(traces, POLICIES, Costs()) == expected(traces)
    assert len(sizes["portions"]) > 2
    assert sum(sizes["portions"]) == len(traces) * (len(POLICIES) - 1)


@pytest.mark.parametrize("budget", [0, 1 << 16, 1 << 20])
def test_too_little_memory_is_said(budget: int) -> None:
    large = trace(*[ev(1 + t, ("assign", "release")[t % 2], t % 4, page=t % 99) for t in range(9_000)], on=host(4))
    with pytest.raises(BackendError, match=r'backend "cupy": .* bytes .*; take numpy'):
        evaluate_batches([large], POLICIES, Costs(), budget=budget)


@pytest.mark.parametrize("preset_name", ["mixed-pods", "iaas-mixed"])
@pytest.mark.parametrize("scarce", [False, True])
def test_memory_is_what_was_predicted(preset_name: str, scarce: bool) -> None:
    if not hasattr(cupy, "is_emulated"):
        pytest.skip("what else uses a real device cannot be told apart; bench/gpu.py reports it")
    import gc

    import strict_cupy

    of = [generate(small_variant(preset(preset_name)), seed).trace for seed in range(1 if scarce else 3)]
    reports: list[BatchReport] = []
    budget = _least_budget(of[0]) if scarce else None
    gc.collect()
    strict_cupy.device.reset(1 << 30)
    evaluate_batches(of, POLICIES, Costs(), budget=budget, observe=reports.append)
    (report,) = reports
    assert report.n_pairs == len(of) * (len(POLICIES) - 1)
    assert report.n_lists == 1 or scarce
    assert 0.9 < strict_cupy.device.peak_bytes / report.predicted_bytes < 1.1


@pytest.fixture
def emulated() -> Iterator[Any]:
    """Give the emulated device, with no memory held by what other tests left."""
    if not hasattr(cupy, "is_emulated"):
        pytest.skip("what else uses a real device cannot be told apart")
    import gc

    import strict_cupy

    gc.collect()
    strict_cupy.device.reset(1 << 30)
    yield strict_cupy.device
    strict_cupy.device.reset(1 << 30)


@pytest.fixture
def places(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Record what the pools hold, and which stream is used, as each batch begins and after its timelines."""
    seen: dict[str, list[Any]] = {"kept": [], "pinned": [], "streams": [], "devices": []}
    monkeypatch.setattr(batches, "LAUNCH_PIECES", 1)

    def look(stream: Any) -> None:
        seen["kept"].append(emulated.pool_bytes - emulated.used_bytes)
        seen["streams"].append(stream)
        seen["devices"].append(cupy.cuda.Device().id)

    upload, run = Resident.upload, batches.run_pairs

    def uploaded(self: Resident, stream: Any) -> None:
        look(stream)
        seen["pinned"].append(emulated.pinned_pool_bytes)
        upload(self, stream)

    def ran(residents: Any, policies: Any, costs: Any, n_bytes: int, stream: Any) -> Any:
        look(stream)
        return run(residents, policies, costs, n_bytes, stream)

    monkeypatch.setattr(Resident, "upload", uploaded)
    monkeypatch.setattr(batches, "run_pairs", ran)
    return seen


def test_the_pool_keeps_nothing_that_a_batch_may_want_whole(
    traces: list[Trace], emulated: Any, places: dict[str, list[Any]]
) -> None:
    before = emulated.pool_releases
    evaluate_batches(traces, POLICIES, Costs())
    assert places["kept"] == [0] * 8
    assert emulated.pool_releases - before == 8
    assert len(set(map(id, places["streams"]))) == 1


def test_pinned_memory_is_given_back(traces: list[Trace], emulated: Any, places: dict[str, list[Any]]) -> None:
    evaluate_batches(traces, POLICIES, Costs())
    assert places["pinned"] == [0] * 4
    assert emulated.pinned_pool_bytes == 0


@pytest.mark.parametrize("device_id", [0, 1])
def test_the_callers_device_is_used(
    traces: list[Trace], emulated: Any, places: dict[str, list[Any]], device_id: int
) -> None:
    emulated.n_devices = 2
    with cupy.cuda.Device(device_id):
        evaluate_batches(traces[:2], POLICIES, Costs())
    assert places["devices"] == [device_id] * 4
    assert {stream.device_id for stream in places["streams"]} == {device_id}
    assert cupy.cuda.Device().id == 0


def test_times_beyond_63_bits_are_refused() -> None:
    far = dataclasses.replace(trace(on=host(2)), horizon_ns=(1 << 63) - 1)
    with pytest.raises(BackendError, match='backend "cupy" counts in 63 bits'):
        evaluate_batches([far], POLICIES, Costs())


def test_more_rows_than_can_be_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmemgpu.engine.cupy.resident._MOST_CLASS_ROWS", 7)
    with pytest.raises(BackendError, match="counts rows in 31 bits, and the timelines of this trace have 8;"):
        evaluate_batches([trace(on=host(4))], POLICIES, Costs())


def test_same_name_twice() -> None:
    # Policies go by their place, not by name: a caller may try variants of one.
    v10, other = POLICIES[0], dataclasses.replace(POLICIES[1], name=POLICIES[0].name)
    of = [small(1)]
    assert evaluate_batches(of, [v10, other], Costs()) == engine("numpy").evaluate(of, [v10, other], Costs())


def test_columns_need_not_be_contiguous() -> None:
    base = small(1)
    strided = {name: np.repeat(getattr(base, name), 2)[::2] for name in ("t_ns", "pfn", "npages", "vm", "inode")}
    assert evaluate_batches([dataclasses.replace(base, **strided)], POLICIES, Costs()) == expected([base])


def test_a_device_that_is_shared_is_not_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    pool = cupy.get_default_memory_pool()
    whole = budget_bytes()
    shared = SimpleNamespace(
        get_limit=lambda: pool.used_bytes() + (1 << 20), used_bytes=pool.used_bytes, total_bytes=pool.total_bytes
    )
    monkeypatch.setattr(cupy, "get_default_memory_pool", lambda: shared)
    assert budget_bytes() == int(0.9 * (1 << 20)) < whole
