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

from gmemgpu.sweeping.store import Store

pytestmark = pytest.mark.slurm

SCRIPTS = Path(__file__).parents[2] / "jobs" / "pbs"
OPTIONS = """\
[cluster]
jobs = 2
memory = "1 GiB"
walltime = "10 min"
host = "127.0.0.1"
replace_after = "1 s"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of submission, with options for jobs as small as the node that they run on."""
    options = tmp_path / "jobs" / "pbs" / "cluster.toml"
    options.parent.mkdir(parents=True)
    options.write_text(OPTIONS)
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
    blocked = store.plan.shards[0]
    options = folder / "jobs" / "pbs" / "cluster.toml"
    sweep = [sys.executable, "-m", "gmemgpu", "sweep", spec_file, "-o", store.directory, "--quiet"]
    with store.claims() as claims:
        # A part that seems to be ours keeps the sweep from ending before the job is replaced.
        assert claims.take(blocked.part_id)
        with subprocess.Popen(
            [*sweep, "--cluster", "pbs", "--cluster-options", options],
            env=slurm.environment,
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        ) as client:
            try:
                wait_until(lambda: len(list(store.parts.glob("part-*"))) > 2, 90, "the first parts")
                first = slurm.active_jobs()
                assert len(first) == 2
                slurm.call("qdel", first[0])
                wait_until(lambda: first[0] not in slurm.active_jobs(), 60, "the job's end")
                wait_until(lambda: len(slurm.active_jobs()) == 2, 60, "a job in its place")
                claims.release(blocked.part_id)
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
