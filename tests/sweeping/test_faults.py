"""The command line under a full disk, Ctrl-C and SIGKILL: what is finished stays, nothing is half-written."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

Contents = Callable[[Path], dict[str, str]]

PATIENCE_S = 120


@contextmanager
def running_sweep(spec: Path, directory: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start a sweep in a process group of its own, as a terminal does; kill what is left of it."""
    command = [sys.executable, "-m", "gmemgpu", "sweep", str(spec), "-o", str(directory), "--workers", "2", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever runs the tests in the background has them and all that they start ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)


def wait_for_parts(process: subprocess.Popen[str], directory: Path, n: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(list((directory / "parts").glob("part-*.parquet"))) < n:
        assert process.poll() is None, "the sweep ended before it could be disturbed"
        assert time.monotonic() < deadline, "the sweep writes no parts"
        time.sleep(0.01)


def worker_processes(process: subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if "--multiprocessing-fork" in child.cmdline():
                found.append(child)
    return found


def finished_parts(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "parts").iterdir() if path.suffix == ".parquet")


def test_ctrl_c_keeps_finished_parts_and_the_next_run_goes_on(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path
) -> None:
    directory = tmp_path / "out"
    with running_sweep(spec_file, directory) as process:
        wait_for_parts(process, directory, 3)
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert output == ""
    why, where, *lines = [line for line in errors.splitlines() if line]
    assert why.startswith("gmemgpu: backend numpy (auto: ")
    assert re.fullmatch(r"gmemgpu: dashboard http://127\.0\.0\.1:\d+/status", where)
    assert lines == [
        "gmemgpu: 240 of 240 evaluations to do in 24 tasks on 2 workers",
        "gmemgpu: interrupted",
    ]
    kept = finished_parts(directory)
    assert 3 <= len(kept) < 24
    assert not (directory / "results.parquet").exists()
    stamps = {name: (directory / "parts" / name).stat().st_mtime_ns for name in kept}
    with running_sweep(spec_file, directory, "--quiet") as process:
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert process.returncode == 0
    assert contents(directory) == contents(undisturbed)
    assert {name: (directory / "parts" / name).stat().st_mtime_ns for name in kept} == stamps


def test_ctrl_c_while_workers_start_is_as_quiet(spec_file: Path, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    with running_sweep(spec_file, directory, "--quiet") as process:
        deadline = time.monotonic() + PATIENCE_S
        # A worker process exists long before it has imported anything.
        while not worker_processes(process):
            assert process.poll() is None
            assert time.monotonic() < deadline, "no worker was started"
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=PATIENCE_S) == ("", "gmemgpu: interrupted\n")
    assert process.returncode == 130
    assert finished_parts(directory) == []


def test_a_replaced_worker_leaves_ctrl_c_to_the_client_too(spec_file: Path, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    with running_sweep(spec_file, directory, "--quiet") as process:
        wait_for_parts(process, directory, 1)
        victim, *others = worker_processes(process)
        victim.kill()
        known = {victim.pid, *(worker.pid for worker in others)}
        deadline = time.monotonic() + PATIENCE_S
        while {worker.pid for worker in worker_processes(process)} <= known:
            assert process.poll() is None
            assert time.monotonic() < deadline, "the worker was not replaced"
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=PATIENCE_S) == ("", "gmemgpu: interrupted\n")
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGKILL, -signal.SIGKILL, None),  # of one that is killed, Python's own tracker has something to say
        (signal.SIGTERM, 128 + signal.SIGTERM, "gmemgpu: terminated; run the same again to go on\n"),
    ],
    ids=["killed", "asked to end"],
)
def test_a_client_that_is_ended_takes_its_workers_along_and_the_next_run_goes_on(
    spec_file: Path,
    undisturbed: Path,
    contents: Contents,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    told: str | None,
) -> None:
    directory = tmp_path / "out"
    with running_sweep(spec_file, directory, "--quiet") as process:
        wait_for_parts(process, directory, 3)
        workers = psutil.Process(process.pid).children(recursive=True)
        # To this process alone, unlike Ctrl-C.
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == code
        _, orphans = psutil.wait_procs(workers, timeout=PATIENCE_S)
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert output == ""
    assert told is None or errors == told
    assert workers
    assert not orphans
    assert not (directory / "results.parquet").exists()
    # Only who is killed leaves claims behind.
    assert any((directory / "claims").iterdir()) is (number == signal.SIGKILL)
    with running_sweep(spec_file, directory, "--quiet") as process:
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert process.returncode == 0
    assert contents(directory) == contents(undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Give a function that makes a file system of so many KiB, or makes that one larger."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["mount", *arguments, str(place)], capture_output=True, text=True, check=False)

    def resize(kib: int) -> Path:
        again = ["-o", f"remount,size={kib}k"] if place.is_mount() else ["-t", "tmpfs", "-o", f"size={kib}k", "tmpfs"]
        made = mount(*again)
        if made.returncode:
            pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
        return place

    yield resize
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_and_is_made_larger(
    spec_file: Path, undisturbed: Path, contents: Contents, small_disk: Callable[[int], Path]
) -> None:
    directory = small_disk(200) / "out"
    with running_sweep(spec_file, directory, "--quiet") as process:
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output) == (1, "")
    assert errors.startswith(f"gmemgpu: {directory}")
    assert "cannot be written: No space left on device; make room there or choose another directory" in errors
    assert errors.count("\n") == 1
    whole = contents(undisturbed)
    there = contents(directory)
    assert there.items() <= whole.items()
    assert 3 < len(there) < 25
    small_disk(10_000)
    with running_sweep(spec_file, directory, "--quiet") as process:
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert contents(directory) == whole


def limited(max_bytes: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, resource.RLIM_INFINITY))


@pytest.mark.parametrize("room", ["none", "manifest", "parts"])
def test_a_disk_without_room_is_named_and_nothing_is_half_written(
    spec_file: Path, undisturbed: Path, contents: Contents, tmp_path: Path, room: str
) -> None:
    # A limit on file sizes, which workers inherit, stands for a full disk: write fails in the same places.
    manifest = (undisturbed / "manifest.json").stat().st_size
    results = (undisturbed / "results.parquet").stat().st_size
    parts = [path.stat().st_size for path in (undisturbed / "parts").iterdir()]
    assert results > max(manifest, *parts) + 1
    directory = tmp_path / "out"
    max_bytes = {"none": 100, "manifest": min(parts) - 1, "parts": results - 1}[room]
    if room == "manifest":
        directory.mkdir()
        (directory / "manifest.json").write_bytes((undisturbed / "manifest.json").read_bytes())
    command = [sys.executable, "-B", "-m", "gmemgpu", "sweep", str(spec_file), "-o", str(directory), "--quiet"]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, preexec_fn=limited(max_bytes), check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"gmemgpu: {directory}: cannot be written: File too large; make room there")
    assert ran.stderr.count("\n") == 1
    whole = contents(undisturbed)
    assert contents(directory).items() <= whole.items()
    assert len(contents(directory)) == {"none": 0, "manifest": 1, "parts": 25}[room]
    with running_sweep(spec_file, directory, "--quiet") as process:
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert contents(directory) == whole
