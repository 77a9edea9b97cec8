"""What a sweep would take: for whatever a sweep accepts, from little work, and close to what it then takes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.cli.main import main
from gmemgpu.engine.choice import EngineChoice, choose_engine
from gmemgpu.sweeping import estimate as estimating
from gmemgpu.sweeping.estimate import SweepEstimate, estimate
from gmemgpu.sweeping.run.plan import make_plan
from gmemgpu.sweeping.run.shard import Setting, Shard, shard_rows
from gmemgpu.sweeping.spec import read_spec

SMALL: dict[str, Any] = {
    "backend": "numpy",
    "seeds": 6,
    "policies": ["v10", "refcount"],
    "workload": {"preset": "idle-snp", "snp": {"share": [0.01, 0.02, 0.03, 0.04, 0.05]}},
}

Runs = list[tuple[str, int, int]]


def of(workers: int = 1, **changes: Any) -> SweepEstimate:
    return estimate(read_spec({**SMALL, **changes}), workers=workers)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """What is run to be timed: scenario, number of seeds, horizon; the first is not timed."""
    seen: Runs = []

    def count(shards: list[Shard], setting: Setting) -> Any:
        (shard,) = shards
        seen.append((setting.label_of(shard), len(shard.seeds), setting.scenarios[0].workload.horizon_ns))
        return shard_rows(shards, setting)

    monkeypatch.setattr(estimating, "shard_rows", count)
    return seen


def test_the_middle_scenario_of_each_kind_is_timed_with_one_seed(runs: Runs) -> None:
    found = of(workload={**SMALL["workload"], "preset": ["idle-snp", "last-big-VM"]})
    assert [(label.rpartition(" ")[2], n_seeds) for label, n_seeds, _ in runs[1:]] == [("snp.share=0.03", 1)] * 2
    assert (found.n_timed, found.n_rows) == (2, 2 * 5 * 6 * 3)


def test_time_and_bytes_go_with_the_number_of_seeds() -> None:
    few, many = of(seeds=10), of(seeds=1000)
    assert many.n_rows == 100 * few.n_rows
    # Timed twice, so not exactly a hundredfold.
    assert 20 < many.busy_s[1] / few.busy_s[1] < 500
    assert 50 < many.disk_bytes / few.disk_bytes <= 100
    assert many.worker_bytes == pytest.approx(few.worker_bytes, rel=0.01)


def test_workers_share_the_work() -> None:
    found = of(workers=3)
    assert 0 < found.busy_s[0] < found.busy_s[1]
    assert found.wall_s == tuple(pytest.approx(busy_s / 3) for busy_s in found.busy_s)


def test_a_long_trace_is_cut_short_and_its_memory_is_that_of_all_of_it(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimating, "_BUDGET_S", 0.04)
    spec = read_spec({"backend": "numpy", "policies": ["v10"], "workload": {"preset": "iaas-mixed"}})
    found = estimate(spec, workers=1)
    assert runs[-1][2] < spec.scenarios[0].workload.horizon_ns // 2
    # Half a million events in all.
    assert 200e6 < found.worker_bytes < 600e6
    # A wider range than of what was timed whole.
    assert found.busy_s[1] / found.busy_s[0] > 5


@pytest.mark.parametrize("thin", [None, {"keep": 0.5}, {"arrivals_per_day": 5.0}])
def test_a_vm_table_needs_no_rate(tmp_path: Path, thin: dict[str, float] | None) -> None:
    rows = "".join(f"{3600 * i},7200,2,4,snp\n" for i in range(100))
    (tmp_path / "vms.csv").write_text(f"arrival_s,lifetime_s,vcpus,mem_gib,kind\n{rows}")
    table = {"path": str(tmp_path / "vms.csv"), **({"thin": thin} if thin else {})}
    found = of(workload={"host": "lab", "horizon_ns": "2 d", "vm_table": table})
    assert found.n_rows == 18
    assert found.busy_s[0] > 0


@pytest.mark.parametrize(
    "workload",
    [
        {"preset": "iaas-mixed", "stock": {"vms": 0}, "arrivals": {"batches_per_day": 0.0}},
        {"preset": "idle-snp", "horizon_ns": 1, "warmup_ns": 0},
        {
            "preset": "idle-snp",
            "host": "lab",
            "stock": {"vms": 3},
            "horizon_ns": ["1 min", "1 h"],
            "warmup_ns": "1 s",
            "memory": {"placement": ["scatter", "lifo"]},
        },
    ],
)
def test_every_workload_has_an_estimate(workload: dict[str, Any]) -> None:
    found = of(workload=workload)
    assert found.n_rows == 18 * len(read_spec({"workload": workload}).scenarios)
    assert found.worker_bytes >= 150 * 2**20


def test_a_device_gets_a_batch_of_seeds(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "device_count", lambda name: 1)
    monkeypatch.setattr(estimating, "_BUDGET_S", 1000.0)
    found = of(seeds=4)
    assert (found.unit, found.n_timed) == ("GPU", 4)
    assert {n_seeds for _, n_seeds, _ in runs} == {4}


def test_a_dry_run_says_so_and_writes_nothing(
    spec_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["sweep", str(spec_file), "-o", str(tmp_path / "out"), "--backend", "numpy", "--workers", "2"]
    assert main([*command, "--dry-run"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(lines) == ["evaluations", "wall", "core-hours", "memory", "disk", "based"]
    assert lines["evaluations"] == "128 in 16 parts, on numpy"
    assert main([*command, "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_rows"], found["n_parts"], found["workers"], found["n_parts_there"]) == (128, 16, 2, 0)
    assert set(found) == {*asdict(of()), "n_parts_there"}
    assert not list(tmp_path.iterdir())


def test_a_dry_run_looks_at_the_directory(
    spec_file: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def dry(directory: Path, spec: Path = spec_file) -> int:
        return main(["sweep", str(spec), "-o", str(directory), "--dry-run"])

    assert dry(undisturbed) == 0
    out = capsys.readouterr().out
    assert "16 parts, on numpy; 16 of them are there, and counted below all the same" in out
    other = tmp_path / "other.toml"
    other.write_text(spec_file.read_text().replace("seeds = 2", "seeds = 3"))
    assert dry(undisturbed, other) == 2
    assert "holds another sweep" in capsys.readouterr().err
    assert dry(tmp_path) == 2
    assert "holds other files (other.toml)" in capsys.readouterr().err


def test_of_workers_elsewhere_auto_expects_no_gpu(
    spec_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: list[bool] = []

    def choose(name: str, *, n_pairs: int, elsewhere: bool) -> EngineChoice:
        asked.append(elsewhere)
        return choose_engine(name, n_pairs=n_pairs, elsewhere=elsewhere)

    monkeypatch.setattr(estimating, "choose_engine", choose)
    command = ["sweep", str(spec_file), "-o", str(tmp_path / "out"), "--dry-run", "--backend", "auto"]
    for options in ([], ["--cluster", "slurm"], ["--scheduler", "tcp://127.0.0.1:1", "--workers", "4"]):
        assert main([*command, *options]) == 0
    assert asked == [False, True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers=0"], "gmemgpu: workers: 0 is not positive; leave it out"),
        (["--workers=-3"], "gmemgpu: workers: -3 is not positive; leave it out"),
        (["--scheduler=tcp://127.0.0.1:1"], "gmemgpu: workers: is missing; tell how many workers that scheduler has"),
    ],
)
def test_workers_that_nobody_can_count_are_refused(
    spec_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], message: str
) -> None:
    command = ["sweep", str(spec_file), "-o", str(tmp_path / "out"), "--dry-run", *options]
    assert main(command) == 2
    assert capsys.readouterr().err.startswith(message)


def test_parts_are_cut_the_same_on_every_machine() -> None:
    # By parameters alone: these numbers may change with the code only, which makes other sweeps of old directories.
    for name, n_parts in (("quickstart", 11), ("azure-2017", 29), ("churn", 1074), ("large", 1128)):
        assert len(make_plan(read_spec(f"jobs/{name}.toml"), "numpy").shards) == n_parts
