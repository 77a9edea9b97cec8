"""Cells of a VM table: how many vCPUs, how much memory, confidential or not, and small integers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal

from gmemgpu.columns.cell import DECIMAL, integer_of
from gmemgpu.columns.distinct import Cell
from gmemgpu.columns.message import shown

__all__ = ["KINDS", "integer_cell", "kind_cell", "memory_cell"]

_LEAST_BYTES, _MOST_BYTES = 1 << 20, 1 << 50
_BARE_BYTES_FROM = 1 << 26
"""No guest has so many MiB, and none so few bytes."""
_LONGEST = 40
"""Characters of a number; more are none that a table needs."""
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?)\s*([kmgtp]?)(i?b?|bytes)", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}

KINDS = {
    1: "snp sev-snp amd-sev-snp sevsnp confidential confidentialvm confidential-vm cvm true yes y t on 1",
    0: "plain normal standard regular none-confidential non-confidential trustedlaunch sev sev-es seves amd-sev "
    "amd-sev-es false no n f off 0",
}
"""Confidential or not, as usually written. Pages of SEV and SEV-ES guests are not assigned in the RMP."""
_KINDS = {word.replace("-", ""): value for value, words in KINDS.items() for word in words.split()}


def _number(cell: Cell) -> Decimal | None:
    # Exactly; None if it is no number. The same grammar as of every other reader.
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | float):
        return Decimal(cell) if math.isfinite(cell) else None
    if re.match(DECIMAL, cell, re.ASCII) and len(cell) <= _LONGEST:
        return Decimal(cell)
    whole = integer_of(cell)
    return None if whole is None else Decimal(whole)


def integer_cell(low: int, high: int, allowed: tuple[int, ...] = ()) -> Callable[[Cell], int]:
    """
    Return a reader of integers.

    Parameters
    ----------
    low, high : int
        The range, both ends included.
    allowed : tuple of int
        The only ones, if there are any.

    Returns
    -------
    callable
        From a cell to its value; raises ValueError that says what is wrong. ``4.0`` is 4.
    """

    def read(cell: Cell) -> int:
        number = _number(cell)
        if number is None:
            raise ValueError(f"{shown(cell)} is not an integer; write it as in 42")
        if abs(number) > 1 << 70 or number != number.to_integral_value():
            raise ValueError(f"{shown(cell)} is not a whole number of {low} to {high}")
        if not low <= number <= high:
            raise ValueError(f"{shown(cell)} is outside {low} to {high}")
        if allowed and number not in allowed:
            raise ValueError(f"{shown(cell)} is none of {', '.join(map(str, allowed))}")
        return int(number)

    return read


def memory_cell(unit: int | None, name: str) -> Callable[[Cell], int]:
    """
    Return a reader of sizes.

    Parameters
    ----------
    unit : int or None
        Bytes that a bare number counts; None if the column's name does not say.
    name : str
        The column's, for messages.

    Returns
    -------
    callable
        From a cell to bytes, rounded to whole ones; raises ValueError that says what is wrong. MB and GB mean MiB and
        GiB.
    """

    def read(cell: Cell) -> int:
        number = _number(cell) if len(str(cell)) <= _LONGEST else None
        factor = unit
        if number is None:
            match = _SIZE.fullmatch(cell) if isinstance(cell, str) and len(cell) <= _LONGEST else None
            if match is None:
                raise ValueError(f"{shown(cell)} is not a size; write it as in 16GiB or 16384 MiB")
            number, factor = Decimal(match[1]), 1 << 10 * _POWERS[match[2].lower()]
        elif factor is None:
            if number < _BARE_BYTES_FROM:
                raise ValueError(
                    f"{shown(cell)} has no unit; write it as in 16GiB, or say the column's: --map memory_mib={name} "
                    f'(in a spec vm_table.columns = {{memory_mib = "{name}"}})'
                )
            factor = 1
        if not _LEAST_BYTES <= number * factor <= _MOST_BYTES:
            raise ValueError(f"{shown(cell)} is outside 1 MiB to 1 PiB")
        return int((number * factor).to_integral_value())

    return read


def kind_cell(cell: Cell) -> int:
    """
    Return whether a VM is confidential.

    Parameters
    ----------
    cell : str, int, float or bool
        One of the words in `KINDS`, in any case.

    Returns
    -------
    int
        1 or 0.

    Raises
    ------
    ValueError
        If it says neither.
    """
    text = f"{cell:g}" if isinstance(cell, float) else str(cell)
    value = _KINDS.get(re.sub(r"[-_ ]", "", text.lower()))
    if value is None:
        raise ValueError(f"{shown(cell)} is unknown; use snp, plain, true or false")
    return value
