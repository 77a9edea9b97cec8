"""The grammar of cells: what is an integer or a decimal number, in VM tables and traces alike."""

from __future__ import annotations

import re

__all__ = ["DECIMAL", "PLAIN_INTEGER", "integer_of"]

DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
"""A number: decimal, with a sign, a point and an exponent or without. No ``nan``, no ``inf``, no separators."""

PLAIN_INTEGER = r"^-?[0-9]{1,18}$"
"""Most integers: the part of what `integer_of` reads that surely fits 64 bits. Arrow reads it the same, and faster."""

_INTEGER = re.compile(r"[+-]?[0-9]+|0[xX][0-9a-fA-F]{1,16}", re.ASCII)
_MOST_DIGITS = 32
"""Far past 64 bits; Python itself refuses to read thousands of digits."""


def integer_of(cell: str) -> int | None:
    """
    Return the integer that a cell holds.

    Parameters
    ----------
    cell : str
        Without blanks around it.

    Returns
    -------
    int or None
        None if it is no integer; past 64 bits some number that lies there, too.

    Notes
    -----
    Decimal, with or without a sign; or hexadecimal, ``0x`` and 1 to 16 digits, which are the bits of a signed 64-bit
    integer, as C prints them: ``0xffffffffffffffff`` is -1. No point, no exponent, no separators.
    """
    if not _INTEGER.fullmatch(cell):
        return None
    if cell[:2] in ("0x", "0X"):
        bits = int(cell, 16)
        return bits - (bits >> 63 << 64)
    digits = cell.lstrip("+-0")[:_MOST_DIGITS] or "0"
    return -int(digits) if cell[0] == "-" else int(digits)
