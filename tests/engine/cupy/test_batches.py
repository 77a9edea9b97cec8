"""Batches are cut to the memory there is, and give the same rows however they are cut."""

from __future__ import annotations

import dataclasses
import gc
import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from by_hand import ev, host, trace

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.cupy import batch as batches
from gmemgpu.engine.cupy.batch import BatchReport, evaluate_batches
from gmemgpu.engine.cupy.memory import budget_bytes
from gmemgpu.engine.cupy.timelines import PIECE_BYTES, least_bytes
from gmemgpu.engine.registry import engine
from gmemgpu.errors import BackendError
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.trace import Trace
from gmemgpu.units import NS_PER_S
from gmemgpu.workload.preset import preset, small_variant

cupy = pytest.importorskip("cupy", reason="no device, and no g++ to emulate one")

POLICIES = [policy for policy in named_policies() if policy.name in ("v10", "dirty_10s", "refcount", "oracle", "v2")]
N_OWN = len(POLICIES) - 1


def small(seed: int) -> Trace:
    workload = small_variant(preset("mixed-pods"))
    return generate(workload.model_copy(update={"horizon_ns": 2 * 60 * NS_PER_S}), seed).trace


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    return [small(1), small(2), trace(ev(1, "assign"), on=host(3)), small(3)]


@pytest.fixture
def reports() -> list[BatchReport]:
    return []


def expected(of: Sequence[Trace]) -> object:
    return engine("numpy").evaluate(of, POLICIES, Costs())


def test_one_batch_serves_all_that_fits(traces: list[Trace], reports: list[BatchReport]) -> None:
    assert evaluate_batches(traces, POLICIES, Costs(), observe=reports.append) == expected(traces)
    (report,) = reports
    assert (report.n_traces, report.n_pairs) == (4, 4 * N_OWN)
    # Two of the policies look at the whole window, two at single regions.
    assert report.portions == [8, 8]
    assert report.slice_pieces == [report.n_pieces]


def test_traces_that_do_not_fit_together_come_apart(traces: list[Trace], reports: list[BatchReport]) -> None:
    budget = max(least_bytes(len(item), item.host.n_regions) for item in traces) + (1 << 20)
    assert evaluate_batches(traces, POLICIES, Costs(), budget=budget, observe=reports.append) == expected(traces)
    assert len(reports) > 1
    assert sum(report.n_traces for report in reports) == len(traces)


