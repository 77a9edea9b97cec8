"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """
    Open a temporary file that takes the place of `path` once the block is left in peace.

    Parameters
    ----------
    path : Path
        Replaced in one step; its folder must exist.

    Yields
    ------
    binary file
        For writing; lies beside `path` as ``.<stem>.<pid>.<uuid>.tmp``, so that any number of processes may write.

    Raises
    ------
    OSError
        If the file cannot be written; then `path` is as it was and the temporary file is gone.
    """
    temporary = path.parent / f".{path.stem}.{os.getpid()}.{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    # The new name lives in the folder, which reaches the disk by itself only some time later.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
