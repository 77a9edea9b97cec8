"""The command line under SIGKILL, SIGTERM, Ctrl-C and a full disk: what is finished stays, the next run goes on."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client
from sweep_processes import (
    PATIENCE_S,
    DaskProcesses,
    Hold,
    parts_of,
    run_gmemgpu,
    running,
    wait_for_parts,
    wait_until,
    workers_of,
)

from gmemgpu.sweeping.run.sweep import sweep

pytestmark = pytest.mark.slow

Contents = Callable[[Path], dict[str, str]]
N_PARTS = 16
N_ROWS = N_PARTS * 2 * 4
MOST_S = 15.0
"""From Ctrl-C to the end: five seconds for parts that are being computed, and the rest for a busy machine."""


@pytest.fixture
def goes_on(spec_file: Path, undisturbed: Path, contents: Contents, threads: Client) -> Callable[[Path], None]:
    """Return a function that sweeps to the end; what was there is not written again, and every byte is as it should."""

    def sweep_on(directory: Path) -> None:
        stamps = {path: path.stat().st_mtime_ns for path in parts_of(directory)}
        # On workers that are there already.
        result = sweep(spec_file, directory, threads)
        assert result.n_computed == (N_PARTS - len(stamps)) * N_ROWS // N_PARTS
        assert contents(directory) == contents(undisturbed)
        assert {path: path.stat().st_mtime_ns for path in stamps} == stamps

    return sweep_on


def listens(pids: set[int]) -> bool:
    found = (connection for connection in psutil.net_connections("tcp") if connection.status == psutil.CONN_LISTEN)
    return any(connection.pid in pids for connection in found)


def test_ctrl_c_keeps_finished_parts_and_leaves_nothing_running(
    spec_file: Path, goes_on: Callable[[Path], None], hold: Hold, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    with running("sweep", spec_file, "-o", directory, "--workers", 2) as process:
        wait_for_parts(process, directory, 2)
        family = psutil.Process(process.pid).children(recursive=True)
        begun_s = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        hold.at(8)
        output, errors = process.communicate(timeout=PATIENCE_S)
        assert time.monotonic() - begun_s < MOST_S
        assert not psutil.wait_procs(family, timeout=5)[1]
    assert (process.returncode, output) == (130, "")
    *lines, last = errors.splitlines()
    assert last == "gmemgpu: interrupted"
    assert lines[1:] == ["gmemgpu: 128 of 128 evaluations to do, 16 parts", "gmemgpu: 2 workers"] or lines
    assert "Traceback" not in errors
    assert len(family) >= 2
    # What was being computed was finished, not left half-written.
    assert not list((directory / "parts").glob(".*"))
    assert not (directory / "lock").exists()
    assert 2 <= len(parts_of(directory)) < 16
    goes_on(directory)


def test_ctrl_c_while_workers_start_is_as_quiet(spec_file: Path, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    with running("sweep", spec_file, "-o", directory, "--workers", 2, "--quiet") as process:
        # A worker process exists long before it has imported anything.
        wait_until(lambda: bool(workers_of(process.pid)), "a worker process")
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=PATIENCE_S) == ("", "gmemgpu: interrupted\n")
    assert process.returncode == 130
    assert parts_of(directory) == []


def test_sigterm_leaves_nothing_running(
    spec_file: Path, goes_on: Callable[[Path], None], hold: Hold, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    with running("sweep", spec_file, "-o", directory, "--workers", 2, "--quiet") as process:
        wait_for_parts(process, directory, 2)
        family = psutil.Process(process.pid).children(recursive=True)
        # To this process alone, unlike Ctrl-C.
        process.terminate()
        hold.at(8)
        assert process.communicate(timeout=PATIENCE_S) == ("", "gmemgpu: terminated; run the same again to go on\n")
        assert not psutil.wait_procs(family, timeout=5)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert not (directory / "lock").exists()
    goes_on(directory)


def test_a_killed_client_takes_its_workers_along(
    spec_file: Path, goes_on: Callable[[Path], None], hold: Hold, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    with running("sweep", spec_file, "-o", directory, "--workers", 2, "--quiet") as process:
        wait_for_parts(process, directory, 2)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(PATIENCE_S)
        assert not psutil.wait_procs(family, timeout=PATIENCE_S)[1]
    assert (directory / "lock").exists()
    assert not (directory / "results.parquet").exists()
    goes_on(directory)


def test_killed_workers_are_replaced(
    spec_file: Path, undisturbed: Path, contents: Contents, hold: Hold, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    with running("sweep", spec_file, "-o", directory, "--workers", 2, "--quiet") as process:
        for n in (2, 5):
            hold.at(n)
            wait_for_parts(process, directory, n)
            victim, *_ = workers_of(process.pid)
            victim.kill()
        hold.let_go()
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output, errors) == (0, "", "")
    assert contents(directory) == contents(undisturbed)


def test_a_killed_nanny_costs_its_host_alone(
    dask_processes: Callable[..., DaskProcesses],
    spec_file: Path,
    undisturbed: Path,
    contents: Contents,
    hold: Hold,
    tmp_path: Path,
) -> None:
    dask = dask_processes()
    victim, other = dask.start_workers(1), dask.start_workers(1)
    directory = tmp_path / "out"
    with running("sweep", spec_file, "-o", directory, "--scheduler", dask.file, "--quiet") as process:
        wait_for_parts(process, directory, 2)
        victim.kill()
        hold.let_go()
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert process.returncode == 0
    assert other.poll() is None
    assert contents(directory) == contents(undisturbed)


def test_a_killed_scheduler_ends_the_sweep_in_one_line(
    dask_processes: Callable[..., DaskProcesses],
    spec_file: Path,
    goes_on: Callable[[Path], None],
    hold: Hold,
    tmp_path: Path,
) -> None:
    dask = dask_processes()
    dask.start_workers(2)
    directory = tmp_path / "out"
    with running("sweep", spec_file, "-o", directory, "--scheduler", dask.address, "--quiet") as process:
        wait_for_parts(process, directory, 2)
        dask.started[0].kill()
        hold.let_go()
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output) == (1, "")
    assert errors.startswith("gmemgpu: the scheduler ended or cannot be reached any more; run the same command again")
    assert errors.count("\n") == 1
    assert not (directory / "lock").exists()
    dask.end()
    goes_on(directory)


@pytest.mark.parametrize("room", ["none", "manifest", "parts"])
def test_a_disk_without_room_is_named_and_nothing_is_half_written(
    spec_file: Path, undisturbed: Path, goes_on: Callable[[Path], None], tmp_path: Path, room: str
) -> None:
    # A limit on file sizes, which workers inherit, stands for a full disk: write fails in the same places.
    sizes = {path.name: path.stat().st_size for path in undisturbed.rglob("*") if path.is_file()}
    manifest, results = sizes.pop("manifest.json"), sizes.pop("results.parquet")
    limit = {"none": 100, "manifest": min(sizes.values()) - 1, "parts": results - 1}[room]
    assert manifest < results < min(sizes.values())
    directory = tmp_path / "out"
    if room == "parts":
        # There already, as any of them is larger than all of them merged.
        shutil.copytree(undisturbed, directory)
        (directory / "results.parquet").unlink()
    command = [sys.executable, "-B", "-m", "gmemgpu", "sweep", spec_file, "-o", directory, "--workers=1", "--quiet"]
    ran = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"gmemgpu: {directory}: cannot be written: File too large; make room there")
    assert ran.stderr.count("\n") == 1
    assert len(parts_of(directory)) == (16 if room == "parts" else 0)
    assert not list(directory.rglob(".*"))
    goes_on(directory)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return a function that makes a file system of so many KiB, or makes that one larger."""
    place = tmp_path / "disk"
    place.mkdir()

    def resize(kib: int) -> Path:
        again = ["-o", f"remount,size={kib}k"] if place.is_mount() else ["-t", "tmpfs", "-o", f"size={kib}k", "tmpfs"]
        made = subprocess.run(["mount", *again, str(place)], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
        return place

    yield resize
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_and_is_made_larger(
    spec_file: Path, goes_on: Callable[[Path], None], small_disk: Callable[[int], Path]
) -> None:
    directory = small_disk(200) / "out"
    code, output, errors = run_gmemgpu("sweep", spec_file, "-o", directory, "--workers", 2, "--quiet")
    assert (code, output) == (1, "")
    assert errors.startswith(f"gmemgpu: {directory}")
    assert "cannot be written: No space left on device; make room there or choose another directory" in errors
    assert errors.count("\n") == 1
    assert 2 < len(parts_of(directory)) < 16
    small_disk(10_000)
    goes_on(directory)
