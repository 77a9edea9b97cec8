"""Sweeps on Dask workers that Slurm starts: one by one for a client, or in one allocation by the scripts."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from slurm_node import SlurmNode, wait_until
from slurm_results import same_rows

from gmemgpu.sweeping.store.directory import Store

pytestmark = pytest.mark.slurm

ROOT = Path(__file__).parents[2]
CONFIG = """\
jobqueue:
  slurm:
    cores: 1
    memory: 1GiB
    walltime: "00:10:00"
    job-extra-directives: ["--gres=gpu:1"]
    scheduler-options: {host: 127.0.0.1}
distributed:
  deploy:
    lost-worker-timeout: 1s
"""


@pytest.fixture
def command(spec_file: Path, tmp_path: Path) -> list[str]:
    config = tmp_path / "jobqueue.yaml"
    config.write_text(CONFIG)
    sweep = [sys.executable, "-m", "gmemgpu", "sweep", spec_file, "-o", tmp_path / "out", "--quiet"]
    return [str(word) for word in (*sweep, "--cluster", "slurm", "--cluster-config", config, "--jobs", "2")]


def hearing_ctrl_c() -> None:
    """For a process that is to be interrupted: whoever runs the tests in the background has all of them ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running(command: list[str], slurm: SlurmNode) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, env=slurm.environment, stderr=subprocess.PIPE, text=True, preexec_fn=hearing_ctrl_c
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ends_well(process: subprocess.Popen[str]) -> bool:
    _, told = process.communicate(timeout=180)
    assert told == ""
    return process.returncode == 0


def n_parts(store: Store) -> int:
    return len(list(store.parts.glob("*.arrow")))


def test_two_workers_with_a_gpu_each(slurm: SlurmNode, command: list[str], local: Path, store: Store) -> None:
    with running(command, slurm) as client:
        wait_until(lambda: len(slurm.active_jobs()) == 2, 60, "two jobs")
        told = [slurm.call("scontrol", "--oneliner", "show", "job", job) for job in slurm.active_jobs()]
        assert all("gres:gpu:1" in line for line in told)
        assert ends_well(client)
    slurm.wait_until_idle(60)
    assert same_rows(store.directory, local)


@pytest.mark.parametrize("how", ["cancelled", "past its walltime"])
def test_a_lost_job_is_replaced(slurm: SlurmNode, command: list[str], local: Path, store: Store, how: str) -> None:
    with running(command, slurm) as client:
        wait_until(lambda: n_parts(store) > 0, 90, "the first part")
        first = slurm.active_jobs()
        assert len(first) == 2
        if how == "cancelled":
            slurm.call("scancel", first[0])
        else:
            slurm.expire(first[0])
        wait_until(lambda: first[0] not in slurm.active_jobs(), 60, "the job's end")
        assert slurm.state_of(first[0]) == {"cancelled": "CANCELLED", "past its walltime": "TIMEOUT"}[how]
        wait_until(lambda: len(set(slurm.active_jobs()) - set(first)) == 1, 60, "a job in its place")
        assert ends_well(client)
    slurm.wait_until_idle(60)
    assert same_rows(store.directory, local)


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGINT, 130, "gmemgpu: interrupted\n"),
        (signal.SIGTERM, 143, "gmemgpu: terminated; run the same again to go on\n"),
    ],
)
def test_a_client_that_is_ended_takes_its_jobs_along(
    slurm: SlurmNode, command: list[str], local: Path, store: Store, number: signal.Signals, code: int, told: str
) -> None:
    with running(command, slurm) as client:
        wait_until(lambda: n_parts(store) > 0, 90, "the first part")
        client.send_signal(number)
        assert client.communicate(timeout=60)[1] == told
        assert client.returncode == code
    slurm.wait_until_idle(60)
    assert not (store.directory / "lock").exists()
    assert not (store.directory / "results.parquet").exists()
    with running(command, slurm) as client:
        assert ends_well(client)
    assert same_rows(store.directory, local)


def test_what_jobs_see_is_encrypted_and_gone_afterwards(
    slurm: SlurmNode, command: list[str], local: Path, store: Store
) -> None:
    logs = store.directory / "logs"
    with running(command, slurm) as client:
        wait_until(lambda: n_parts(store) > 0, 90, "the first part")
        keys = [path for path in logs.iterdir() if path.name.startswith(".dask-jobqueue.worker.key")]
        assert keys
        assert all(path.stat().st_mode & 0o077 == 0 for path in keys)
        told = slurm.call("scontrol", "write", "batch_script", slurm.active_jobs()[0], "-")
        assert " tls://127.0.0.1:" in told
        assert ends_well(client)
    slurm.wait_until_idle(60)
    assert not list(logs.glob(".dask-jobqueue*"))
    assert same_rows(store.directory, local)


@pytest.mark.parametrize("script", ["dask.sbatch", "gpu.sbatch"])
def test_scheduler_and_workers_in_one_allocation(
    slurm: SlurmNode, spec_file: Path, local: Path, store: Store, script: str
) -> None:
    log = store.directory.parent / "log"
    options = (f"--output={log}", "--ntasks=2", "--mem-per-cpu=1G", f"--chdir={ROOT}")
    job = slurm.submit(*options, ROOT / "jobs" / "slurm" / script, spec_file, store.directory, "--quiet")
    slurm.wait_until_idle(120)
    assert slurm.state_of(job) == "COMPLETED", log.read_text()
    assert same_rows(store.directory, local)
    assert not list(ROOT.glob("scheduler-*"))


@pytest.mark.parametrize("script", sorted((ROOT / "jobs" / "slurm").glob("*.sbatch")), ids=lambda script: script.name)
def test_slurm_takes_the_script(slurm: SlurmNode, script: Path, spec_file: Path, tmp_path: Path) -> None:
    slurm.call("sbatch", "--test-only", script, spec_file, tmp_path / "out")
    assert not slurm.active_jobs()
