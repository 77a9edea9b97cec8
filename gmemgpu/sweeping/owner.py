"""Who holds claims: one file for each client, which grows as long as that client lives."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

__all__ = ["Owner", "Life", "Watch", "OWNER_PREFIX", "is_token", "read_owner", "is_gone"]

OWNER_PREFIX = "client-"
_HEADER_BYTES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """
    A client as others see it.

    Parameters
    ----------
    token : str
        No two clients ever share one.
    host : str
    pid : int
    boot : str
        Id of the kernel's start that it runs under; empty if unknown, or if files cannot be locked there.
    n_beats : int
        Signs of life that it gave.
    n_workers, n_devices : int
        That compute for it; no devices where its workers compute on cores.
    """

    token: str
    host: str
    pid: int
    boot: str
    n_beats: int
    n_workers: int
    n_devices: int

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}"


def is_token(text: str) -> bool:
    """Say whether this may be a client's token."""
    return re.fullmatch(r"[0-9a-f]{16}", text) is not None


def _path(folder: Path, token: str) -> Path:
    return folder / f"{OWNER_PREFIX}{token}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Life:
    """
    The sign of life of this process: a file that gets a byte longer with each beat.

    Length is all that others look at. A time stamp would come from the clock of some host, and clocks differ and jump.

    Parameters
    ----------
    folder : Path
        Of the claims; exists.
    n_workers, n_devices : int
        That compute for this process; told to others, with no effect.

    Raises
    ------
    OSError
        If it cannot be written.
    """

    def __init__(self, folder: Path, n_workers: int = 1, n_devices: int = 0) -> None:
        self.token = secrets.token_hex(8)
        self._path = _path(folder, self.token)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        try:
            told = {"host": socket.gethostname(), "pid": os.getpid(), "boot": self._lock()}
            at_work = {"workers": n_workers, "devices": n_devices}
            os.write(self._file, json.dumps(told | at_work).encode() + b"\n")
            os.fsync(self._file)
        except OSError:
            self.end()
            raise

    def _lock(self) -> str:
        # The kernel lets go of the lock when the process ends, however it ends: clients on this machine know at once.
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return ""
        return _boot()

    def beat(self) -> None:
        """Give a sign of life; one that fails is made up for by the next."""
        with suppress(OSError):
            os.write(self._file, b".")
            # On a network file system others see it only then.
            os.fsync(self._file)

    def end(self) -> None:
        """Take the file away."""
        with suppress(OSError):
            self._path.unlink()
        os.close(self._file)


def read_owner(folder: Path, token: str) -> Owner | None:
    """
    Read what a client says of itself.

    Returns
    -------
    Owner or None
        None if its file is gone, or makes no sense.

    Raises
    ------
    OSError
        If it is there and cannot be read.
    """
    # To open a file is what makes a network file system ask its server; its length alone may come from a cache.
    try:
        with _path(folder, token).open("rb") as file:
            header, newline, _ = file.read(_HEADER_BYTES).partition(b"\n")
            length = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return None
    try:
        told = json.loads(header)
        return Owner(
            token=token,
            host=str(told["host"]),
            pid=int(told["pid"]),
            boot=str(told["boot"]),
            n_beats=length - len(header) - len(newline),
            n_workers=int(told["workers"]),
            n_devices=int(told["devices"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def is_gone(folder: Path, owner: Owner) -> bool:
    """Say whether a client on this machine has ended for certain; False for what only waiting can tell."""
    if not owner.boot or owner.boot != _boot():
        return False
    try:
        with _path(folder, owner.token).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Watch:
    """
    What this process has seen of others' signs of life, by its own monotonic clock.

    Parameters
    ----------
    folder : Path
        Of the claims.
    lease_s : float
        A client that gave no sign for so long is dead.
    """

    def __init__(self, folder: Path, lease_s: float) -> None:
        self._folder = folder
        self._lease_s = lease_s
        self._seen: dict[str, tuple[object, float]] = {}

    def is_dead(self, token: str) -> bool:
        """
        Say whether a client is dead, as far as was seen up to now.

        Raises
        ------
        OSError
            If its file cannot be read.
        """
        owner = read_owner(self._folder, token)
        if owner is not None and is_gone(self._folder, owner):
            return True
        return self.is_unchanged(token, None if owner is None else owner.n_beats)

    def is_unchanged(self, name: str, state: object) -> bool:
        """Say whether something was in the same state for a whole lease, since it was first seen in it."""
        now = monotonic()
        before, since = self._seen.get(name, (None, now))
        if name not in self._seen or before != state:
            self._seen[name] = (state, now)
            return False
        return now - since >= self._lease_s
