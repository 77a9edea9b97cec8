"""Shards that cannot be computed: written down with their reason, and the others go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from sweep_processes import parts_of, preload, run_gmemgpu

from gmemgpu.cli.main import main
from gmemgpu.engine.registry import engine
from gmemgpu.errors import TraceError
from gmemgpu.generator import generate
from gmemgpu.sweeping.run.progress import ShardFailed, ShardsDone, SweepEvent
from gmemgpu.sweeping.run.shard import ShardError
from gmemgpu.sweeping.run.share import compute_share
from gmemgpu.sweeping.run.sweep import ShardsFailed, sweep
from gmemgpu.sweeping.spec import read_spec

# Of the form of published tables: one's own is looked at when a spec is read, these by the shards.
GOOD = "arrival_s,batch_id,vcpus,mem_gb,life_lo_s,life_hi_s,censored\n0,1,1,1,5,9,0\n1,2,1,1,5,9,0\n"
BAD = GOOD.replace("1,2,1,1", "1,2,1,-1")
FRAGILE = "snp.share=0.6"
Raises = Callable[[int], list[int]]


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Write a spec of three scenarios, each of a VM table; the middle one's is wrong."""
    for name, text in (("a", GOOD), ("bad", BAD), ("c", GOOD.replace("9,0", "8,0"))):
        (tmp_path / f"{name}.csv").write_text(text)
    scenarios = "".join(f'[[scenario]]\nname = "{name}"\nvm_table.path = "{name}.csv"\n' for name in ("a", "bad", "c"))
    (tmp_path / "s.toml").write_text(f'policies = ["v10"]\n[workload]\nhost = "lab"\n{scenarios}')
    return tmp_path / "s.toml"


def recorded(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((directory / "failures").glob("*.json"))]


