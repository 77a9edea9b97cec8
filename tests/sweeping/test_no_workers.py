"""Where no worker can start, the sweep says why and what to do."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sweep_processes import run_gmemgpu

import gmemgpu
from gmemgpu.sweeping.clusters.local import local_client

SPEC = """
policies = ["v10"]
[workload]
preset = "idle-snp"
horizon_ns = "10 min"
warmup_ns = "1 s"
sizes.scale = 0.25
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "s.toml"
    path.write_text(SPEC)
    return path


def _sweep(spec: str, directory: str) -> str:
    try:
        gmemgpu.sweep(spec, directory, workers=1, progress=None)
    except gmemgpu.GmemgpuError as error:
        return str(error)
    return ""


def test_a_daemonic_process_is_told(spec: Path, tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        told = pool.apply(_sweep, (str(spec), str(tmp_path / "out")))
    assert told.startswith("a daemonic process")
    assert "give it a client" in told


def test_a_program_on_standard_input_sweeps(spec: Path, tmp_path: Path) -> None:
    program = f"import gmemgpu; print(gmemgpu.sweep({str(spec)!r}, {str(tmp_path / 'out')!r}, progress=None).n_rows)"
    done = subprocess.run(
        [sys.executable, "-"], input=program, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "2", "v10 and the oracle"


def test_encryption_that_is_required_needs_no_certificates_of_the_user(spec: Path, tmp_path: Path) -> None:
    code, _, err = run_gmemgpu(
        "sweep",
        spec,
        "-o",
        tmp_path / "out",
        "--quiet",
        environment={"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"},
    )
    assert code == 0, err


def test_few_open_files(spec: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gmemgpu", "sweep", spec, "-o", tmp_path / "out", "--quiet"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "20 are allowed; allow more open files (ulimit -n), try fewer workers" in done.stderr
    assert "gmemgpu shard" in done.stderr


@pytest.mark.parametrize(
    ("own", "before", "told"),
    [
        ("-m", "mount -t tmpfs -o nr_inodes=1 tmpfs /dev/shm", "POSIX semaphores cannot be made"),
        # In a new network nothing is up.
        ("-n", "true", "start the loopback interface"),
    ],
)
def test_what_the_machine_lacks_is_told(own: str, before: str, told: str, spec: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root, for a mount and a network of its own")
    sweep = [sys.executable, "-m", "gmemgpu", "sweep", spec, "-o", tmp_path / "out", "--quiet"]
    done = subprocess.run(
        ["unshare", own, "sh", "-c", f'{before}; exec "$@"', "sh", *sweep],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert told in done.stderr
    assert "gmemgpu shard" in done.stderr


def test_other_errors_have_a_way_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/nowhere"])
    with pytest.raises(gmemgpu.GmemgpuError, match="set TMPDIR"), local_client(1):
        raise AssertionError("a worker came up without a temporary folder")
