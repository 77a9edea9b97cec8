"""How a results directory that cannot be written, or a file in it that cannot be read, reaches a person."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gmemgpu.errors import StoreError

__all__ = ["unreadable", "writing", "is_full"]

_REMEDIES = {
    errno.EACCES: "let all who share it read and write there, as with a common group and umask 002",
    errno.EPERM: "let all who share it read and write there, as with a common group and umask 002",
    errno.ENOENT: "somebody removed it or what was in it",
}
_ROOM = "make room there or choose another directory"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Turn what the operating system says against a results directory into a `StoreError` with a remedy."""
    try:
        yield
    except OSError as error:
        # Of a file that another made and we may not touch, the directory says nothing.
        where = error.filename if isinstance(error, PermissionError) and error.filename else directory
        reason = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, _ROOM)
        raise StoreError(
            f"{where}: cannot be written: {reason}; {remedy}, then run the same command again: finished parts are kept"
        ) from error


def is_full(error: BaseException) -> bool:
    """Say whether a disk is full, or a quota used up: then it is so for everybody who writes there."""
    return isinstance(error, OSError) and error.errno in _FULL


def unreadable(path: Path, error: OSError) -> StoreError:
    """Give the error of a file that is there and that the operating system will not read: not one that is damaged."""
    # Arrow says more than a person wants to know.
    reason = os.strerror(error.errno) if error.errno else error
    return StoreError(
        f"{path}: cannot be read: {reason}; check its permissions and its file system, or delete it, "
        "then run the same command again"
    )
