"""Lines of logs: UTF-8, none longer than any that is written, compressed or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from gmemgpu.columns.file_form import FileForm, check_openable, opened
from gmemgpu.columns.message import shown
from gmemgpu.errors import Problem, TraceError

__all__ = ["packing_of", "text_lines", "text_stream"]

_PACKINGS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz"}
_LONGEST_LINE = 1 << 16
_BLOCK_BYTES = 1 << 20


def packing_of(start: bytes) -> str | None:
    """
    Return how a file is compressed.

    Parameters
    ----------
    start : bytes
        Its first bytes, 6 or more.

    Returns
    -------
    str or None
        None if it is not.
    """
    return next((name for magic, name in _PACKINGS.items() if start.startswith(magic)), None)


@contextmanager
def text_stream(path: Path) -> Iterator[pa.NativeFile]:
    """
    Open a text file, decompressed if it is compressed.

    Parameters
    ----------
    path : Path
        A regular file.

    Yields
    ------
    pyarrow.NativeFile
        To read from its start.

    Raises
    ------
    TraceError
        If it cannot be read, now or while it is.
    """
    check_openable(path)
    with path.open("rb") as file:
        packing = packing_of(file.read(8))
    with opened(path, FileForm(packing, "text"), []) as stream:
        yield stream


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """
    Read the lines of a text file.

    Parameters
    ----------
    path : Path
        A regular file, compressed or not.

    Yields
    ------
    int
        Number of the line, from 1.
    str
        Its text without what ends it.

    Raises
    ------
    TraceError
        If a line is no UTF-8 or is longer than any that a kernel writes.
    """
    number = 0
    rest = b""
    with text_stream(path) as stream:
        while True:
            block = bytes(stream.read(_BLOCK_BYTES))
            lines = (rest + block).split(b"\n")
            rest = lines.pop() if block else b""
            for line in lines if block or lines != [b""] else []:
                number += 1
                yield number, _decoded(line, number, path)
            if len(rest) > _LONGEST_LINE:
                _decoded(rest, number + 1, path)
            if not block:
                return


def _decoded(line: bytes, number: int, path: Path) -> str:
    where = f"{path}: line {number}"
    if len(line) > _LONGEST_LINE:
        fault = f"is longer than {_LONGEST_LINE} bytes, as no line of a kernel is; is this the right file?"
        raise TraceError(Problem(where, fault))
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        bad = shown(line[error.start : error.start + 8])
        fault = f"byte {error.start + 1} of the line is no UTF-8: {bad}; save it again, or with iconv -c"
        raise TraceError(Problem(where, fault)) from None
