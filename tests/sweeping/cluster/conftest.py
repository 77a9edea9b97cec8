"""A Dask scheduler and workers of its own, as processes that a test may kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from distributed.security import Security

PATIENCE_S = 60


def wait_until(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, f"waited {PATIENCE_S} s for {what}"
        time.sleep(0.02)


@dataclass
class DaskProcesses:
    """A scheduler, and `start_workers` for those that shall connect to it."""

    folder: Path
    tls: list[str]
    environment: dict[str, str]
    scheduler_options: list[str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text())["address"])

    def start(self, program: str, *options: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--dashboard-address", "127.0.0.1:0"]
        with (self.folder / f"{program}-{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", *self.tls, *options],
                stdout=log,
                stderr=log,
                env={**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3", **(environment or {})},
                start_new_session=True,
                cwd=self.folder,
            )
        self.started.append(process)
        return process

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        protocol = ["--protocol", "tls"] if self.tls else []
        options = ("--port", "0", "--scheduler-file", str(self.file), *protocol, *self.scheduler_options)
        process = self.start("dask_scheduler", *options, environment=self.environment)
        # It is there before it is written.
        wait_until(lambda: self.file.exists() and self.file.read_text().endswith("}"), "a scheduler")
        return process

    def start_workers(
        self, n: int, *options: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        scratch = str(self.folder / "scratch")
        return self.start(
            "dask_worker",
            *("--scheduler-file", str(self.file), "--nthreads", "1", "--nworkers", str(n)),
            *("--local-directory", scratch, *options),
            environment=environment,
        )

    def end(self) -> None:
        for process in self.started:
            # Their own children too, which some tests orphan.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE_S)


@pytest.fixture
def dask_processes(tmp_path: Path) -> Iterator[Callable[..., DaskProcesses]]:
    """Give a function that starts a scheduler; all that it and its workers are is killed in the end."""
    made: list[DaskProcesses] = []

    def start(
        tls: list[str] | None = None,
        environment: dict[str, str] | None = None,
        scheduler_options: list[str] | None = None,
    ) -> DaskProcesses:
        folder = tmp_path / f"dask-{len(made)}"
        folder.mkdir()
        made.append(DaskProcesses(folder, tls or [], environment or {}, scheduler_options or []))
        made[-1].start_scheduler()
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest.fixture
def tls_files() -> Callable[[Path], dict[str, str]]:
    """Give a function that makes a folder with one certificate, signed by itself, for all three roles."""

    def make(folder: Path) -> dict[str, str]:
        folder.mkdir()
        made = Security.temporary()
        (folder / "cert.pem").write_text(made.tls_client_cert)
        (folder / "key.pem").touch(mode=0o600)
        (folder / "key.pem").write_text(made.tls_client_key)
        return {"ca": str(folder / "cert.pem"), "cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}

    return make


@pytest.fixture
def worker_children() -> Callable[[subprocess.Popen[bytes]], list[psutil.Process]]:
    """Give a function that finds the processes in which a nanny's workers compute."""

    def of(nanny: subprocess.Popen[bytes]) -> list[psutil.Process]:
        found = []
        for child in psutil.Process(nanny.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "--multiprocessing-fork" in child.cmdline():
                    found.append(child)
        return found

    return of
