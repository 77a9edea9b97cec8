"""One client a directory: who holds it says so in a file, and touches that file for as long as it lives."""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from gmemgpu.atomic import written_whole
from gmemgpu.errors import DirectoryError, StoreError
from gmemgpu.sweeping.store.files import LOCK, read_regular, writing

__all__ = ["LEASE_S", "LockHolder", "Lock", "held", "read_holder"]

LEASE_S = 60.0
"""A holder that was silent for so long is taken for dead: a network file system may be slow, but hardly so slow."""
_BEAT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """
    The client that holds a results directory.

    Parameters
    ----------
    host : str
        Its host's name.
    pid : int
        Its process there.
    started : int
        Clock ticks from that host's start to that process's: a number that a later process of that pid does not have.
    token : str
        No two holders ever share one.
    silent_s : float
        How long ago it last touched the lock.
    """

    host: str
    pid: int
    started: int
    token: str
    silent_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}"

    @property
    def is_dead(self) -> bool:
        """Whether it has ended for certain, or was silent for a lease."""
        if self.silent_s > LEASE_S:
            return True
        return self.host == socket.gethostname() and _started(self.pid) != self.started


def _started(pid: int) -> int:
    # Field 22 of proc_pid_stat(5), counted behind the command's name, which may hold anything; 0 where there is none.
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _server_time_s(directory: Path) -> float:
    # Clocks of hosts differ; what stamps the lock is the file system's, so that one is asked.
    probe = _aside(directory / LOCK)
    with suppress(OSError):
        probe.touch(exist_ok=False)
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()
    return time.time()


def read_holder(directory: Path) -> LockHolder | None:
    """Read who holds a results directory."""
    path = directory / LOCK
    try:
        touched_s = path.lstat().st_mtime
        content = read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    silent_s = max(0.0, _server_time_s(directory) - touched_s)
    return _holder(content, silent_s)


def _holder(content: bytes, silent_s: float) -> LockHolder:
    try:
        return LockHolder(**{**json.loads(content), "silent_s": silent_s})
    except (ValueError, RecursionError, TypeError):
        # Torn, or no lock: it counts for as long as it is fresh.
        return LockHolder(host="unknown host", pid=0, started=0, token="", silent_s=silent_s)


class Lock:
    """A results directory that this process holds."""

    def __init__(self, directory: Path, token: str) -> None:
        self._path = directory / LOCK
        self._token = token
        self._ended = threading.Event()
        self._taken_by: str | None = None

    def check(self) -> None:
        """Check that no other client took the directory over while this one was silent (suspended, or cut off)."""
        with suppress(OSError, StoreError):
            self._is_mine()
        if self._taken_by is not None:
            raise StoreError(
                f"{self._path.parent}: was taken over by another sweep ({self._taken_by}) while this one was silent; "
                "what this one finished is kept"
            )

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the lock for a block, by a touch every few seconds, and remove it if it is still this process's."""
        thread = threading.Thread(target=self._beat, name="gmemgpu-lock", daemon=True)
        try:
            thread.start()
            yield
        finally:
            self._ended.set()
            if thread.ident is not None:
                thread.join()
            with suppress(OSError, StoreError):
                if self._is_mine():
                    self._path.unlink()

    def _is_mine(self) -> bool:
        found = _holder(read_regular(self._path), 0.0) if os.path.lexists(self._path) else None
        if found is None or found.token != self._token:
            self._taken_by = "unknown" if found is None else str(found)
            return False
        return True

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_S):
            # A file system that fails for a moment is made up for by the next beat.
            with suppress(OSError, StoreError):
                if not self._is_mine():
                    return
                os.utime(self._path, follow_symlinks=False)


@contextmanager
def held(directory: Path, *, take_over: bool = False) -> Iterator[Lock]:
    """Reserve a results directory for a block; refuse if another client holds it that may be alive."""
    path = directory / LOCK
    me = LockHolder(
        host=socket.gethostname(), pid=os.getpid(), started=_started(os.getpid()), token=secrets.token_hex(8)
    )
    content = json.dumps({key: value for key, value in asdict(me).items() if key != "silent_s"}).encode() + b"\n"
    with writing(directory):
        while not _taken(path, content):
            other = read_holder(directory)
            if other is None:
                continue
            if not (take_over or other.is_dead):
                raise DirectoryError(
                    f"{directory}: {other} works on it (last sign of life {other.silent_s:.0f} s ago); wait for it, "
                    "end it, or, if you know that it is gone, take over with --take-over"
                )
            _remove(path, other)
    lock = Lock(directory, me.token)
    with lock.kept():
        yield lock


def _taken(path: Path, content: bytes) -> bool:
    # Whole from the start: whoever dies on the way leaves no lock that tells nobody's name. Where there are no hard
    # links, of two that come in the same moment the first finds at its next look that the other took over.
    if not os.path.lexists(path):
        with written_whole(path, replacing=False) as file:
            file.write(content)
    try:
        return read_regular(path) == content
    except FileNotFoundError:
        return False


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


def _remove(path: Path, other: LockHolder) -> None:
    # By a new name first: of two that find the same holder dead, only one gets the file, and what the slower one got
    # instead, the lock that the quicker one made by now, goes back.
    aside = _aside(path)
    with suppress(FileNotFoundError):
        path.rename(aside)
        try:
            if _holder(read_regular(aside), 0.0).token != other.token:
                with suppress(FileExistsError):
                    path.hardlink_to(aside)
        finally:
            aside.unlink(missing_ok=True)
