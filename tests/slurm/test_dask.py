"""Sweeps on Dask workers that Slurm starts: one by one for a client, or in one allocation by the scripts."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from slurm_node import SlurmNode, same_files, wait_until
from sweep_processes import Hold

from gmemgpu.sweeping.run.share import compute_share
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


# On the node that the first job comes to, NumPy has another version.
OTHER_NUMPY = """\
from importlib import metadata

there = metadata.version
metadata.version = lambda package: "0.9" if package == "numpy" else there(package)
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "jobqueue.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def command(spec_file: Path, tmp_path: Path, config: Path) -> list[str]:
    sweep = [sys.executable, "-m", "gmemgpu", "sweep", spec_file, "-o", tmp_path / "out", "--quiet"]
    return [str(word) for word in (*sweep, "--cluster", "slurm", "--cluster-config", config, "--jobs", "2")]


def add_key(config: Path, line: str) -> None:
    config.write_text(config.read_text().replace("    cores: 1\n", f"    cores: 1\n    {line}\n"))


def hearing_ctrl_c() -> None:
    """For a process that is to be interrupted: whoever runs the tests in the background has all of them ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running(command: list[str], slurm: SlurmNode, path: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    environ = dict(slurm.environment)
    if path is not None:
        environ["PATH"] = f"{path}:{environ['PATH']}"
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True, preexec_fn=hearing_ctrl_c)
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


@pytest.mark.parametrize("how", ["cancelled", "past its walltime", "of two processes"])
def test_a_lost_job_is_replaced(
    slurm: SlurmNode, config: Path, command: list[str], local: Path, store: Store, hold: Hold, how: str
) -> None:
    if how == "of two processes":
        config.write_text(config.read_text().replace("cores: 1", "cores: 2"))
        command[-1] = "1"
    with running(command, slurm) as client:
        wait_until(lambda: len(hold.pids()) == 2, 90, "both workers")
        first = slurm.active_jobs()
        assert len(first) == int(command[-1])
        # Slurm takes up to half a minute to see that a walltime is over.
        if how == "past its walltime":
            slurm.expire(first[0])
        else:
            slurm.call("scancel", first[0])
        wait_until(lambda: first[0] not in slurm.active_jobs(), 60, "the job's end")
        assert slurm.state_of(first[0]) == ("TIMEOUT" if how == "past its walltime" else "CANCELLED")
        wait_until(lambda: len(set(slurm.active_jobs()) - set(first)) == 1, 60, "a job in its place")
        hold.let_go()
        assert ends_well(client)
    slurm.wait_until_idle(60)
    # The one in its place was not taken for lost while it started.
    assert len([job for job in slurm.all_jobs() if int(job) > max(map(int, first))]) == 1
    assert same_files(store.directory, local)


def test_as_many_jobs_as_there_is_work_for(
    slurm: SlurmNode, command: list[str], local: Path, store: Store, hold: Hold
) -> None:
    command[-2:] = ["--adapt", "1:2"]
    before = slurm.all_jobs()
    with running(command, slurm) as client:
        wait_until(lambda: n_parts(store) > 0, 90, "the first part")
        wait_until(lambda: len(slurm.active_jobs()) == 2, 60, "a second job")
        hold.let_go()
        assert ends_well(client)
    slurm.wait_until_idle(60)
    assert len(set(slurm.all_jobs()) - set(before)) == 2
    assert same_files(store.directory, local)


def test_a_queue_that_is_not_there_is_named(slurm: SlurmNode, config: Path, command: list[str], store: Store) -> None:
    add_key(config, "queue: nowhere")
    with running(command, slurm) as client:
        told = client.communicate(timeout=60)[1]
    assert client.returncode == 1
    assert re.fullmatch(
        r"gmemgpu: slurm takes no job: .*[Ii]nvalid partition.*; --print-job shows the script\n", told, re.DOTALL
    )
    assert not (store.directory / "lock").exists()


def test_a_job_that_was_refused_once_is_submitted_again(
    slurm: SlurmNode, command: list[str], local: Path, store: Store, hold: Hold, tmp_path: Path
) -> None:
    refusing = tmp_path / "sbatch"
    real = shutil.which("sbatch")
    refusing.write_text(f'#!/bin/sh\nmkdir {tmp_path}/once 2>/dev/null && exit 1\nexec {real} "$@"\n')
    refusing.chmod(0o755)
    with running(command, slurm, path=tmp_path) as client:
        wait_until(lambda: len(slurm.active_jobs()) == 2, 60, "both jobs")
        hold.let_go()
        assert ends_well(client)
    slurm.wait_until_idle(60)
    assert same_files(store.directory, local)


@pytest.mark.parametrize("nodes", ["one", "all"])
def test_nodes_with_other_code(
    slurm: SlurmNode, config: Path, command: list[str], local: Path, store: Store, tmp_path: Path, nodes: str
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text(OTHER_NUMPY)
    condition = {"one": f"mkdir {tmp_path}/first &&", "all": ""}[nodes]
    add_key(config, f"job-script-prologue: ['{condition} export PYTHONPATH={other}:$PYTHONPATH']")
    with running(command, slurm) as client:
        if nodes == "one":
            assert ends_well(client)
            assert same_files(store.directory, local)
        else:
            told = client.communicate(timeout=120)[1]
            assert client.returncode == 1
            assert re.fullmatch(
                r'gmemgpu: worker tls://\S+ on \S+: does not run the same code \(numpy: "0.9" .*\n', told
            )
    slurm.wait_until_idle(60)


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGINT, 130, "gmemgpu: interrupted\n"),
        (signal.SIGTERM, 143, "gmemgpu: terminated; run the same again to go on\n"),
    ],
)
def test_a_client_that_is_ended_takes_its_jobs_along(
    slurm: SlurmNode,
    spec_file: Path,
    command: list[str],
    local: Path,
    store: Store,
    hold: Hold,
    number: signal.Signals,
    code: int,
    told: str,
) -> None:
    with running(command, slurm) as client:
        wait_until(lambda: n_parts(store) > 0, 90, "the first part")
        client.send_signal(number)
        hold.at(6)
        assert client.communicate(timeout=60)[1] == told
        assert client.returncode == code
    slurm.wait_until_idle(60)
    assert not (store.directory / "lock").exists()
    assert not (store.directory / "results.parquet").exists()
    # One without a cluster goes on.
    n_left = 12 - n_parts(store)
    assert compute_share(spec_file, store.directory, index=0, of=1).n_shards_computed == n_left > 0
    assert same_files(store.directory, local)


def test_each_job_has_a_gpu_and_what_it_sees_is_encrypted_and_gone_afterwards(
    slurm: SlurmNode, config: Path, command: list[str], local: Path, store: Store, hold: Hold, tmp_path: Path
) -> None:
    add_key(config, f"job-script-prologue: ['echo $CUDA_VISIBLE_DEVICES >> {tmp_path}/devices']")
    logs = store.directory / "logs"
    with running(command, slurm) as client:
        wait_until(lambda: len(hold.pids()) == 2, 90, "both workers")
        assert sorted((tmp_path / "devices").read_text().split()) == ["0", "1"]
        # Tests have pandas installed, which Arrow would import, and no job needs.
        loaded = [file.path for pid in hold.pids() for file in psutil.Process(pid).memory_maps()]
        assert any("/pyarrow/" in path for path in loaded)
        assert not any("/pandas/" in path for path in loaded)
        keys = [path for path in logs.iterdir() if path.name.startswith(".dask-jobqueue.worker.key")]
        assert keys
        assert all(path.stat().st_mode & 0o077 == 0 for path in keys)
        told = slurm.call("scontrol", "write", "batch_script", slurm.active_jobs()[0], "-")
        assert " tls://127.0.0.1:" in told
        hold.let_go()
        assert ends_well(client)
    slurm.wait_until_idle(60)
    assert not list(logs.glob(".dask-jobqueue*"))
    assert same_files(store.directory, local)


@pytest.mark.parametrize("script", ["dask.sbatch", "gpu.sbatch"])
def test_scheduler_and_workers_in_one_allocation(
    slurm: SlurmNode, spec_file: Path, local: Path, store: Store, script: str
) -> None:
    folder = store.directory.parent
    log = folder / "log"
    options = ("--hold", f"--output={log}", "--ntasks=2", "--mem-per-cpu=1G", f"--chdir={folder}")
    job = slurm.submit(*options, ROOT / "jobs" / "slurm" / script, spec_file, store.directory, "--quiet")
    # What a job of the same number, of another cluster on the same file system, has written there.
    foreign = folder / f"scheduler-{job}.json"
    foreign.write_text("not this job's")
    slurm.call("scontrol", "release", job)
    slurm.wait_until_idle(120)
    assert slurm.state_of(job) == "COMPLETED", log.read_text()
    assert same_files(store.directory, local)
    # The controller may know of the job's end before the script has cleaned up behind it.
    wait_until(lambda: list(folder.glob("scheduler-*")) == [foreign], 30, "the end of the scheduler's files")
