"""A device that fails in mid-sweep: numpy goes on, rows come out once, and the user hears of it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from distributed import Client, LocalCluster

from gmemgpu.cli.main import main
from gmemgpu.engine import fallback, registry
from gmemgpu.engine.numpy import NumpyEngine
from gmemgpu.errors import BackendError, DeviceLost
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.policy import Policy
from gmemgpu.model.trace import Trace
from gmemgpu.sweeping import shard
from gmemgpu.sweeping.cluster import local
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.progress import ShardDone
from gmemgpu.sweeping.run import sweep
from gmemgpu.sweeping.shard import Setting, Shard, ShardError, compute_shards
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.stand_in import StandIn
from gmemgpu.sweeping.status import read_status

Contents = Callable[[Path], dict[str, str]]

REASON = "an illegal memory access was encountered"


class FrailEngine:
    """Gives numpy's answers until its device is lost: in the given call, after it took two traces of that."""

    name = "frail"
    dies_in_call = 1
    calls = 0

    def missing(self) -> str | None:
        return None

    def evaluate(self, traces: Iterable[Trace], policies: Sequence[Policy], costs: Costs) -> list[list[MetricRow]]:
        type(self).calls += 1
        if self.calls >= self.dies_in_call:
            assert len(list(islice(traces, 2))) == 2
            raise DeviceLost(f"{REASON}\nand more lines that explain it")
        return NumpyEngine().evaluate(traces, policies, costs)


@pytest.fixture
def frail(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FrailEngine]]:
    """An engine by the name "frail", one device's, for this process."""
    module: Any = ModuleType("frail_engine")
    module.FrailEngine = type("FrailEngine", (FrailEngine,), {})
    module.devices = lambda: ["the only one"]
    monkeypatch.setitem(sys.modules, "frail_engine", module)
    monkeypatch.setitem(registry._ENGINES, "frail", ("frail_engine", "FrailEngine"))
    monkeypatch.setitem(registry._DEVICES, "frail", ("frail_engine", "devices"))
    monkeypatch.setattr(fallback, "_lost", {})
    registry.probe_again()
    yield module.FrailEngine
    registry.probe_again()


@pytest.fixture(scope="module")
def planned(spec_file: Path) -> tuple[tuple[Shard, ...], Setting]:
    plan = make_plan(read_spec(spec_file), "frail")
    return plan.shards, plan.setting


def parts_of(contents: Contents, directory: Path) -> dict[str, str]:
    return {name: found for name, found in contents(directory).items() if name.startswith("parts/")}


@pytest.mark.parametrize("dies_in_call", [1, 2, 3])
def test_parts_are_numpys_to_the_byte(
    frail: type[FrailEngine],
    planned: tuple[tuple[Shard, ...], Setting],
    undisturbed: Path,
    contents: Contents,
    tmp_path: Path,
    dies_in_call: int,
) -> None:
    frail.dies_in_call = dies_in_call
    shards, setting = planned
    (tmp_path / "parts").mkdir()
    for i in range(0, 24, 8):
        compute_shards(shards[i : i + 8], setting, str(tmp_path / "parts"))
    assert parts_of(contents, tmp_path) == parts_of(contents, undisturbed)
    # A lost device is not asked again.
    assert frail.calls == dies_in_call


def test_no_trace_is_made_again_for_parts_that_are_there(
    frail: type[FrailEngine],
    planned: tuple[tuple[Shard, ...], Setting],
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    made: list[int] = []
    monkeypatch.setattr(shard, "generate", lambda *of, make=shard.generate: made.append(of[1]) or make(*of))
    frail.dies_in_call = 99
    shards, setting = planned
    compute_shards(shards[:1], setting, str(tmp_path))
    compute_shards(shards[:3], setting, str(tmp_path))
    assert frail.calls == 2
    assert made == [0, 1] * 3


@contextmanager
def worker_in_this_process(workers: int, n_devices: int = 0) -> Iterator[Client]:
    assert (workers, n_devices) == (1, 1)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as local,
        Client(local, set_as_default=False) as client,
    ):
        yield client


def test_the_client_learns_how_many_shards_and_why(
    frail: type[FrailEngine],
    spec_file: Path,
    undisturbed: Path,
    contents: Contents,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # 24 shards make two tasks for one worker.
    frail.dies_in_call = 2
    monkeypatch.setattr(local, "local_client", worker_in_this_process)
    crews = set()

    def look(event: object) -> None:
        if isinstance(event, ShardDone):
            crews.update((client.n_workers, client.n_devices) for client in read_status(tmp_path / "out").clients)

    result = sweep(spec_file, tmp_path / "out", backend="frail", progress=look)
    assert result.stand_in == StandIn(n_shards=12, reason=REASON)
    assert crews == {(1, 1)}
    assert result.n_computed == 240
    found, expected = contents(tmp_path / "out"), contents(undisturbed)
    assert {name for name in expected if found[name] != expected[name]} == {"manifest.json"}
    assert sweep(spec_file, tmp_path / "out", backend="frail").stand_in is None


def test_the_user_is_told_once(
    frail: type[FrailEngine],
    spec_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(local, "local_client", worker_in_this_process)
    assert main(["sweep", str(spec_file), "-o", str(tmp_path / "out"), "--backend", "frail", "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.err == f"gmemgpu: warning: 24 shards ran on numpy, since the device failed: {REASON}\n"
    assert told.out == ""


def cannot_start(self: object) -> str:
    return "all CUDA devices are busy"


def too_large(*arguments: object) -> None:
    raise BackendError("one trace alone needs 200 GiB")


@pytest.mark.parametrize(
    ("method", "instead", "reason"),
    [
        ("missing", cannot_start, 'backend "frail" cannot run here: all CUDA devices are busy'),
        ("evaluate", too_large, "one trace alone needs 200 GiB"),
    ],
)
def test_what_the_engine_cannot_do_is_numpys_if_nobody_named_the_engine(
    frail: type[FrailEngine],
    planned: tuple[tuple[Shard, ...], Setting],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    instead: Callable[..., Any],
    reason: str,
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(frail, method, instead)
    monkeypatch.setattr(shard, "tell_client", lambda *what: told.append(what))
    shards, setting = planned
    with pytest.raises(ShardError, match=f'scenario "snp.share=0.02", seeds 0 to 1: {reason}'):
        compute_shards(shards[:1], setting, str(tmp_path))
    many = f'scenario "snp.share=0.02", seed 0, to scenario "snp.share=0.06", seed 1: {reason}'
    with pytest.raises(ShardError, match=many):
        compute_shards(shards[:3], setting, str(tmp_path))
    assert not told
    assert not list(tmp_path.iterdir())
    compute_shards(shards[:2], dataclasses.replace(setting, auto=True), str(tmp_path))
    assert told == [([of.part_id for of in shards[:2]], reason)]
    assert len(list(tmp_path.iterdir())) == 2