def test_a_wrong_file_costs_its_own_shard_if_the_others_shall_go_on(tables: Path, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    command = ("sweep", tables, "-o", directory, "--workers", 1, "--on-error", "continue", "--retries", 0)
    code, output, errors = run_gmemgpu(*command)
    assert (code, output) == (1, "")
    assert f"gmemgpu: 1 of 3 shards failed, so that {directory} has no merged rows yet; the same command" in errors
    assert "A file that you mend makes another sweep: give that a directory of its own." in errors
    (failure,) = recorded(directory)
    assert (failure["label"], failure["kind"], failure["seeds"]) == ("bad", "input", [0])
    assert 'scenario "bad", seed 0: ' in failure["message"]
    assert f"{tmp_path}/bad.csv: row" in failure["message"]
    assert failure["message"] in errors.replace("\n  ", "\n")
    assert len(parts_of(directory)) == 2
    assert not (directory / "results.parquet").exists()


def test_a_wrong_file_stops_a_sweep_that_shall_stop(tables: Path, tmp_path: Path, threads: Client) -> None:
    with pytest.raises(TraceError, match=r'scenario "bad", seed 0: .*bad.csv: row') as caught:
        sweep(tables, tmp_path / "out", threads, retries=0)
    assert caught.value.exit_code == 2
    assert [failure["label"] for failure in recorded(tmp_path / "out")] == ["bad"]


@pytest.fixture
def raises(tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Return a function that has the engine raise so many times for the third scenario; it returns the count."""
    fragile = len(generate(read_spec(tiny_file).scenarios[2].workload, 0).trace)
    numpy = type(engine("numpy"))
    really = numpy.evaluate

    def times(most: int) -> list[int]:
        raised = [0]

        def evaluate(self: Any, traces: Any, *rest: Any) -> Any:
            held = list(traces)
            if raised[0] < most and len(held[0]) == fragile:
                raised[0] += 1
                raise ZeroDivisionError("no sense in it")
            return really(self, held, *rest)

        monkeypatch.setattr(numpy, "evaluate", evaluate)
        return raised

    return times


def test_an_engine_that_raises_is_recorded_and_tried_again_by_a_later_run(
    tiny_file: Path,
    tiny_whole: Path,
    threads: Client,
    tmp_path: Path,
    raises: Raises,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = tmp_path / "out"
    events: list[SweepEvent] = []
    raised = raises(3)
    with pytest.raises(ShardsFailed, match="1 of 5 shards failed") as caught:
        sweep(tiny_file, directory, threads, backend="numpy", on_error="continue", retries=2, progress=events.append)
    assert raised == [3]
    (failure,) = caught.value.failures
    assert (failure.label, failure.kind) == (FRAGILE, "error")
    assert failure.message == f'scenario "{FRAGILE}", seeds 0 to 0: ZeroDivisionError: no sense in it'
    assert [event.message for event in events if isinstance(event, ShardFailed)] == [failure.message]
    assert sum(isinstance(event, ShardsDone) for event in events) == 4
    assert recorded(directory)[0]["message"] == failure.message
    assert main(["status", str(directory)]) == 0
    assert f"failed: {failure.message}" in capsys.readouterr().out
    assert sweep(tiny_file, directory, threads, backend="numpy").n_computed == 2
    assert not (directory / "failures").exists()
    assert (directory / "results.parquet").read_bytes() == (tiny_whole / "results.parquet").read_bytes()


def test_retries_help_and_without_them_a_sweep_stops(
    tiny_file: Path, threads: Client, tmp_path: Path, raises: Raises
) -> None:
    raises(3)
    with pytest.raises(ShardError, match=f'scenario "{FRAGILE}", seeds 0 to 0: ZeroDivisionError'):
        sweep(tiny_file, tmp_path / "out", threads, backend="numpy", retries=1)
    assert sweep(tiny_file, tmp_path / "out", threads, backend="numpy", retries=1).n_computed > 0


def test_a_share_writes_failures_down_and_goes_on(
    tiny_file: Path, tiny_whole: Path, tmp_path: Path, raises: Raises
) -> None:
    raises(1)
    found = compute_share(tiny_file, tmp_path / "out", index=0, of=1, backend="numpy")
    assert (found.n_shards_computed, found.is_merged) == (4, False)
    assert [failure.label for failure in found.failures] == [FRAGILE]
    assert len(recorded(tmp_path / "out")) == 1
    again = compute_share(tiny_file, tmp_path / "out", index=0, of=1, backend="numpy")
    assert (again.n_shards_computed, again.failures, again.is_merged) == (1, (), True)
    assert (tmp_path / "out" / "results.parquet").read_bytes() == (tiny_whole / "results.parquet").read_bytes()


KILLER = """
import os, signal
import gmemgpu.sweeping.run.shard as shard
if not hasattr(shard, "really"):  # Dask runs it twice
    shard.really = shard.generate
def generate(workload, seed):
    if workload.snp.share == {share}:
        with open({log!r}, "a") as log:
            print(os.getpid(), file=log)
        os.kill(os.getpid(), signal.SIGKILL)
    return shard.really(workload, seed)
shard.generate = generate
"""


@pytest.mark.slow
def test_a_shard_that_kills_its_worker_each_time_is_given_up_and_blames_no_neighbour(
    tiny_file: Path, tiny_whole: Path, threads: Client, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    log = tmp_path / "deaths"
    environment = preload(tmp_path, KILLER.format(share=0.6, log=str(log)))
    command = ("sweep", tiny_file, "-o", directory, "--workers", 2, "--quiet")
    code, _, errors = run_gmemgpu(*command, "--on-error", "continue", "--retries", 1, environment=environment)
    assert code == 1
    why = f'scenario "{FRAGILE}", seeds 0 to 0: its worker died 2 times while it ran'
    assert why in errors
    assert len(set(log.read_text().split())) == 2
    (failure,) = recorded(directory)
    assert (failure["label"], failure["kind"], failure["message"]) == (FRAGILE, "killed", why)
    assert len(parts_of(directory)) == 4
    assert sweep(tiny_file, directory, threads).n_computed == 2
    assert (directory / "results.parquet").read_bytes() == (tiny_whole / "results.parquet").read_bytes()
