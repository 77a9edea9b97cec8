"""
A disk that fails at every n-th operation that writes, and a machine that dies at the n-th.

Whatever comes of it: an error that says so, nothing half-written, and some runs later the same bytes as undisturbed.
"""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from gmemgpu.errors import StoreError
from gmemgpu.hidden import hidden
from gmemgpu.sweeping.run import shard
from gmemgpu.sweeping.run.share import compute_share
from gmemgpu.sweeping.run.sweep import sweep
from gmemgpu.sweeping.run.worker import UnfitWorker

Contents = Callable[[Path], dict[str, str]]
Run = Callable[..., None]

EIO = "Input/output error"
MOST_RUNS = 60
HOPELESS = 11
"""So few operations do not write all that a shard or a merge must write in one go: each run ends at the same one."""
KILLED = 9
SPEC: dict[str, Any] = {
    "policies": ["v10"],
    "workload": {
        "preset": "idle-snp",
        "horizon_ns": "10 min",
        "warmup_ns": "1 s",
        "snp": {"share": [round(0.2 * (i + 1), 1) for i in range(5)]},
    },
}


class Disk:
    """
    Counts what would write below a folder, and lets `act` happen instead whenever `fails` says so of the count.

    Reading goes through: a results directory that cannot be read is another matter.
    """

    def __init__(self, folder: Path, fails: Callable[[int], bool], act: Callable[[str], None]) -> None:
        self.n = 0
        self._folder = folder.resolve()
        self._fails = fails
        self._act = act
        self._lock = threading.Lock()
        self._real = {
            name: getattr(os, name)
            for name in ("open", "write", "fsync", "link", "rename", "replace", "unlink", "mkdir")
        }
        self._real_open = io.open

    def _is_ours(self, path: Any) -> bool:
        name = Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else path
        return isinstance(name, str | Path) and Path(name).absolute().is_relative_to(self._folder)

    def touch(self, path: Any) -> None:
        """Count one operation."""
        with self._lock:
            self.n += 1
            fails = self._fails(self.n)
        if fails:
            self._act(str(path))

    def _counted(self, name: str) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **named: Any) -> Any:
            if (name != "open" or rest[0] & os.O_CREAT) and self._is_ours(path):
                self.touch(path)
            return self._real[name](path, *rest, **named)

        return call

    def _open(self, file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if not set(mode) & set("wxa") or not self._is_ours(file):
            return self._real_open(file, mode, *rest, **named)
        self.touch(file)
        disk = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> Any:
                disk.touch(file)
                return super().write(data)

        buffered = io.BufferedRandom if "+" in mode else io.BufferedWriter
        binary = buffered(Raw(file, mode.replace("b", "").replace("t", "")))
        return binary if "b" in mode else io.TextIOWrapper(binary, encoding="utf-8")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in self._real:
                patch.setattr(os, name, self._counted(name))
            patch.setattr(io, "open", self._open)
            yield


def fail(name: str) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO), name)


def die(_: str) -> None:
    os._exit(KILLED)


def run_sweep(directory: Path, client: Client | None = None) -> None:
    # In this process, whose disk it is.
    if client is not None:
        sweep(SPEC, directory, client, backend="numpy")
        return
    options: dict[str, Any] = {"processes": False, "dashboard_address": "127.0.0.1:0"}
    # For its web pages each process would import it.
    with hidden("bokeh"):
        cluster = LocalCluster(n_workers=1, threads_per_worker=1, **options)
    with cluster, Client(cluster, set_as_default=False) as own:
        sweep(SPEC, directory, own, backend="numpy")


def run_share(directory: Path, client: Client | None = None) -> None:
    assert compute_share(SPEC, directory, index=0, of=1, backend="numpy").is_merged


RUNS: dict[str, Run] = {"sweep": run_sweep, "share": run_share}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole") / "out"
    run_share(directory)
    return directory


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "_WRITE_AGAIN_AFTER_S", (0.0, 0.0))


def named(found: dict[str, str]) -> dict[str, str]:
    """Leave out what is being written, and what changes in the end: parts and rows have their names when whole."""
    changes = {"manifest.json", "lock"}
    return {name: hashed for name, hashed in found.items() if name not in changes and "/." not in f"/{name}"}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("n", [1, 2, 3, 7, HOPELESS, 23, 29, 41])
def test_a_disk_that_fails_at_every_nth_write(
    whole: Path, contents: Contents, threads: Client, tmp_path: Path, run: str, n: int
) -> None:
    directory = tmp_path / "out"
    expected = contents(whole)
    disk = Disk(directory, lambda i: i % n == 0, fail)
    refusals = re.compile(rf"{directory}.*: cannot be written: {EIO}; make room|cannot write {directory}/parts: {EIO};")
    done = False
    for _ in range(MOST_RUNS if n > HOPELESS else 5):
        told = ""
        with disk.in_use():
            try:
                RUNS[run](directory, threads)
                done = True
            except (StoreError, UnfitWorker) as error:
                told = str(error)
        assert done or refusals.search(told), told
        assert named(contents(directory)).items() <= expected.items()
        # It may not have been able to remove it; and its process would have ended.
        (directory / "lock").unlink(missing_ok=True)
        if done:
            break
    assert disk.n >= n
    assert done or n <= HOPELESS, f"not done after {MOST_RUNS} runs"
    RUNS[run](directory, threads)
    found = contents(directory)
    assert found.items() >= expected.items()
    # What could not even be removed.
    assert not named({name: digest for name, digest in found.items() if name not in expected})


def run_apart(run: str, folder: Path, ns: list[int]) -> list[str]:
    """Run in other processes, each of which dies at its n-th operation; what Dask logs there is apart from counts."""
    command = [sys.executable, __file__, run, str(folder), *map(str, ns)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_a_machine_that_dies_at_the_nth_write(
    whole: Path, contents: Contents, threads: Client, tmp_path: Path, run: str
) -> None:
    expected = contents(whole)
    (counted,) = run_apart(run, tmp_path, [-1])
    total = int(counted)
    assert total > 40
    ns = sorted({1, 3, 8, 11, total // 3, total - 5, total - 2})
    assert run_apart(run, tmp_path, ns) == [f"died with {KILLED}"] * len(ns)
    for n in ns:
        directory = tmp_path / f"dies-at-{n}"
        found = contents(directory) if directory.exists() else {}
        assert named(found).items() <= expected.items()
        RUNS[run](directory, threads)
        assert contents(directory) == expected, f"died at write {n} of {total}"


if __name__ == "__main__":
    which, where, *points = sys.argv[1:]
    import_module("gmemgpu.sweeping.clusters.preloaded")
    for at in map(int, points):
        # Forked, so that modules are loaded once; no thread runs here yet.
        child = os.fork()
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if status:
                sys.stdout.write(f"died with {status}\n")
            sys.stdout.flush()
            continue
        place = Path(where) / f"dies-at-{at}"
        disk = Disk(place, lambda i, at=at: i == at, die)
        with disk.in_use():
            RUNS[which](place)
        os.write(1, f"{disk.n}\n".encode())
        os._exit(0)
