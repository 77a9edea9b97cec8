from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmemgpu.engine.choice import Choice
from gmemgpu.engine.registry import engine
from gmemgpu.errors import SpecError, StoreError, TraceError
from gmemgpu.generator import generate
from gmemgpu.model.metric import METRIC_NAMES, METRICS
from gmemgpu.sweeping import dispatch, run, shard
from gmemgpu.sweeping.cluster import local
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.progress import ShardDone, SweepEvent, SweepMerged, SweepStarted
from gmemgpu.sweeping.run import sweep
from gmemgpu.sweeping.shard import ShardError
from gmemgpu.sweeping.spec import read_spec

Contents = Callable[[Path], dict[str, str]]


def worker_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "--multiprocessing-fork" in child.cmdline()]


def test_results_hold_every_combination_in_order(undisturbed: Path) -> None:
    table = pq.ParquetFile(undisturbed / "results.parquet").read()
    assert table.num_rows == 240
    names = ["never", "v10", "dirty_10s", "refcount", "oracle"]
    assert table["policy"].to_pylist() == names * 48
    assert table["seed"].to_pylist() == ([0] * 5 + [1] * 5) * 24
    assert table["snp.share"].to_pylist() == [round(0.02 * (i + 1), 2) for i in range(24) for _ in range(10)]
    assert set(table["label"].to_pylist()[:10]) == {"snp.share=0.02"}
    assert table.schema.field("seed").type == pa.int64()
    for metric in METRICS:
        assert table.schema.field(metric.name).type == (pa.decimal128(38, 0) if metric.wide else pa.int64())


def test_what_was_written_is_what_the_judge_says(spec_file: Path, undisturbed: Path) -> None:
    spec = read_spec(spec_file)
    made = generate(spec.scenarios[20].workload, 1)
    (expected,) = engine("reference").evaluate([made.trace], spec.policies, spec.costs)
    rows = pq.ParquetFile(undisturbed / "results.parquet").read().slice(20 * 10 + 5, 5).to_pylist()
    assert [{name: int(row[name]) for name in METRIC_NAMES} for row in rows] == expected
    for row in rows:
        assert (row["cores"], row["horizon_ns"], row["warmup_ns"]) == (4, 900 * 10**9, 60 * 10**9)
        assert (row["events"], row["admitted"], row["rejected"]) == (len(made.trace), made.admitted, made.rejected)


