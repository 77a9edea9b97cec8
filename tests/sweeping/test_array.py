from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.cli.main import main
from gmemgpu.errors import SpecError
from gmemgpu.sweeping import array
from gmemgpu.sweeping.array import ShareResult, compute_share
from gmemgpu.sweeping.part import part_name
from gmemgpu.sweeping.plan import Plan, make_plan
from gmemgpu.sweeping.progress import ShardDone, ShardFailed, SweepEvent, SweepMerged, SweepStarted
from gmemgpu.sweeping.run import sweep
from gmemgpu.sweeping.shard import Setting, Shard, ShardError, compute_shards
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.status import read_status
from gmemgpu.sweeping.store import Store

Contents = Callable[[Path], dict[str, str]]
PATIENCE_S = 60


@pytest.fixture
def plan(spec_file: Path) -> Plan:
    return make_plan(read_spec(spec_file), "numpy")


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> Shard:
    """A shard that cannot be computed: the second of share 1 of 4."""
    poisoned = plan.shards[5]

    def compute(shards: Sequence[Shard], setting: Setting, folder: str) -> None:
        if poisoned.part_id in [shard.part_id for shard in shards]:
            raise ShardError(f'scenario "{poisoned.label}": boom')
        compute_shards(shards, setting, folder)

    monkeypatch.setattr(array, "compute_shards", compute)
    return poisoned


def share(spec_file: Path, directory: Path, index: int, of: int, seen: list[SweepEvent] | None = None) -> ShareResult:
    progress = None if seen is None else seen.append
    return compute_share(spec_file, directory, index=index, of=of, backend="numpy", progress=progress)


def test_shares_in_any_order_make_the_sweep(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path, plan: Plan
) -> None:
    directory = tmp_path / "out"
    events: list[SweepEvent] = []
    last = share(spec_file, directory, 2, 3, events)
    assert {path.name for path in (directory / "parts").iterdir()} == {
        part_name(shard.part_id) for shard in plan.shards[2::3]
    }
    assert (last.n_shards, last.n_shards_computed, last.n_rows_computed, last.complete) == (8, 8, 80, False)
    assert isinstance(events[0], SweepStarted)
    assert (events[0].n_shards, events[0].n_shards_done, events[0].n_rows, events[0].workers) == (8, 0, 80, 1)
    assert [type(event) for event in events[1:]] == [ShardDone] * 8
    assert not share(spec_file, directory, 0, 3).complete
    events.clear()
    assert share(spec_file, directory, 1, 3, events).complete
    assert events[-1] == SweepMerged(n_rows=240)
    assert contents(directory) == contents(undisturbed)


