"""Files of a results directory: never read or removed through a link, and errors that reach a person."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from gmemgpu.errors import StoreError

__all__ = ["PARTS", "FAILURES", "LOGS", "MANIFEST", "RESULTS", "LOCK", "open_unfollowed", "read_regular", "writing"]
__all__ += ["unreadable"]

MANIFEST = "manifest.json"
RESULTS = "results.parquet"
LOCK = "lock"
PARTS = "parts"
FAILURES = "failures"
LOGS = "logs"
"""Names in a results directory. Whatever has another name is not a sweep's, and is never touched."""

_REMEDIES = {
    errno.EACCES: "let all who share it read and write there, as with a common group and umask 002",
    errno.EPERM: "let all who share it read and write there, as with a common group and umask 002",
    errno.ENOENT: "somebody removed it or what was in it",
}


def open_unfollowed(path: str | Path) -> FileIO:
    """Open a file for reading, through no link, and without waiting for a pipe of that name."""
    return FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK))


def read_regular(path: str | Path) -> bytes:
    """Read a file whole, and only if it is a file of its own; only one that is not there is no `StoreError`."""
    try:
        with open_unfollowed(path) as file:
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode):
                content = file.read(found.st_size)
                # A read ends early at 2 GiB.
                return content if len(content) == found.st_size else content + file.readall()
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        pass
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StoreError(f"{path}: is a symbolic link, which is not followed; put the file itself there") from None
        raise unreadable(path, error) from error
    raise StoreError(f"{path}: is not a file; move it away")


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Raise a `StoreError` with a remedy for what the operating system says against a results directory."""
    try:
        yield
    except OSError as error:
        # Of a file that another made and we may not touch, the directory says nothing.
        where = error.filename if isinstance(error, PermissionError) and error.filename else directory
        reason = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, "make room there or choose another directory")
        raise StoreError(
            f"{where}: cannot be written: {reason}; {remedy}, then run the same command again: finished parts are kept"
        ) from error


def unreadable(path: str | Path, error: OSError) -> StoreError:
    """Return the error for a file that is there and that the operating system will not read."""
    reason = os.strerror(error.errno) if error.errno else error
    return StoreError(
        f"{path}: cannot be read: {reason}; check its permissions and its file system, or delete it, "
        "then run the same command again"
    )
