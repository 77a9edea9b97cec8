"""`gmemgpu` and Dask as processes of their own, which a test may kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from distributed.security import Security

__all__ = ["PATIENCE_S", "DaskProcesses", "Hold", "parts_of", "preload", "run_gmemgpu", "running", "tls_environment"]
__all__ += ["wait_for_parts", "wait_until", "workers_of"]

PATIENCE_S = 120


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds, and fail if it never does."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, f"waited {PATIENCE_S} s for {what}"
        time.sleep(0.05)


@contextmanager
def running(*arguments: object, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run `gmemgpu` in a process group of its own, as a terminal does; kill what is left of it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gmemgpu", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **(environment or {})},
        # Whoever runs the tests in the background has them and all that they start ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)


def run_gmemgpu(*arguments: object, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run `gmemgpu` to its end; return its exit code and what it wrote to standard output and error."""
    with running(*arguments, environment=environment) as process:
        output, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output, errors


def parts_of(directory: Path) -> list[Path]:
    """List the finished parts of a results directory."""
    return sorted((directory / "parts").glob("[!.]*.arrow"))


def wait_for_parts(process: subprocess.Popen[str], directory: Path, n: int) -> None:
    """Wait until a sweep that runs has finished some parts."""

    def enough() -> bool:
        assert process.poll() is None, "the sweep ended before it could be disturbed"
        return len(parts_of(directory)) >= n

    wait_until(enough, "parts")


def workers_of(pid: int) -> list[psutil.Process]:
    """List the processes in which the nannies of a process have their workers compute."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            # Spawned by themselves, or forked from the server of Python that does nothing else.
            if "--multiprocessing-fork" in child.cmdline() or _is_fork_server(child.parent()):
                found.append(child)
    return found


def _is_fork_server(process: psutil.Process | None) -> bool:
    return process is not None and any("multiprocessing.forkserver" in word for word in process.cmdline())


def preload(folder: Path, text: str) -> dict[str, str]:
    """Write a module that each Dask worker runs as it starts; return the environment that has it do so."""
    path = folder / "preload.py"
    path.write_text(text)
    return {"DASK_DISTRIBUTED__WORKER__PRELOAD": repr([str(path)])}


_HELD = """\
import os
import time
from pathlib import Path

from pyarrow import ipc


def held(*arguments, new_file=ipc.new_file, **options):
    Path({folder!r}, f"{{os.getpid()}}.came").touch()
    while len(list(Path({parts!r}).glob("[!.]*.arrow"))) >= int(Path({limit!r}).read_text()):
        time.sleep(0.02)
    return new_file(*arguments, **options)


# Called for each part that was computed, before anything is written.
ipc.new_file = held
"""


class Hold:
    """
    Has a sweep go no further than some parts, as if the next ones took for ever, until a test lets it go on.

    It is there to be disturbed then, however fast the machine, and computes nothing meanwhile. `environment` is for
    processes that start Dask workers, `python_environment` for those that compute themselves.
    """

    def __init__(self, folder: Path, directory: Path, n: int) -> None:
        folder.mkdir()
        self._folder = folder
        self._limit = folder / "limit"
        self.at(n)
        text = _HELD.format(folder=str(folder), parts=str(directory / "parts"), limit=str(self._limit))
        self.environment = preload(folder, text)
        (folder / "sitecustomize.py").write_text(text)
        paths = (str(folder), os.environ.get("PYTHONPATH"))
        self.python_environment = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def at(self, n: int) -> None:
        """Let it go on until there are so many parts; each worker may finish one more."""
        new = self._limit.with_suffix(".new")
        new.write_text(str(n))
        new.replace(self._limit)

    def pids(self) -> list[int]:
        """List the processes that have computed a part."""
        return [int(path.stem) for path in self._folder.glob("*.came")]

    def let_go(self) -> None:
        """Let it go on to its end."""
        self.at(1_000_000)


@dataclass
class DaskProcesses:
    """A scheduler of somebody else, and `start_workers` for those that shall connect to it."""

    folder: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """File in which the scheduler says where it listens."""
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return str(json.loads(self.file.read_text())["address"])

    def start(
        self, program: str, *options: str, environment: dict[str, str] | None = None, before: tuple[str, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a program of Dask's, in a process group of its own."""
        command = [*before, sys.executable, "-m", f"distributed.cli.{program}", "--host", "127.0.0.1"]
        with (self.folder / f"{program}-{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--no-dashboard", *options],
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment, **(environment or {})},
                start_new_session=True,
                cwd=self.folder,
            )
        self.started.append(process)
        return process

    def start_scheduler(self, *options: str) -> subprocess.Popen[bytes]:
        """Start the scheduler, and wait until it is up."""
        process = self.start("dask_scheduler", "--port", "0", "--scheduler-file", str(self.file), *options)
        # It is there before it is written.
        wait_until(lambda: self.file.exists() and self.file.read_text().endswith("}"), "a scheduler")
        return process

    def start_workers(self, n: int, *options: str, **how: Any) -> subprocess.Popen[bytes]:
        """Start a host's nannies and workers."""
        place = ("--scheduler-file", str(self.file), "--local-directory", str(self.folder / "scratch"))
        return self.start("dask_worker", *place, "--nthreads", "1", "--nworkers", str(n), *options, **how)

    def end(self) -> None:
        """Kill all of them."""
        for process in self.started:
            # Their own children too, which some tests orphan.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE_S)


def tls_environment(folder: Path) -> dict[str, str]:
    """Write a certificate, signed by itself; return Dask's configuration that trusts and shows it alone."""
    folder.mkdir()
    made = Security.temporary()
    (folder / "cert.pem").write_text(made.tls_client_cert)
    (folder / "key.pem").touch(mode=0o600)
    (folder / "key.pem").write_text(made.tls_client_key)
    name = "DASK_DISTRIBUTED__COMM__TLS"
    found = {f"{name}__CA_FILE": "cert.pem"}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        found |= {f"{name}__{role}__CERT": "cert.pem", f"{name}__{role}__KEY": "key.pem"}
    return {key: str(folder / file) for key, file in found.items()}
