from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.array import NumpyEngine
from gmemgpu.engine.crossover import Crossover, read_crossovers, store_file
from gmemgpu.errors import BackendError, StoreError
from gmemgpu.measuring import rates
from gmemgpu.measuring.rates import BenchPlan, Rate, Rates, crossover_pairs, measure_rates, save_crossover
from gmemgpu.measuring.sample import ALL, policy_kinds, sample_traces
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace

TINY = BenchPlan((1, 3), kinds=True, least_s=0.0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's measurements."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([(1, 2.0), (4, 3.0), (16, 4.0)], 1),
        ([(1, 0.5), (4, 1.0), (16, 4.0)], 4),
        ([(16, 4.0), (1, 0.5), (4, 3.0)], 4),
        ([(1, 2.0), (4, 0.9), (16, 4.0)], 16),
        ([(1, 2.0), (4, 3.0), (16, 0.9)], None),
        ([(1, None)], None),
        ([], None),
    ],
)
def test_the_crossover_is_where_the_gpu_wins_and_goes_on_to_win(
    rates: list[tuple[int, float | None]], expected: int | None
) -> None:
    measured = [Rate(ALL, 1, n, 1.0, rate) for n, rate in rates]
    others = [Rate("window", 1, n, 1.0, 0.1) for n in (1, 99)]
    assert crossover_pairs([*others, *measured]) == expected
    assert crossover_pairs(measured, "window") is None


def test_kinds_are_named_policies_and_each_that_does_something_is_in_one() -> None:
    kinds = policy_kinds()
    everything = {policy.name for policy in named_policies()}
    assert {policy.name for policy in kinds.pop(ALL)} == everything
    grouped = [policy.name for policies in kinds.values() for policy in policies]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == everything - {"never", "boot_only", "oracle"}


class OneCore:
    """Stands for the processes of `all_cores`, in this one."""

    alter: Callable[[list[list[MetricRow]]], object] = staticmethod(lambda rows: None)

    def measure(self, policies: Sequence[Policy], least_s: float) -> tuple[float, list[list[MetricRow]]]:
        rows = NumpyEngine().evaluate(sample_traces(2), policies, Costs())
        self.alter(rows)
        return 1000.0, rows


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> OneCore:
    """No processes."""
    core = OneCore()

    @contextmanager
    def all_cores(name: str, n: int, n_traces: int) -> Iterator[OneCore]:
        yield core

    monkeypatch.setattr(rates, "all_cores", all_cores)
    monkeypatch.setattr(rates, "cpu_engine_name", lambda: "numpy")
    return core


class Device(NumpyEngine):
    """An engine that notes what it is asked for."""

    asked: list[tuple[int, int]]

    def evaluate(self, traces: Iterable[Trace], policies: Sequence[Policy], costs: Costs) -> list[list[MetricRow]]:
        traces = list(traces)
        self.asked.append((len(traces), len(policies)))
        return super().evaluate(traces, policies, costs)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    """The cupy engine of this machine."""
    found = Device()
    found.asked = []
    monkeypatch.setattr(rates, "why_missing", lambda name: None)
    monkeypatch.setattr(rates, "engine", lambda name: found if name == "cupy" else NumpyEngine())
    return found


def test_every_batch_is_warmed_up_timed_and_reported(one_core: OneCore, device: Device) -> None:
    told: list[str] = []
    found = measure_rates(TINY, told.append)
    kinds = policy_kinds()
    expected = [(kind, len(policies), n) for kind, policies in kinds.items() for n in (1, 3)]
    assert [(rate.kind, rate.n_policies, rate.n_traces) for rate in found.rates] == expected
    assert device.asked == [(n, n_policies) for _, n_policies, n in expected for _ in range(2)]
    assert {rate.cpu_per_s for rate in found.rates} == {1000.0}
    assert all(rate.cupy_per_s and rate.cupy_per_s > 0 for rate in found.rates)
    assert found.missing is None
    assert told[-1] == "cupy, region, 3 traces"


def test_without_a_gpu_only_cores_are_measured(one_core: OneCore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "why_missing", lambda name: "there is none; buy one")
    found = measure_rates(BenchPlan((1, 3), kinds=False, least_s=0.0), lambda what: None)
    (rate,) = found.rates
    assert (rate.kind, rate.cpu_per_s, rate.cupy_per_s) == (ALL, 1000.0, None)
    assert found.missing == "there is none; buy one"


def add_one(rows: list[list[MetricRow]]) -> None:
    rows[1][0]["passes"] += 1


def test_no_figure_of_a_wrong_answer(one_core: OneCore, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Device.evaluate

    def wrong(self: Device, *arguments: Any) -> Any:
        rows = right(self, *arguments)
        if len(rows) == 3:
            add_one(rows)
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(Device, "evaluate", wrong)
        with pytest.raises(BackendError, match=r"cupy gives other integers than numpy \(seed 1 of the sample\)"):
            measure_rates(TINY, lambda what: None)
    one_core.alter = add_one
    with pytest.raises(BackendError, match="numpy on another core gives other integers than numpy"):
        measure_rates(TINY, lambda what: None)


def test_what_is_saved_is_what_auto_reads_and_other_gpus_stay() -> None:
    path = save_crossover("one", 432)
    assert path == store_file()
    save_crossover("other", None)
    held = read_crossovers()
    assert held.problem is None
    assert {gpu: found.n_pairs for gpu, found in held.by_gpu.items()} == {"one": 432, "other": None}
    save_crossover("one", 27)
    assert read_crossovers().by_gpu["one"] == Crossover(n_pairs=27, date=held.by_gpu["other"].date)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    path.write_text("torn {")
    save_crossover("one", 5)
    assert list(json.loads(path.read_text())["gpus"]) == ["one"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot be written: .*; set XDG_CACHE_HOME to a folder"):
        save_crossover("one", 432)


def test_rates_of_the_real_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    # The processes are real, and so is the engine on whatever device these tests have. Numba would be compiled anew for
    # the cache that these tests have.
    monkeypatch.setattr(rates, "core_count", lambda: 2)
    monkeypatch.setattr(rates, "cpu_engine_name", lambda: "numpy")
    found: Rates = measure_rates(BenchPlan((1, 2), kinds=False, least_s=0.0), lambda what: None)
    assert (found.cpu_engine, found.cores) == ("numpy", 2)
    assert all(rate.cpu_per_s > 0 for rate in found.rates)
    assert [rate.cupy_per_s is None for rate in found.rates] == [found.missing is not None] * len(found.rates)
