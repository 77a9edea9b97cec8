"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

__all__ = ["NO_LINKS", "written_whole", "written_output", "remove_unchanged", "is_wrong_path"]

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

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""Errors of file systems without hard links."""


def is_wrong_path(error: OSError) -> bool:
    """
    Check whether another path would have done: not so on a full or failing disk.

    Parameters
    ----------
    error : OSError
        From opening, writing or renaming a file.

    Returns
    -------
    bool
        True for a missing folder, a directory, missing rights, a read-only file system or a name that cannot be.
    """
    return error.errno in _WRONG_PATH


def _put_first(partial: Path, path: Path) -> None:
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        partial.replace(path)
        return
    partial.unlink()


def remove_unchanged(path: Path, found: os.stat_result) -> bool:
    """
    Remove a file that was looked at, unless another took its place meanwhile.

    Parameters
    ----------
    path : Path
        The file.
    found : os.stat_result
        Its state from before it was looked at.

    Returns
    -------
    bool
        Whether it was removed. Between the last look and the removal lie microseconds, in which it could be replaced.

    Raises
    ------
    OSError
        If it cannot be removed.
    """
    try:
        now = path.stat()
        if (now.st_ino, now.st_mtime_ns, now.st_size) != (found.st_ino, found.st_mtime_ns, found.st_size):
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True


@contextmanager
def written_whole(path: str | Path, *, replacing: bool = True) -> Iterator[BinaryIO]:
    """
    Open a file for writing that takes its name only when it is complete and on disk.

    Parameters
    ----------
    path : str or Path
        Where the file shall be; what was there stays until it is replaced.
    replacing : bool
        False leaves what somebody else put there meanwhile, wherever the file system knows hard links.

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
        with partial.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replacing:
            partial.replace(path)
        else:
            _put_first(partial, path)
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


@contextmanager
def written_output(path: str | Path) -> Iterator[BinaryIO]:
    """
    Open what a user named for writing: a file as `written_whole` does, at the end of links.

    Parameters
    ----------
    path : str or Path
        Of a file, or of a device or pipe, which stays what it is and is written to when all is complete.

    Yields
    ------
    binary file
        One that can seek.

    Raises
    ------
    OSError
        As for `written_whole`.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        with TemporaryFile() as held:
            yield held
            held.seek(0)
            with path.open("wb") as target:
                shutil.copyfileobj(held, target)
        return
    # Not the link: it would be replaced by the file.
    with written_whole(os.path.realpath(path)) as file:
        yield file
