"""
Sweeps by the commands of PBS, as Slurm offers them.

``qsub`` and ``qdel`` are Slurm's own, and so is what runs the jobs: how real PBS treats scripts and resources is not
tested. That dask-jobqueue's PBS jobs come up and are replaced, and that the scripts in ``jobs/pbs`` do their work, is.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from slurm_node import SlurmNode, same_files, wait_until
from sweep_processes import Hold

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


def test_a_client_in_a_job_of_its_own_replaces_a_lost_one(
    slurm: SlurmNode, spec_file: Path, local: Path, folder: Path, store: Store, hold: Hold
) -> None:
    job = submit(slurm, folder, "dask.pbs", {"SPEC": spec_file, "DIR": store.directory})
    wait_until(lambda: len(hold.pids()) == 2, 90, "both workers")
    first = slurm.active_jobs()
    assert len(first) == 3
    slurm.call("qdel", next(one for one in first if one != job))
    wait_until(lambda: len(set(slurm.active_jobs()) - set(first)) == 1, 60, "a job in its place")
    hold.let_go()
    slurm.wait_until_idle(120)
    assert slurm.state_of(job) == "COMPLETED", (folder / f"dask.pbs.e{job}").read_text()
    assert same_files(store.directory, local)
