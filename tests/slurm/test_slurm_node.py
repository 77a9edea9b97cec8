"""The Slurm that other tests run on does what a cluster's does."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from slurm_node import SlurmNode, running_node, wait_until

pytestmark = pytest.mark.slurm


def test_each_of_two_jobs_gets_a_gpu_of_its_own_and_a_third_waits(slurm: SlurmNode, tmp_path: Path) -> None:
    script = "echo $CUDA_VISIBLE_DEVICES; while [ ! -e go ]; do sleep 0.1; done"
    jobs = [
        slurm.submit("--gres=gpu:1", f"--chdir={tmp_path}", f"--output={tmp_path}/%j.log", f"--wrap={script}")
        for _ in range(3)
    ]
    logs = [tmp_path / f"{job}.log" for job in jobs[:2]]
    wait_until(lambda: all(log.exists() and log.read_text() for log in logs), 20, "two jobs' output")
    assert {log.read_text().strip() for log in logs} == {"0", "1"}
    assert slurm.state_of(jobs[2]) == "PENDING"
    (tmp_path / "go").touch()
    slurm.wait_until_idle(30)
    assert {slurm.state_of(job) for job in jobs} == {"COMPLETED"}


def test_nothing_is_left_of_it(slurm_session: SlurmNode) -> None:
    with running_node() as node:
        assert node.conf != slurm_session.conf
        job = node.submit("--output=/dev/null", "--wrap=sleep 300")
        assert job in node.active_jobs()
    assert not node.folder.exists()
    for process in psutil.process_iter(["cmdline"]):
        assert str(node.folder) not in " ".join(process.info["cmdline"] or ())