def test_a_finished_sweep_starts_no_cluster_and_touches_nothing(
    spec_file: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(local, "local_client", refuse)
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*")}
    events: list[SweepEvent] = []
    result = sweep(spec_file, undisturbed, progress=events.append)
    assert (result.n_rows, result.n_computed) == (240, 0)
    (started,) = events
    assert isinstance(started, SweepStarted)
    assert (started.n_shards, started.n_shards_done, started.n_rows, started.n_rows_done) == (24, 24, 240, 240)
    assert (started.workers, started.backend) == (0, "numpy")
    assert {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*")} == before


def test_auto_is_told_how_many_evaluations_a_device_would_get_at_once(
    spec_file: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def choose(name: str, *, n_pairs: int) -> Choice:
        asked.append((name, n_pairs))
        return Choice(engine("numpy"), "it was measured")

    monkeypatch.setattr(run, "choose_engine", choose)
    events: list[SweepEvent] = []
    sweep(spec_file, undisturbed, progress=events.append)
    # Two tasks at least, so half of the 240 rows.
    assert asked == [("auto", 120)]
    assert isinstance(events[0], SweepStarted)
    assert (events[0].backend, events[0].reason) == ("numpy", "it was measured")


def test_a_killed_worker_is_replaced_and_leaves_no_trace(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    events: list[SweepEvent] = []
    killed: list[int] = []

    def kill_now_and_then(event: SweepEvent) -> None:
        events.append(event)
        if isinstance(event, ShardDone) and len(events) in (3, 7):
            victim = worker_processes()[0]
            victim.kill()
            killed.append(victim.pid)

    result = sweep(spec_file, tmp_path / "out", workers=2, progress=kill_now_and_then)
    assert len(set(killed)) == 2
    assert result.n_computed == 240
    assert contents(tmp_path / "out") == contents(undisturbed)
    assert isinstance(events[0], SweepStarted)
    assert sum(isinstance(event, ShardDone) for event in events) == 24
    assert events[-1] == SweepMerged(n_rows=240)


def test_torn_and_swapped_parts_are_redone_and_only_they(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    shutil.copytree(undisturbed, directory)
    torn, swapped, other, gone, *_ = sorted((directory / "parts").iterdir())
    os.truncate(torn, torn.stat().st_size - 5)
    shutil.copyfile(other, swapped)
    gone.unlink()
    (directory / "parts" / ".part-0.abc.partial").write_bytes(b"left by a killed worker")
    events: list[SweepEvent] = []
    assert sweep(spec_file, directory, workers=1, progress=events.append).n_computed == 30
    assert sum(isinstance(event, ShardDone) for event in events) == 3
    assert contents(directory) == contents(undisturbed)


def test_nothing_listens_beyond_this_machine(spec_file: Path, tmp_path: Path) -> None:
    listening: list[str] = []

    class Enough(Exception):
        pass

    def look(event: SweepEvent) -> None:
        if isinstance(event, ShardDone):
            for process in (psutil.Process(), *worker_processes()):
                listening.extend(
                    connection.laddr.ip
                    for connection in process.net_connections("tcp")
                    if connection.status == psutil.CONN_LISTEN
                )
            raise Enough

    with pytest.raises(Enough):
        sweep(spec_file, tmp_path / "out", workers=2, progress=look)
    assert len(listening) >= 4
    assert set(listening) == {"127.0.0.1"}
    assert not worker_processes()


def test_a_bad_data_file_names_scenario_and_seed(tmp_path: Path) -> None:
    (tmp_path / "vms.csv").write_text("arrival_s,lifetime_s,vcpus,mem_gib,kind\n0,9,1,1,snp\n1,9,1,-1,snp\n")
    (tmp_path / "s.toml").write_text('seeds = [7]\n[workload]\nhost = ["lab", "pod"]\nvm_table.path = "vms.csv"\n')
    with pytest.raises(TraceError, match=r'scenario "host=(lab|pod)", seed 7: .*vms.csv: row') as caught:
        sweep(tmp_path / "s.toml", tmp_path / "out", workers=1)
    assert caught.value.exit_code == 2
    assert not list((tmp_path / "out" / "parts").iterdir())


def dies(*arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def full_disk(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture
def shards_do(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], None]:
    """Have workers run something else than shards."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return lambda instead: monkeypatch.setattr(dispatch, "compute_shards", instead)


def test_a_shard_that_kills_every_worker_is_named(
    shards_do: Callable[[Callable[..., None]], None], tmp_path: Path
) -> None:
    shards_do(dies)
    died = "its worker process died 3 times, most likely for want of memory"
    with pytest.raises(ShardError, match=f'scenario "workload", seeds 0 to 0: {died}'):
        sweep({"workload": {}}, tmp_path / "out", workers=1)


def test_a_disk_that_stays_full_is_named(shards_do: Callable[[Callable[..., None]], None], tmp_path: Path) -> None:
    shards_do(full_disk)
    with pytest.raises(StoreError, match="out: cannot be written: No space left on device; make room"):
        sweep({"workload": {}}, tmp_path / "out", workers=1)


def test_a_hiccup_of_the_disk_costs_a_moment_and_no_second_computation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def third_time_lucky(folder: Path, part_id: str, *arguments: object) -> None:
        written.append(part_id)
        if len(written) < 3:
            raise OSError(5, "Input/output error")

    plan = make_plan(read_spec({"policies": [], "workload": {"preset": "idle-snp"}}), "reference")
    (one,) = plan.shards
    monkeypatch.setattr(shard, "write_part", third_time_lucky)
    monkeypatch.setattr(shard, "_WRITE_AGAIN_AFTER_S", (0.0, 0.0))
    shard.compute_shards([one], plan.setting, str(tmp_path))
    assert written == [one.part_id] * 3
    monkeypatch.setattr(shard, "_WRITE_AGAIN_AFTER_S", (0.0,))
    written.clear()
    with pytest.raises(OSError, match="Input/output error"):
        shard.compute_shards([one], plan.setting, str(tmp_path))


def test_what_is_done_is_not_done_again(undisturbed: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(shard, "generate", refuse)
    plan = make_plan(read_spec(spec_file), "numpy")
    shard.compute_shards(plan.shards[5:6], plan.setting, str(undisturbed / "parts"))


def test_any_failure_names_scenario_and_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(workload: object, seed: int) -> None:
        raise ZeroDivisionError(f"no sense in {seed}")

    plan = make_plan(read_spec({"seeds": [9], "policies": [], "workload": {"preset": ["idle-snp"]}}), "numpy")
    monkeypatch.setattr(shard, "generate", fail)
    with pytest.raises(ShardError, match='scenario "idle-snp", seed 9: ZeroDivisionError: no sense in 9'):
        shard.compute_shards(plan.shards[:1], plan.setting, str(tmp_path))


def test_zero_workers_are_refused(spec_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="workers: 0 is not positive"):
        sweep(spec_file, tmp_path / "out", workers=0)
