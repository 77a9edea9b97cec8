from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.cli.main import main
from gmemgpu.sweeping import estimate as estimating
from gmemgpu.sweeping.estimate import Estimate, NoFitError, NoRateError
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.shard import Setting, Shard, ShardRows, shard_rows
from gmemgpu.sweeping.spec import read_spec

SMALL: dict[str, Any] = {
    "backend": "numpy",
    "seeds": 6,
    "policies": ["v10", "refcount"],
    "workload": {"preset": "idle-snp", "snp": {"share": [0.01, 0.02, 0.03, 0.04, 0.05]}},
}


def estimate(spec: dict[str, Any] | Path, **options: Any) -> Estimate:
    return estimating.estimate(read_spec(spec), **options)


Runs = list[tuple[str, int, int]]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """What is run for a measurement: scenario, seeds, horizon."""
    seen: Runs = []

    def count(shards: list[Shard], setting: Setting) -> ShardRows:
        (shard,) = shards
        seen.append((shard.label, len(shard.seeds), shard.workload.horizon_ns))
        return shard_rows(shards, setting)

    monkeypatch.setattr(estimating, "shard_rows", count)
    return seen


def test_three_scenarios_of_a_kind_are_run_with_one_seed_and_the_rest_is_scaled(runs: Runs) -> None:
    found = estimate(SMALL, workers=3)
    shares = [label for label, _, _ in runs[1:]]
    assert shares == [f"snp.share={share}" for share in (0.01, 0.03, 0.05)]
    assert {n_seeds for _, n_seeds, _ in runs} == {1}
    assert (found.n_traces_measured, found.n_rows) == (3, 5 * 6 * 3)
    assert found.factor < 3.0
    assert 0 < found.busy_s / 3 <= found.wall_s <= found.busy_s


def test_time_and_bytes_go_with_the_number_of_seeds() -> None:
    few, many = (estimate({**SMALL, "seeds": n}, workers=1) for n in (10, 1000))
    assert many.n_rows == 100 * few.n_rows
    # Measured twice, so not exactly a hundredfold.
    assert 20 < many.busy_s / few.busy_s < 500
    assert 50 < many.result_bytes / few.result_bytes < 100
    assert many.worker_bytes == pytest.approx(few.worker_bytes, rel=0.01)


def test_bytes_are_those_of_a_finished_sweep(spec_file: Path, undisturbed: Path) -> None:
    files = [undisturbed / "results.parquet", *(undisturbed / "parts").iterdir()]
    written = sum(path.stat().st_size for path in files)
    assert written / 1.5 < estimate(spec_file, backend="numpy", workers=2).result_bytes < written * 1.5


def test_a_long_trace_is_cut_short_and_its_memory_is_that_of_all_of_it(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimating, "_BUDGET_S", 0.04)
    spec = {"backend": "numpy", "policies": ["v10"], "workload": {"preset": "iaas-mixed"}}
    (scenario,) = read_spec(spec).scenarios
    found = estimate(spec, workers=1)
    (_, (_, _, horizon_ns)) = runs
    assert horizon_ns < scenario.workload.horizon_ns // 2
    # Half a million events in all.
    assert 200e6 < found.worker_bytes < 500e6
    assert found.factor == 3.0


def test_what_does_not_fit_is_refused_with_its_remedy() -> None:
    with pytest.raises(
        NoFitError, match=r'scenario "snp.share=0.0\d": .* needs about 0.1 GiB.*give workers more memory'
    ):
        estimate(SMALL, workers=1, worker_bytes=100 * 2**20)
    assert estimate(SMALL, workers=1, worker_bytes=2**30).worker_bytes < 2**30


def test_a_vm_table_without_a_rate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vms.csv").write_text("arrival_ns,lifetime_ns,vcpus,memory_bytes\n0,1000,1,1073741824\n")
    with pytest.raises(NoRateError, match=r"give vm_table\.thin\.arrivals_per_day"):
        estimate({"workload": {"host": "lab", "vm_table": {"path": str(tmp_path / "vms.csv")}}}, workers=1)


