"""
Sweeps by the commands of PBS, as Slurm offers them.

``qsub`` and ``qdel`` are Slurm's own, and so is what runs the jobs: how real PBS treats scripts and resources is not
tested. That dask-jobqueue's PBS jobs come up and are replaced, and that the scripts in ``jobs/pbs`` do their work, is.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from slurm_node import SlurmNode, wait_until
from slurm_results import same_files, same_rows

from gmemgpu.sweeping.store.directory import Store

pytestmark = pytest.mark.slurm

SCRIPTS = Path(__file__).parents[2] / "jobs" / "pbs"
CONFIG = """\
jobqueue:
  pbs:
    cores: 1
    memory: 1GiB
    walltime: "00:10:00"
    scheduler-options: {host: 127.0.0.1}
distributed:
  deploy:
    lost-worker-timeout: 1s
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of submission, with options for jobs as small as the node that they run on."""
    config = tmp_path / "jobs" / "pbs" / "jobqueue.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    return tmp_path


def submit(slurm: SlurmNode, folder: Path, script: str, variables: dict[str, object], *options: str) -> str:
    told = ",".join(f"{name}={value}" for name, value in variables.items())
    # PBS finds -V in the script, Slurm's qsub on its command line alone.
    return slurm.call("qsub", "-V", *options, "-v", told, SCRIPTS / script, folder=folder).strip()


def test_an_array(slurm: SlurmNode, spec_file: Path, local: Path, folder: Path) -> None:
    job = submit(slurm, folder, "array.pbs", {"SPEC": spec_file, "DIR": folder / "out", "N": 3}, "-J", "0-2")
    slurm.wait_until_idle(120)
    assert {slurm.state_of(f"{job}_{i}") for i in range(3)} == {"COMPLETED"}
    told = "".join(path.read_text() for path in folder.glob("array.pbs.*"))
    assert sum(int(n) for n in re.findall(r": (\d+) shards computed, 0 failed", told)) == 12
    assert same_files(folder / "out", local)


def test_a_lost_job_is_replaced(slurm: SlurmNode, spec_file: Path, local: Path, folder: Path, store: Store) -> None:
    config = folder / "jobs" / "pbs" / "jobqueue.yaml"
    sweep = [sys.executable, "-m", "gmemgpu", "sweep", spec_file, "-o", store.directory, "--quiet"]
    with subprocess.Popen(
        [*sweep, "--cluster", "pbs", "--cluster-config", config, "--jobs", "2"],
        env=slurm.environment,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        try:
            wait_until(lambda: len(list(store.parts.glob("*.arrow"))) > 0, 90, "the first part")
            first = slurm.active_jobs()
            assert len(first) == 2
            slurm.call("qdel", first[0])
            wait_until(lambda: len(set(slurm.active_jobs()) - set(first)) == 1, 60, "a job in its place")
            assert client.communicate(timeout=180)[1] == ""
        finally:
            client.kill()
    assert client.returncode == 0
    slurm.wait_until_idle(60)
    assert same_rows(store.directory, local)


def test_a_client_in_a_job_of_its_own(slurm: SlurmNode, spec_file: Path, local: Path, folder: Path) -> None:
    job = submit(slurm, folder, "dask.pbs", {"SPEC": spec_file, "DIR": folder / "out"})
    slurm.wait_until_idle(120)
    assert slurm.state_of(job) == "COMPLETED", (folder / f"dask.pbs.e{job}").read_text()
    assert same_rows(folder / "out", local)
