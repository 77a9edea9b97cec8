"""Sweeps as job arrays, by the script that users submit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from slurm_node import SlurmNode, same_files, wait_until
from sweep_processes import Hold

from gmemgpu.sweeping.store.directory import Store

pytestmark = pytest.mark.slurm

SCRIPTS = Path(__file__).parents[2] / "jobs" / "slurm"


def submit_array(slurm: SlurmNode, spec_file: Path, directory: Path, n: int, logs: Path, *options: str) -> str:
    script = SCRIPTS / "array.sbatch"
    array = (f"--array=0-{n - 1}", f"--output={logs}/%a-of-{n}.log", "--mem=1G")
    return slurm.submit(*array, *options, script, spec_file, directory)


def n_computed(logs: Path) -> int:
    told = "".join(log.read_text() for log in logs.glob("*.log"))
    return sum(int(n) for n in re.findall(r": (\d+) shards computed, 0 failed", told))


def test_an_array_makes_the_same_bytes_as_a_local_sweep(
    slurm: SlurmNode, spec_file: Path, local: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    job = submit_array(slurm, spec_file, directory, 4, tmp_path)
    slurm.wait_until_idle(120)
    assert {slurm.state_of(f"{job}_{i}") for i in range(4)} == {"COMPLETED"}
    assert n_computed(tmp_path) == 12
    assert same_files(directory, local)


def test_two_arrays_on_one_directory_write_the_same_parts(
    slurm: SlurmNode, spec_file: Path, local: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    for n in (2, 3):
        submit_array(slurm, spec_file, directory, n, tmp_path)
    slurm.wait_until_idle(120)
    assert len(list(tmp_path.glob("*.log"))) == 5
    assert same_files(directory, local)


def test_a_task_past_its_walltime_is_ended_and_the_same_array_goes_on(
    slurm: SlurmNode, spec_file: Path, local: Path, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = Hold(tmp_path / "hold", store.directory, 1)
    for name, value in hold.python_environment.items():
        monkeypatch.setenv(name, value)
    array = ("--array=0-1", f"--output={tmp_path}/%a-of-2.log", "--mem=1G", "--time=10", SCRIPTS / "array.sbatch")
    job = slurm.submit(*array, spec_file, store.directory)
    log = tmp_path / "1-of-2.log"
    wait_until(lambda: log.exists() and "6 of 6 shards to do" in log.read_text(), 60, "the task's start")
    for i in range(2):
        slurm.expire(f"{job}_{i}")
    slurm.wait_until_idle(120)
    assert slurm.state_of(f"{job}_1") == "TIMEOUT"
    assert "terminated; run the same again to go on" in log.read_text()
    assert not (store.directory / "results.parquet").exists()
    hold.let_go()
    job = submit_array(slurm, spec_file, store.directory, 2, tmp_path)
    slurm.wait_until_idle(120)
    assert slurm.state_of(f"{job}_1") == "COMPLETED"
    assert same_files(store.directory, local)


def test_the_merge_job_finishes_what_an_array_left(
    slurm: SlurmNode, spec_file: Path, local: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    array = slurm.submit("--array=1", f"--output={tmp_path}/1.log", SCRIPTS / "array.sbatch", spec_file, directory)
    after = (f"--dependency=afterany:{array}", f"--output={tmp_path}/merge.log")
    job = slurm.submit(*after, SCRIPTS / "merge.sbatch", spec_file, directory, "--quiet")
    slurm.wait_until_idle(120)
    # An array of one task is share 0 of 1 to nobody: its index is refused, and the merge job does all.
    assert "index: 1 is outside 0 to 0" in (tmp_path / "1.log").read_text()
    assert slurm.state_of(job) == "COMPLETED"
    assert same_files(directory, local)
