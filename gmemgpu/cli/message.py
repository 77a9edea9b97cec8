"""Lines for people on standard error."""

from __future__ import annotations

import sys
import unicodedata

__all__ = ["harmless", "tell"]


def harmless(text: str) -> str:
    """
    Return a message without what a terminal obeys: names of files and words of other programs may hold anything.

    Parameters
    ----------
    text : str
        Lines for people.

    Returns
    -------
    str
        Control and format characters but newlines as Python escapes them.
    """
    return "".join(
        repr(character)[1:-1] if unicodedata.category(character) in ("Cc", "Cf") and character != "\n" else character
        for character in text
    )


def tell(line: str) -> None:
    """
    Write a line to standard error.

    Parameters
    ----------
    line : str
        Of any words; a line break in it is escaped, too.
    """
    print(harmless(line).replace("\n", r"\n"), file=sys.stderr, flush=True)
