"""Dumps of memory, read in pieces: any size, holes of sparse files skipped."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gmemgpu.columns.file_form import check_openable
from gmemgpu.errors import Problem, TraceError

__all__ = ["DumpFile", "opened_dump"]


@dataclass(frozen=True, slots=True)
class DumpFile:
    """
    A dump that is open.

    Parameters
    ----------
    path : Path
        Where it is.
    size_bytes : int
        How long it is, holes included.
    file : binary file
        Unbuffered.
    """

    path: Path
    size_bytes: int
    file: BinaryIO

    def pieces(self, begin: int, piece_bytes: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """
        Read what the file holds from an offset on, but for pieces that are holes.

        Parameters
        ----------
        begin : int
            Offset of the first piece.
        piece_bytes : int
            Length of a piece; the last is filled up with zeros.

        Yields
        ------
        int
            Number of the piece, from 0.
        (piece_bytes,) uint8
            Its bytes, until the next is asked for.

        Raises
        ------
        TraceError
            If the file cannot be read, or has become shorter.
        """
        buffer = np.empty(piece_bytes, np.uint8)
        at = begin
        try:
            while (at := self._next_data(at)) < self.size_bytes:
                number = (at - begin) // piece_bytes
                at = begin + number * piece_bytes
                self._fill(buffer, at)
                yield number, buffer
                at += piece_bytes
        except OSError as error:
            fault = f"cannot be read at byte {at}: {error.strerror}; copy it again"
            raise TraceError(Problem(str(self.path), fault)) from None

    def _next_data(self, at: int) -> int:
        try:
            return os.lseek(self.file.fileno(), at, os.SEEK_DATA) if at < self.size_bytes else at
        except OSError as error:
            if error.errno == errno.ENXIO:
                return self.size_bytes
            # A file system that knows no holes.
            return at

    def _fill(self, buffer: NDArray[np.uint8], at: int) -> None:
        room = memoryview(buffer.data)[: self.size_bytes - at]
        self.file.seek(at)
        done = 0
        while done < len(room):
            n = self.file.readinto(room[done:])  # type: ignore[attr-defined]
            if not n:
                fault = f"ends at byte {at + done} of {self.size_bytes}; do not write to it while it is read"
                raise TraceError(Problem(str(self.path), fault))
            done += n
        buffer[done:] = 0


@contextmanager
def opened_dump(path: Path) -> Iterator[DumpFile]:
    """
    Open a dump.

    Parameters
    ----------
    path : Path
        A regular file.

    Yields
    ------
    DumpFile
        To be read in pieces.

    Raises
    ------
    TraceError
        If it cannot be opened or is no regular file.
    """
    check_openable(path)
    with path.open("rb", buffering=0) as file:
        yield DumpFile(path, os.fstat(file.fileno()).st_size, file)