def test_many_pieces_go_on_their_way_early(
    traces: list[Trace], reports: list[BatchReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LAUNCH_EVENTS", 1)
    assert evaluate_batches(traces, POLICIES, Costs(), observe=reports.append) == expected(traces)
    assert [report.n_traces for report in reports] == [1, 1, 1, 1]


def test_so_do_many_pairs(traces: list[Trace], reports: list[BatchReport], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LAUNCH_PAIRS", 2 * len(POLICIES))
    assert evaluate_batches(traces, POLICIES, Costs(), observe=reports.append) == expected(traces)
    assert [report.n_traces for report in reports] == [2, 2]


def test_no_trace_no_row() -> None:
    assert evaluate_batches([], POLICIES, Costs()) == []


def test_no_policy_gives_empty_rows(traces: list[Trace]) -> None:
    assert evaluate_batches(traces, [], Costs()) == [[], [], [], []]


def test_traces_are_taken_while_a_batch_is_on_the_device(traces: list[Trace], monkeypatch: pytest.MonkeyPatch) -> None:
    # The first batch may end only when the second trace after it has been asked for: else this would wait for ever.
    monkeypatch.setattr(batches, "LAUNCH_EVENTS", 1)
    asked = threading.Event()
    play = batches.play_traces

    def waiting(*arguments, **options):  # type: ignore[no-untyped-def]
        assert asked.wait(60)
        return play(*arguments, **options)

    monkeypatch.setattr(batches, "play_traces", waiting)

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


@pytest.fixture(scope="module")
def large() -> Trace:
    # Many pieces that change little: their rows are few.
    events = [ev(1, "use", region, 9) for region in range(6)]
    events += [ev(2 + t, "use", t % 6, 9) for t in range(30_000)]
    events += [ev(40_000 + t, ("assign", "release")[t % 2], 3, page=7) for t in range(8)]
    return trace(*events, on=host(6))


def test_a_trace_larger_than_a_batch_is_cut_into_slices(large: Trace, reports: list[BatchReport]) -> None:
    budget = least_bytes(len(large), 6) + len(large) // 2 * PIECE_BYTES
    assert evaluate_batches([large], POLICIES, Costs(), budget=budget, observe=reports.append) == expected([large])
    (report,) = reports
    assert len(report.slice_pieces) > 1
    assert sum(report.slice_pieces) == report.n_pieces


@pytest.fixture(scope="module")
def many() -> Trace:
    return trace(*[ev(1 + t, ("assign", "release")[t % 2], t // 2 % 2, page=7) for t in range(4_000)], on=host(2))


def test_pairs_that_do_not_fit_together_come_apart(many: Trace, reports: list[BatchReport]) -> None:
    window = [dataclasses.replace(POLICIES[0], name=str(k)) for k in range(8)]
    rows = evaluate_batches([many], window, Costs(), observe=reports.append)
    assert reports[0].portions == [8]
    budget = reports[0].predicted_bytes // 2
    assert evaluate_batches([many], window, Costs(), budget=budget, observe=reports.append) == rows
    assert len(reports[1].portions) > 1
    assert sum(reports[1].portions) == 8
    assert budget >= reports[1].predicted_bytes


@pytest.mark.parametrize("budget", [0, 1 << 16, 1 << 20])
def test_too_little_memory_is_said(many: Trace, budget: int) -> None:
    with pytest.raises(BackendError, match=r'backend "cupy": .* bytes .*; take numpy'):
        evaluate_batches([many], POLICIES, Costs(), budget=budget)


def test_too_little_memory_for_a_pair_is_said(many: Trace) -> None:
    with pytest.raises(BackendError, match=r"one policy on this trace needs \d+ bytes on the device, and \d+ are free"):
        evaluate_batches([many], POLICIES, Costs(), budget=least_bytes(len(many), 2) + len(many) * PIECE_BYTES)


@pytest.fixture
def emulated() -> Iterator[Any]:
    """Give the emulated device, with no memory held by what other tests left."""
    if not hasattr(cupy, "is_emulated"):
        pytest.skip("what else uses a real device cannot be told apart")
    import strict_cupy

    gc.collect()
    strict_cupy.device.reset(1 << 30)
    yield strict_cupy.device
    strict_cupy.device.reset(1 << 30)


@pytest.mark.parametrize("preset_name", ["mixed-pods", "iaas-mixed"])
def test_no_more_memory_is_taken_than_was_predicted(
    preset_name: str, emulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = [generate(small_variant(preset(preset_name)), seed).trace for seed in range(2)]
    prepared = batches.evaluate_columns
    shares: list[float] = []

    def evaluated(*arguments):  # type: ignore[no-untyped-def]
        gc.collect()
        emulated.peak_bytes = emulated.used_bytes  # what timelines take is known to the byte
        found = prepared(*arguments)
        shares.append(emulated.peak_bytes / found.predicted_bytes)
        return found

    monkeypatch.setattr(batches, "evaluate_columns", evaluated)
    evaluate_batches(of, named_policies(), Costs())
    assert 0.1 < shares[0] < 1


def test_pairs_that_take_more_than_expected_are_halved(
    traces: list[Trace], emulated: Any, monkeypatch: pytest.MonkeyPatch, reports: list[BatchReport]
) -> None:
    monkeypatch.setattr("gmemgpu.engine.cupy.evaluation.ITEM_BYTES", 1)
    prepared = batches.evaluate_columns

    def scarce(*arguments):  # type: ignore[no-untyped-def]
        gc.collect()
        emulated.total_bytes = emulated.used_bytes + 200_000
        return prepared(*arguments)

    monkeypatch.setattr(batches, "evaluate_columns", scarce)
    assert evaluate_batches(traces, POLICIES, Costs(), observe=reports.append) == expected(traces)
    (report,) = reports
    assert sum(report.portions) == 4 * N_OWN
    assert max(report.portions) < 2 * N_OWN


@pytest.fixture
def places(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Record what the pools hold, and which stream and device serve, as each batch begins and after its timelines."""
    seen: dict[str, list[Any]] = {"kept": [], "pinned": [], "streams": [], "devices": []}
    monkeypatch.setattr(batches, "LAUNCH_EVENTS", 1)

    def looking(name: str) -> None:
        call = getattr(batches, name)

        def looked(*arguments: Any, **options: Any) -> Any:
            gc.collect()
            seen["kept"].append(emulated.pool_bytes - emulated.used_bytes)
            seen["pinned"].append(emulated.pinned_pool_bytes)
            seen["streams"].append(cupy.cuda.get_current_stream())
            seen["devices"].append(cupy.cuda.Device().id)
            return call(*arguments, **options)

        monkeypatch.setattr(batches, name, looked)

    looking("play_traces")
    looking("evaluate_columns")
    return seen


def test_the_pool_keeps_nothing_that_a_batch_may_want_whole(
    traces: list[Trace], emulated: Any, places: dict[str, list[Any]]
) -> None:
    before = emulated.pool_releases
    evaluate_batches(traces, POLICIES, Costs())
    assert places["kept"] == [0] * 8
    assert emulated.pool_releases - before == 8
    assert len(set(map(id, places["streams"]))) == 1
    assert places["streams"][0] is not cupy.cuda.Stream.null


def test_pinned_memory_waits_for_the_next_call(
    traces: list[Trace], emulated: Any, places: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches.forget_arenas()
    assert emulated.pinned_pool_bytes == 0
    evaluate_batches(traces[:2], POLICIES, Costs())
    kept = emulated.pinned_pool_bytes
    assert 0 < places["pinned"][0] <= kept
    evaluate_batches(traces[:2], POLICIES, Costs())
    assert emulated.pinned_pool_bytes == kept
    monkeypatch.setattr(batches, "KEPT_PINNED_BYTES", 0)
    evaluate_batches(traces[:2], POLICIES, Costs())
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
    pool = cupy.get_default_memory_pool()
    whole = budget_bytes()
    shared = SimpleNamespace(
        get_limit=lambda: pool.used_bytes() + (1 << 20), used_bytes=pool.used_bytes, total_bytes=pool.total_bytes
    )
    monkeypatch.setattr(cupy, "get_default_memory_pool", lambda: shared)
    assert budget_bytes() == int(0.9 * (1 << 20)) < whole
