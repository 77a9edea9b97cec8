"""Claims: which client computes which part right now, so that two clients of one directory share the work."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from gmemgpu.sweeping.owner import OWNER_PREFIX, Life, Owner, Watch, is_gone, is_token, read_owner
from gmemgpu.sweeping.writing import writing

__all__ = ["LEASE_S", "MERGING", "Claims", "Claimed", "read_claims", "remove_claims"]

LEASE_S = 60.0
"""Short enough to wait for after a host died, long enough for a network file system that hangs now and then."""
MERGING = "merging"
"""What is claimed in the end, in place of a part."""
_BEATS_PER_LEASE = 4
_MOST_BYTES = 64
_NOBODY = "nobody"
"""Owner of a claim that names none: whoever made it died at once, or is just about to write its name."""


class Claims:
    """
    The claims of this process; a context manager that keeps them alive and releases them at its end.

    A claim saves work and guards nothing: parts are written whole and under their own names, so that two clients
    which both believe to hold a claim write the same bytes twice.

    Parameters
    ----------
    folder : Path
        Of all clients of a results directory; made if need be.
    lease_s : float
        A claim whose owner gave no sign of life for so long, as seen by our own monotonic clock, is taken over.
        One of a process that ended on this machine is taken over at once.
    n_workers, n_devices : int
        That compute for this process; for onlookers, with no effect. No devices where workers compute on cores.

    Raises
    ------
    StoreError
        On entering, taking and releasing, if the folder cannot be read or written.
    """

    def __init__(self, folder: Path, *, lease_s: float = LEASE_S, n_workers: int = 1, n_devices: int = 0) -> None:
        self._folder = folder
        self._n_workers, self._n_devices = n_workers, n_devices
        self._lease_s = lease_s
        self._watch = Watch(folder, lease_s)
        self._held: set[str] = set()
        self._leaving = Event()

    def __enter__(self) -> Self:
        with writing(self._folder):
            self._folder.mkdir(exist_ok=True)
            self._life = Life(self._folder, self._n_workers, self._n_devices)
        self._thread = Thread(target=self._keep_alive, name="gmemgpu-claims", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._thread.join()
        # On the way out of an error, which is to be told, or from a disk that fails: whatever stays goes stale.
        with suppress(OSError):
            for part_id in self._held:
                self._remove(part_id)
        self._life.end()

    def _keep_alive(self) -> None:
        while not self._leaving.wait(self._lease_s / _BEATS_PER_LEASE):
            self._life.beat()

    def take(self, part_id: str) -> bool:
        """
        Claim a part.

        Parameters
        ----------
        part_id : str

        Returns
        -------
        bool
            True if it is ours now. Ask once more then whether the part is there: its last owner may have written it.

        Raises
        ------
        StoreError
            If claims cannot be read or written.
        """
        if part_id in self._held:
            return True
        with writing(self._folder):
            if not self._take(part_id):
                return False
        self._held.add(part_id)
        return True

    def release(self, part_id: str) -> None:
        """
        Give a claim back, done or not; nothing if it is not ours any more.

        Raises
        ------
        StoreError
            If it cannot be removed.
        """
        if part_id in self._held:
            self._held.remove(part_id)
            with writing(self._folder):
                self._remove(part_id)

    def _take(self, name: str) -> bool:
        path = self._folder / name
        if self._create(path):
            return True
        token = _token(path)
        if token is None or not self._is_dead(name, token):
            return False
        # Of all who see that it is dead, whoever claims the claim may put itself in the dead one's place.
        right = f"{name}.{token}"
        if not self._take(right):
            return False
        try:
            # One may have been here before and be done with it.
            return _token(path) == token and self._replace(path)
        finally:
            self._remove(right)

    def _is_dead(self, name: str, token: str) -> bool:
        return self._watch.is_unchanged(name, token) if token == _NOBODY else self._watch.is_dead(token)

    def _create(self, path: Path) -> bool:
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        except OSError as error:
            # A chain of clients that died while they took over from one another; nobody waits for it for ever.
            if error.errno == errno.ENAMETOOLONG:
                return False
            raise
        try:
            os.write(file, self._life.token.encode())
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(file)
        return True

    def _replace(self, path: Path) -> bool:
        own = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            self._create(own)
            own.replace(path)
        except OSError:
            own.unlink(missing_ok=True)
            raise
        return True

    def _remove(self, name: str) -> None:
        path = self._folder / name
        if _token(path) == self._life.token:
            path.unlink(missing_ok=True)


def _token(path: Path) -> str | None:
    # Of the owner; None where there is no claim.
    try:
        with path.open("rb") as file:
            token = file.read(_MOST_BYTES).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    return token if is_token(token) else _NOBODY


@dataclass(frozen=True, slots=True)
class Claimed:
    """
    A claim as an onlooker sees it.

    Parameters
    ----------
    owner : Owner or None
        None if it left no word of itself.
    gone : bool
        Whether it has ended for certain: a process of this machine that was killed.
    """

    owner: Owner | None
    gone: bool


def read_claims(folder: Path) -> dict[str, Claimed]:
    """
    List all claims, without taking part.

    Returns
    -------
    dict of str to Claimed
        By part id.

    Raises
    ------
    OSError
        If the folder or a file in it cannot be read; without such a folder there are no claims.
    """
    owners: dict[str, Claimed] = {}
    claims: dict[str, Claimed] = {}
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:
        return {}
    for name in names:
        if name.startswith(OWNER_PREFIX) or "." in name:
            continue
        token = _token(folder / name)
        if token is None:
            continue
        if token not in owners:
            owner = read_owner(folder, token)
            owners[token] = Claimed(owner, owner is not None and is_gone(folder, owner))
        claims[name] = owners[token]
    return claims


def remove_claims(folder: Path) -> None:
    """Remove all claims and signs of life, also of those who were killed; for when there is nothing left to claim."""
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):
                path.unlink()
