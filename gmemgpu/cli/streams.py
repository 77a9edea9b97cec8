"""Standard streams that may be closed, or take only some characters: nothing fails at its end because of either."""

from __future__ import annotations

import codecs
import io
import os
import sys

from gmemgpu.report.ascii import to_ascii

__all__ = ["prepare_streams"]

_ERRORS = "gmemgpu.plain"


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    # A byte of a file's name that is no UTF-8 is a lone surrogate.
    found = (
        f"\\x{ord(character) - 0xDC00:02x}" if "\udc80" <= character <= "\udcff" else to_ascii(character)
        for character in error.object[error.start : error.end]
    )
    return "".join(found), error.end


def prepare_streams() -> None:
    """
    Set up standard output and error so that they take whatever is written to them.

    One that is closed is opened on the null device, lest the next file that is opened take its place. A character that
    a stream's encoding lacks is written in ASCII, or as a question mark.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # The lowest free descriptor is the one that is missing, since those below it are open by now.
            descriptor = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            setattr(sys, name, open(descriptor, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    codecs.register_error(_ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