def test_a_share_that_is_there_costs_nothing_and_more_shares_than_shards_are_empty(
    spec_file: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array, "compute_shards", None)
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*")}
    events: list[SweepEvent] = []
    done = share(spec_file, undisturbed, 1, 5, events)
    assert (done.n_shards, done.n_shards_computed, done.complete) == (5, 0, True)
    assert [type(event) for event in events] == [SweepStarted]
    assert share(spec_file, undisturbed, 24, 25).n_shards == 0
    assert {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*")} == before


def test_a_sweep_goes_on_with_what_shares_left(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    share(spec_file, tmp_path / "out", 0, 2)
    assert sweep(spec_file, tmp_path / "out", workers=1).n_computed == 120
    assert contents(tmp_path / "out") == contents(undisturbed)


def test_what_somebody_claimed_comes_last(spec_file: Path, tmp_path: Path, plan: Plan) -> None:
    # Such as what the task before this one died of, and would die of again.
    directory = tmp_path / "out"
    first, *others = plan.shards[::6]
    dying = (
        "import os, signal, sys; from pathlib import Path; from gmemgpu.sweeping.claim import Claims\n"
        "with Claims(Path(sys.argv[1])) as claims:\n"
        "    claims.take(sys.argv[2])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    share(spec_file, directory, 1, 6)
    subprocess.run([sys.executable, "-c", dying, str(directory / "claims"), first.part_id], check=False)
    assert (directory / "claims" / first.part_id).exists()
    events: list[SweepEvent] = []
    assert share(spec_file, directory, 0, 6, events).n_shards_computed == 4
    labels = [event.label for event in events if isinstance(event, ShardDone)]
    assert labels == [shard.label for shard in (*others, first)]


@pytest.mark.parametrize(
    ("index", "of", "message"),
    [
        (3, 3, "index: 3 is outside 0 to 2; number 3 shares from 0"),
        (-1, 3, "index: -1 is outside 0 to 2; number 3 shares from 0"),
        (0, 0, "of: 0 shares are none; give a positive number"),
    ],
)
def test_a_share_that_does_not_exist_is_refused(
    spec_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], index: int, of: int, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        share(spec_file, tmp_path / "out", index, of)
    assert main(["shard", str(spec_file), "-o", str(tmp_path / "out"), "--index", str(index), "--of", str(of)]) == 2
    assert capsys.readouterr().err == f"gmemgpu: {message}\n"
    assert not (tmp_path / "out").exists()


def test_a_shard_that_fails_is_written_down_and_the_others_go_on(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path, poison: Shard
) -> None:
    directory = tmp_path / "out"
    events: list[SweepEvent] = []
    found = share(spec_file, directory, 1, 4, events)
    assert (found.n_shards_computed, found.complete) == (5, False)
    (failure,) = found.failures
    assert (failure.part_id, failure.kind, failure.attempts) == (poison.part_id, "error", 1)
    assert failure.message == f'scenario "{poison.label}": boom'
    assert sum(isinstance(event, ShardFailed) for event in events) == 1
    # Others are not concerned, and nobody tries it again until somebody says so.
    assert share(spec_file, directory, 0, 4).failures == ()
    events.clear()
    assert share(spec_file, directory, 1, 4, events).failures == (failure,)
    (started,) = events
    assert isinstance(started, SweepStarted)
    assert (started.n_shards_done, started.n_shards_failed, started.workers) == (5, 1, 0)


def test_a_failure_ends_with_exit_code_1_and_its_name(
    spec_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], poison: Shard
) -> None:
    command = ["shard", str(spec_file), "-o", str(tmp_path / "out"), "--index", "1", "--of", "4", "--backend", "numpy"]
    assert main([*command, "--quiet"]) == 1
    assert capsys.readouterr() == (
        "",
        f'gmemgpu: failed: scenario "{poison.label}": boom\n'
        f"gmemgpu: to have them tried again: gmemgpu retry {tmp_path / 'out'}\n",
    )
    assert main([*command, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [failure["part_id"] for failure in told["failures"]] == [poison.part_id]
    assert (told["n_shards"], told["n_shards_computed"], told["complete"]) == (6, 0, False)


def test_a_batch_that_fails_is_tried_shard_by_shard(
    spec_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: Shard
) -> None:
    monkeypatch.setattr(array, "device_count", lambda name: 1)
    compute, crews = array.compute_shards, set()

    def look(*of: Any) -> None:
        compute(*of)
        crews.update((client.n_workers, client.n_devices) for client in read_status(tmp_path / "out").clients)

    monkeypatch.setattr(array, "compute_shards", look)
    found = share(spec_file, tmp_path / "out", 1, 4)
    assert found.n_shards_computed == 5
    assert crews == {(1, 1)}
    assert [failure.part_id for failure in found.failures] == [poison.part_id]


def test_what_another_computes_is_left_to_it_and_waited_for(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path, plan: Plan
) -> None:
    directory = tmp_path / "out"
    shutil.copytree(undisturbed, directory)
    (directory / "results.parquet").unlink()
    gone = plan.shards[:4]
    for shard in gone:
        (directory / "parts" / part_name(shard.part_id)).unlink()
    others = gone[1]
    done: list[str] = []
    with Store(directory=directory, plan=plan).claims() as claims:
        assert claims.take(others.part_id)

        def finish_it(event: SweepEvent) -> None:
            if isinstance(event, ShardDone):
                done.append(event.label)
            if len(done) == 3:
                name = part_name(others.part_id)
                shutil.copyfile(undisturbed / "parts" / name, directory / "parts" / name)
                claims.release(others.part_id)

        found = compute_share(spec_file, directory, index=0, of=1, backend="numpy", progress=finish_it)
    assert done == [shard.label for shard in gone if shard is not others]
    assert (found.n_shards_computed, found.complete) == (3, True)
    assert contents(directory) == contents(undisturbed)


def test_what_another_gives_up_is_taken_over(
    spec_file: Path, tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "out"
    share(spec_file, directory, 1, 2)
    waited: list[float] = []
    with Store(directory=directory, plan=plan).claims() as claims:
        assert claims.take(plan.shards[0].part_id)

        def sleep(time_s: float) -> None:
            waited.append(time_s)
            if len(waited) == 2:
                claims.release(plan.shards[0].part_id)

        monkeypatch.setattr(array.time, "sleep", sleep)
        found = share(spec_file, directory, 0, 2)
    assert waited == [array._LOOK_EVERY_S] * 2
    assert (found.n_shards_computed, found.complete) == (12, True)


def test_a_terminated_task_releases_its_claims_and_the_next_goes_on(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    command = [sys.executable, "-m", "gmemgpu", "shard", str(spec_file), "-o", str(directory), "--index=0", "--of=1"]
    with subprocess.Popen([*command, "--backend=numpy", "--quiet"], stderr=subprocess.PIPE, text=True) as process:
        give_up = time.monotonic() + PATIENCE_S
        while len(list(directory.glob("parts/part-*"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.01)
        process.terminate()
        _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM
    assert told == "gmemgpu: terminated; run the same again to go on\n"
    assert not list((directory / "claims").iterdir())
    assert not list(directory.glob("parts/.*"))
    assert share(spec_file, directory, 0, 1).n_shards_computed < 24
    assert contents(directory) == contents(undisturbed)


def test_a_full_disk_is_nobodys_failure(spec_file: Path, tmp_path: Path, undisturbed: Path) -> None:
    # A limit on file sizes stands for it.
    smallest = min(path.stat().st_size for path in (undisturbed / "parts").iterdir())
    directory = tmp_path / "out"
    directory.mkdir()
    shutil.copyfile(undisturbed / "manifest.json", directory / "manifest.json")
    command = [sys.executable, "-B", "-m", "gmemgpu", "shard", str(spec_file), "-o", str(directory), "--index=0"]
    ran = subprocess.run(
        [*command, "--of=1", "--backend=numpy", "--quiet"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (smallest - 1, resource.RLIM_INFINITY)),
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"gmemgpu: {directory}: cannot be written: File too large")
    assert not (directory / "failures").exists()
    assert not list((directory / "parts").iterdir())


def test_no_dask_is_loaded(spec_file: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from gmemgpu.cli.main import main; "
        f"code = main(['shard', {str(spec_file)!r}, '-o', {str(tmp_path / 'out')!r}, '--index=23', '--of=24']); "
        "assert code == 0 and not {'dask', 'distributed'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_S)
