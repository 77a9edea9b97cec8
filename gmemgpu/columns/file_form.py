"""What a file is, by its first bytes: how it is compressed, and what that holds. Names say neither for sure."""

from __future__ import annotations

import lzma
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from gmemgpu.columns.message import shown
from gmemgpu.errors import Problem, TraceError

__all__ = ["Content", "FileForm", "check_openable", "file_form", "open_for_arrow", "opened"]

Content = Literal["text", "utf-16", "utf-16-le", "utf-16-be", "parquet", "arrow", "arrow stream", "sqlite", "zip"]

_PACKINGS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
}
_CONTENTS: dict[bytes, Content] = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow stream",
    b"SQLite format 3\x00": "sqlite",
    b"PK\x03\x04": "zip",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_START_BYTES = 64


@dataclass(frozen=True, slots=True)
class FileForm:
    """
    What the first bytes of a file say.

    Parameters
    ----------
    packing : str or None
        How it is compressed; None if it is not.
    content : Content
        What it holds, decompressed.
    """

    packing: str | None
    content: Content


def file_form(path: Path, problems: list[Problem]) -> FileForm:
    """
    Return what a file is.

    Parameters
    ----------
    path : Path
        Of any name.
    problems : list of Problem
        Raised with what is found here.

    Returns
    -------
    FileForm
        Text is what is nothing else.

    Raises
    ------
    TraceError
        If it cannot be read.
    """
    with _file(path, problems) as file:
        start = bytes(file.read(_START_BYTES))
    packing = next((name for magic, name in _PACKINGS.items() if start.startswith(magic)), None)
    if packing is not None:
        with opened(path, FileForm(packing, "text"), problems) as stream:
            start = bytes(stream.read(_START_BYTES))
    return FileForm(packing, _content(start))


def _content(start: bytes) -> Content:
    found = next((content for magic, content in _CONTENTS.items() if start.startswith(magic)), None)
    if found is None and len(start) >= 8:
        # Without a mark UTF-16 shows by the empty half of its Latin letters.
        low, high = start[::2], start[1::2]
        if not any(high) and all(low):
            return "utf-16-le"
        if not any(low) and all(high):
            return "utf-16-be"
    return found or "text"


def check_openable(path: Path) -> None:
    """
    Check that a file is there to be read, and read again from its start.

    Parameters
    ----------
    path : Path
        Of any name.

    Raises
    ------
    TraceError
        If it cannot be opened, or is a pipe or another thing that gives its bytes once, or never.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise TraceError(Problem(str(path), "is no regular file; save what it gives to a file first"))
        path.open("rb").close()
    except OSError as error:
        raise TraceError(Problem(str(path), f"cannot be read: {error.strerror}; check the path")) from None


def open_for_arrow(path: Path) -> pa.NativeFile:
    """
    Open a file that Arrow then reads.

    Parameters
    ----------
    path : Path
        Of any name.

    Returns
    -------
    pyarrow.NativeFile
        Open for reading.

    Raises
    ------
    OSError
        If it cannot be opened.

    Notes
    -----
    Arrow takes no names that are not UTF-8, and a file opened by Python must not be given to its threads, which may
    outlast the interpreter: such a file is read into memory.
    """
    with path.open("rb") as file:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            return pa.BufferReader(file.read())
    return pa.OSFile(str(path))


@contextmanager
def _file(path: Path, problems: list[Problem]) -> Iterator[pa.NativeFile]:
    try:
        check_openable(path)
        file = open_for_arrow(path)
    except TraceError as error:
        raise TraceError([*problems, *error.problems]) from None
    except OSError as error:
        fault = f"cannot be read: {error.strerror}; check the path"
        raise TraceError([*problems, Problem(str(path), fault)]) from None
    with file:
        yield file


def _as_utf8(path: Path, text: bytes, encoding: str, problems: list[Problem]) -> bytes:
    try:
        return text.decode(encoding).encode()
    except UnicodeError:
        fault = Problem(str(path), "is no sound UTF-16 text; save the file as UTF-8")
        raise TraceError([*problems, fault]) from None


@contextmanager
def opened(path: Path, form: FileForm, problems: list[Problem]) -> Iterator[pa.NativeFile]:
    """
    Open what a file holds: decompressed, and text as UTF-8.

    Parameters
    ----------
    path : Path
        Of any name.
    form : FileForm
        Of that file.
    problems : list of Problem
        Raised with what is found here.

    Yields
    ------
    pyarrow.NativeFile
        To read from its start; it can be searched if it is not compressed.

    Raises
    ------
    TraceError
        If the file cannot be read, now or while it is.
    """
    with _file(path, problems) as file:
        try:
            if form.packing == "xz":
                # Arrow has no xz.
                stream = pa.BufferReader(lzma.decompress(file.read()))
            else:
                stream = pa.CompressedInputStream(file, form.packing) if form.packing else file
            if form.content.startswith("utf-16"):
                stream = pa.BufferReader(_as_utf8(path, stream.read(), form.content, problems))
            yield stream
        except (OSError, EOFError, lzma.LZMAError) as error:
            fault = f"is no complete {form.packing} file" if form.packing else f"cannot be read: {shown(str(error))}"
            remedy = "copy it again"
            if "requires too much memory" in str(error):
                fault, remedy = "is compressed by zstd with a window of more than 128 MiB", "compress it without --long"
            raise TraceError([*problems, Problem(str(path), f"{fault}; {remedy}")]) from None
