"""Shards that fail, that kill their workers, that other clients claimed: who computes what, and how a sweep ends."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from distributed import Client, LocalCluster

from gmemgpu.cli.main import main
from gmemgpu.errors import InputError, Problem, TraceError
from gmemgpu.sweeping import dispatch, run
from gmemgpu.sweeping.cluster import local
from gmemgpu.sweeping.journal import Failure
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.progress import ShardDone, ShardFailed, SweepEvent, SweepStarted
from gmemgpu.sweeping.run import ShardsFailed, sweep
from gmemgpu.sweeping.shard import Shard, ShardError, compute_shards
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store import Store, open_store

Contents = Callable[[Path], dict[str, str]]

N = 8
SHARES = [round(0.1 * (i + 1), 1) for i in range(N)]
SPEC: dict[str, Any] = {
    "policies": ["v10"],
    "workload": {"preset": "idle-snp", "horizon_ns": "10 min", "warmup_ns": "1 s", "snp": {"share": SHARES}},
}
BAD = "snp.share=0.3"
N_ROWS = 2 * N


@pytest.fixture(autouse=True)
def by_value() -> None:
    # Workers cannot import this module.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])


@contextmanager
def one_thread(workers: int, n_devices: int = 0) -> Iterator[Client]:
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker, in this process."""
    monkeypatch.setattr(local, "local_client", one_thread)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the results of a sweep that nothing befell."""
    directory = tmp_path_factory.mktemp("whole") / "out"
    sweep(SPEC, directory, workers=1)
    return directory


@pytest.fixture
def opened(tmp_path: Path) -> Store:
    what = read_spec(SPEC)
    return open_store(tmp_path / "out", what, make_plan(what, "numpy", auto=True))


class Disturbed:
    """
    Does what a shard should, but for those with BAD's label: the first `n_bad` calls for those raise, or kill.

    A file counts them, whichever process it is.
    """

    def __init__(self, folder: Path, error: BaseException | None, n_bad: int = 1_000_000, bad: str = BAD) -> None:
        self.calls, self.error, self.n_bad, self.bad = folder / "calls", error, n_bad, bad

    def n_calls(self) -> int:
        return len(self.calls.read_text()) if self.calls.exists() else 0

    def __call__(self, shards: tuple[Shard, ...], *rest: Any) -> None:
        if any(shard.label == self.bad for shard in shards):
            with self.calls.open("a") as file:
                file.write(".")
            if self.n_calls() <= self.n_bad:
                if self.error is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise self.error
        compute_shards(shards, *rest)


def test_an_error_is_tried_again_and_then_passes(
    quick: None, whole: Path, contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturbed = Disturbed(tmp_path, ShardError("a hiccup"), n_bad=2)
    monkeypatch.setattr(dispatch, "compute_shards", disturbed)
    assert sweep(SPEC, tmp_path / "out").n_computed == N_ROWS
    assert disturbed.n_calls() == 3
    assert contents(tmp_path / "out") == contents(whole)


@pytest.mark.parametrize(("retries", "n_calls"), [(0, 1), (3, 4)])
def test_an_error_that_stays_stops_the_sweep_and_is_written_down(
    quick: None, opened: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retries: int, n_calls: int
) -> None:
    disturbed = Disturbed(tmp_path, ZeroDivisionError("no sense in it"))
    monkeypatch.setattr(dispatch, "compute_shards", disturbed)
    message = f'scenario "{BAD}", seeds 0 to 0: ZeroDivisionError: no sense in it'
    with pytest.raises(ShardError, match=message) as caught:
        sweep(SPEC, tmp_path / "out", retries=retries)
    assert not isinstance(caught.value, ShardsFailed)
    assert disturbed.n_calls() == n_calls
    (failure,) = opened.journal.read().values()
    assert (failure.label, failure.seeds, failure.n_rows, failure.kind) == (BAD, (0,), 2, "error")
    assert (failure.message, failure.attempts) == (message, n_calls)
    assert not list((tmp_path / "out" / "claims").iterdir())


def test_a_wrong_input_is_never_tried_again(
    quick: None, opened: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturbed = Disturbed(tmp_path, TraceError(Problem("vms.csv: row 3", "is no good")))
    monkeypatch.setattr(dispatch, "compute_shards", disturbed)
    with pytest.raises(InputError, match="row 3: is no good"):
        sweep(SPEC, tmp_path / "out", retries=5)
    assert disturbed.n_calls() == 1
    assert [failure.kind for failure in opened.journal.read().values()] == ["input"]


def test_the_others_go_on_and_what_failed_is_named_until_it_is_forgotten(
    quick: None, opened: Store, whole: Path, contents: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "out"
    monkeypatch.setattr(dispatch, "compute_shards", Disturbed(tmp_path, ShardError("out of luck")))
    events: list[SweepEvent] = []
    with pytest.raises(ShardsFailed, match=f"1 of {N} shards failed.*gmemgpu retry .*\n  out of luck$") as caught:
        sweep(SPEC, directory, on_error="continue", retries=0, progress=events.append)
    assert [failure.label for failure in caught.value.failures] == [BAD]
    assert caught.value.exit_code == 1
    assert sum(isinstance(event, ShardDone) for event in events) == N - 1
    assert [event.message for event in events if isinstance(event, ShardFailed)] == ["out of luck"]
    assert not (directory / "results.parquet").exists()
    # Now it would work, but nobody said so.
    monkeypatch.setattr(dispatch, "compute_shards", compute_shards)
    events.clear()
    with pytest.raises(ShardsFailed, match="out of luck"):
        sweep(SPEC, directory, progress=events.append)
    (started,) = events
    assert isinstance(started, SweepStarted)
    assert (started.n_shards_done, started.n_shards_failed, started.workers) == (N - 1, 1, 0)
    assert opened.journal.forget() == 1
    assert sweep(SPEC, directory).n_computed == 2
    assert {name: found for name, found in contents(directory).items() if "verified" not in name} == contents(whole)


def test_a_shard_that_kills_its_workers_is_left_and_the_others_go_on(
    opened: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturbed = Disturbed(tmp_path, None)
    monkeypatch.setattr(dispatch, "compute_shards", disturbed)
    died = "its worker process died 2 times, most likely for want of memory"
    with pytest.raises(ShardsFailed, match=f'scenario "{BAD}", seeds 0 to 0: {died}'):
        sweep(SPEC, tmp_path / "out", workers=2, on_error="continue", retries=1)
    # Twice beside others, and twice alone, which is what counts.
    assert disturbed.n_calls() == 4
    (failure,) = opened.journal.read().values()
    assert (failure.label, failure.kind, failure.attempts, failure.where) == (BAD, "killed", 2, "127.0.0.1")
    assert len(list(opened.parts.iterdir())) == N - 1


def test_a_neighbour_of_a_killer_is_not_blamed(opened: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first tasks of a sweep are handed out two at a time: the second dies with the first.
    monkeypatch.setattr(dispatch, "compute_shards", Disturbed(tmp_path, None, bad="snp.share=0.1"))
    with pytest.raises(ShardsFailed):
        sweep(SPEC, tmp_path / "out", workers=2, on_error="continue", retries=0)
    assert [failure.label for failure in opened.journal.read().values()] == ["snp.share=0.1"]
    assert len(list(opened.parts.iterdir())) == N - 1


@pytest.mark.parametrize("error", [ShardError("one of them"), TraceError(Problem("a file", "is no good"))])
def test_of_shards_that_fail_together_only_the_guilty_is_written_down(
    quick: None, opened: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(run, "cut_tasks", lambda shards, **_: [tuple(shards[:5]), tuple(shards[5:])])
    monkeypatch.setattr(dispatch, "compute_shards", Disturbed(tmp_path, error))
    with pytest.raises(ShardsFailed):
        sweep(SPEC, tmp_path / "out", on_error="continue", retries=0)
    assert [failure.label for failure in opened.journal.read().values()] == [BAD]
    assert len(list(opened.parts.iterdir())) == N - 1


def test_what_another_client_computes_is_waited_for(
    quick: None, opened: Store, whole: Path, contents: Contents, tmp_path: Path
) -> None:
    held = opened.plan.shards[2:5]
    events: list[SweepEvent] = []
    with opened.claims() as claims:
        assert all(claims.take(shard.part_id) for shard in held)

        def go_on(event: SweepEvent) -> None:
            events.append(event)
            if len(events) == 1 + N - len(held):
                # One is computed, one given up, and one goes back as it was.
                compute_shards(held[:1], opened.plan.setting, str(opened.parts))
                opened.journal.record(
                    Failure(
                        part_id=held[1].part_id,
                        label=held[1].label,
                        seeds=(0,),
                        n_rows=2,
                        kind="killed",
                        message="died elsewhere",
                        attempts=3,
                        where="far",
                    )
                )
                for shard in held:
                    claims.release(shard.part_id)

        with pytest.raises(ShardsFailed, match="died elsewhere"):
            sweep(SPEC, tmp_path / "out", progress=go_on)
    labels = [event.label for event in events if isinstance(event, ShardDone)]
    assert sorted(labels) == sorted(shard.label for shard in opened.plan.shards if shard is not held[1])
    # What another computed first is not computed again.
    assert sorted(labels[N - 3 :]) == sorted([held[0].label, held[2].label])
    opened.journal.forget()
    assert sweep(SPEC, tmp_path / "out").n_computed == 2
    assert contents(tmp_path / "out") == contents(whole)


def test_what_failed_can_be_told_by_another_process(tmp_path: Path) -> None:
    failure = Failure(
        part_id="0", label="x", seeds=(0,), n_rows=1, kind="error", message="no luck", attempts=1, where=""
    )
    error = ShardsFailed(tmp_path, [failure], 3)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.failures) == (str(error), (failure,))


TWO = """
import sys, gmemgpu
if __name__ == "__main__":
    print(gmemgpu.sweep(sys.argv[1], sys.argv[2], workers=1).n_computed)
