"""Sweeps as job arrays, by the script that users submit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from slurm_node import SlurmNode, wait_until
from slurm_results import same_files

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
    slurm: SlurmNode, spec_file: Path, local: Path, tmp_path: Path, store: Store
) -> None:
    job = submit_array(slurm, spec_file, store.directory, 2, tmp_path, "--time=10")
    wait_until(lambda: len(list(store.parts.glob("*.arrow"))) > 0, 120, "the first part")
    slurm.expire(f"{job}_1")
    slurm.wait_until_idle(120)
    assert slurm.state_of(f"{job}_1") == "TIMEOUT"
    assert "terminated; run the same again to go on" in (tmp_path / "1-of-2.log").read_text()
    assert not (store.directory / "results.parquet").exists()
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
