"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["written_whole", "is_wrong_path"]

_WRONG_PATH = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)


def is_wrong_path(error: OSError) -> bool:
    """Say whether another path would have done: not so on a full or failing disk."""
    return error.errno in _WRONG_PATH


@contextmanager
def written_whole(path: str | Path) -> Iterator[BinaryIO]:
    """
    Open a file for writing that takes its name only when it is complete and on disk.

    Parameters
    ----------
    path : str or Path
        Where the file shall be; what was there stays until it is replaced.

    Yields
    ------
    binary file
        In the same folder. If the body raises, it is removed and `path` is left as it was.

    Raises
    ------
    OSError
        If the folder is missing, not writable or full, or `path` is a directory.
    """
    path = Path(path)
    # The random part keeps two writers of the same name apart; the last one to finish wins.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    # A rename is on disk once its folder is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
