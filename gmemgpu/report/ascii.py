"""Text for mails and terminals that have ASCII only."""

from __future__ import annotations

import unicodedata

__all__ = ["to_ascii"]

_SIGNS = str.maketrans(
    {
        "±": "+-",
        "−": "-",
        "–": "-",
        "—": "-",
        "─": "-",
        "·": "*",
        "×": "x",
        "…": "...",
        "≈": "~",
        "∞": "inf",
        "≤": "<=",
        "≥": ">=",
        "µ": "u",
        "λ": "lambda",
        "“": '"',
        "”": '"',
        "’": "'",
        "\xa0": " ",
    }
)


def to_ascii(text: str) -> str:
    """
    Replace what ASCII lacks.

    Parameters
    ----------
    text : str
        Any.

    Returns
    -------
    str
        Signs as people type them, letters without accents, ``?`` for the rest.

    Examples
    --------
    >>> to_ascii("−3.7 ±1.6 GiB·h")
    '-3.7 +-1.6 GiB*h'
    """
    plain = unicodedata.normalize("NFKD", text.replace(" · ", " - ").translate(_SIGNS))
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).encode("ascii", "replace").decode()