"""


def test_two_clients_share_the_work_and_end_with_the_same(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    (tmp_path / "two.py").write_text(TWO)
    command = [sys.executable, str(tmp_path / "two.py"), str(spec_file), str(tmp_path / "out")]
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [client.communicate(timeout=120) for client in clients]
    assert [client.returncode for client in clients] == [0, 0], told
    # No shard twice: both together computed every row once.
    assert sum(int(out) for out, _ in told) == 240
    assert contents(tmp_path / "out") == contents(undisturbed)


def test_the_command_tells_of_failures_and_exits_with_one(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.toml").write_text(
        'policies = ["v10"]\n[workload]\npreset = "idle-snp"\nhorizon_ns = "10 min"\nwarmup_ns = "1 s"\n'
        f"snp.share = {SHARES}\n"
    )
    monkeypatch.setattr(dispatch, "compute_shards", Disturbed(tmp_path, ShardError("out of luck")))
    command = ["sweep", str(tmp_path / "s.toml"), "-o", str(tmp_path / "out")]
    assert main([*command, "--on-error", "continue", "--retries", "0"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert "gmemgpu: failed: out of luck" in told
    assert told[-2].startswith(f"gmemgpu: 1 of {N} shards failed, so that {tmp_path / 'out'} has no merged rows yet;")
    assert told[-1] == "  out of luck"
    assert main(command) == 1
    assert "gmemgpu: 1 shard failed earlier and will not be tried again" in capsys.readouterr().err
    assert main([*command, "--retries", "-1"]) == 2
    assert "retries: -1 is negative; 0 tries each shard once" in capsys.readouterr().err