def test_a_device_gets_a_batch_of_seeds(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "device_count", lambda name: 1)
    monkeypatch.setattr(estimating, "_BUDGET_S", 1000.0)
    found = estimate({**SMALL, "seeds": 4}, workers=1)
    assert found.on_device
    # Half of 60 pairs at once, of three policies each; the first run is no measurement.
    assert [n_seeds for _, n_seeds, _ in runs] == [1, 10, 10, 10]
    assert found.n_traces_measured == 30


def test_the_average_stands_for_a_kind_that_was_not_measured() -> None:
    plan = make_plan(read_spec({**SMALL, "workload": {"preset": ["idle-snp", "last-big-VM"]}}), "numpy")
    samples = [sample for sample in estimating._measure(plan, on_device=False) if "idle" in sample.kind]
    doubled = [replace(sample, took_s=2 * sample.took_s) for sample in samples]
    for shard in plan.shards:
        once, twice = (estimating._shard_s(shard, plan.setting, some) for some in (samples, doubled))
        assert twice == pytest.approx(2 * once)


def test_a_dry_run_says_so_and_writes_nothing(
    spec_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["sweep", str(spec_file), "-o", str(tmp_path / "out"), "--backend", "numpy", "--workers", "2"]
    assert main([*command, "--dry-run"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(lines) == ["evaluations", "wall", "core-hours", "memory", "results", "certainty"]
    assert lines["evaluations"] == "240 in 24 parts, on numpy"
    assert main([*command, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n_rows"], told["n_shards"], told["workers"]) == (240, 24, 2)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_goes_by_the_clusters_options(
    spec_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = tmp_path / "cluster.toml"
    options.write_text('[cluster]\njobs = 6\ncores = 4\nmemory = "3 GiB"\n')
    command = ["sweep", str(spec_file), "-o", str(tmp_path / "out"), "--dry-run", "--cluster-options", str(options)]
    assert main([*command, "--cluster", "slurm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["workers"] == 24
    options.write_text('[cluster]\njobs = 6\ncores = 4\nmemory = "560 MiB"\n')
    assert main([*command, "--cluster", "pbs"]) == 1
    assert "a worker has 0.1 GiB; give workers more memory" in capsys.readouterr().err
    assert main([*command, "--cluster", "tcp://127.0.0.1:1"]) == 2
    assert capsys.readouterr().err == "gmemgpu: workers: is missing; say how many workers that scheduler has\n"


def test_a_dry_run_looks_at_the_directory(
    spec_file: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def dry(directory: Path, spec: Path = spec_file) -> int:
        return main(["sweep", str(spec), "-o", str(directory), "--dry-run"])

    assert dry(undisturbed) == 0
    assert "there       24 of 24 parts already, all of which count above" in capsys.readouterr().out
    other = tmp_path / "other.toml"
    other.write_text(spec_file.read_text().replace("seeds = 2", "seeds = 3"))
    assert dry(undisturbed, other) == 2
    assert "holds another sweep" in capsys.readouterr().err
    assert dry(tmp_path) == 2
    assert "holds other files (other.toml)" in capsys.readouterr().err
    assert dry(other) == 2
    assert "Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("n", [0, -3])
def test_a_dry_run_on_no_workers_is_refused(
    spec_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, n: int
) -> None:
    command = ["sweep", str(spec_file), "-o", str(tmp_path / "out"), "--dry-run", f"--workers={n}"]
    assert main(command) == 2
    assert capsys.readouterr().err.startswith(f"gmemgpu: workers: {n} is not positive; leave it out")


def test_traces_without_a_vm_are_estimated_too() -> None:
    workload = {"preset": "iaas-mixed", "stock": {"vms": 0}, "arrivals": {"batches_per_day": 0.0}}
    found = estimate({**SMALL, "workload": workload}, workers=1)
    assert found.n_rows == 18
    assert 0 <= found.worker_bytes - estimating._PROCESS_BYTES < 2**20
