"""PFN, block and region arithmetic; text such as "1.5 TiB" and "10 s" turned into integers, once, at the border."""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = [
    "PAGE_BYTES",
    "PAGES_PER_BLOCK",
    "BLOCKS_PER_REGION",
    "PAGES_PER_REGION",
    "BLOCK_BYTES",
    "REGION_BYTES",
    "GIB",
    "TIB",
    "NS_PER_S",
    "INT64_MAX",
    "TIME_UNITS",
    "parse_duration_ns",
    "parse_bytes",
    "format_duration_ns",
    "format_bytes",
]

PAGE_BYTES = 4096
PAGES_PER_BLOCK = 512
"""A block is 2 MiB: the granule at which RMPOPT looks at the RMP."""
BLOCKS_PER_REGION = 512
PAGES_PER_REGION = PAGES_PER_BLOCK * BLOCKS_PER_REGION
"""A region is 1 GiB: the granule that RMPOPT optimizes."""
BLOCK_BYTES = PAGE_BYTES * PAGES_PER_BLOCK
REGION_BYTES = PAGE_BYTES * PAGES_PER_REGION
GIB = 1 << 30
TIB = 1 << 40
NS_PER_S = 1_000_000_000
TIME_UNITS = ((86_400e9, "d"), (3600e9, "h"), (60e9, "min"), (1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
"""In ns, with what figures that are rounded have after them."""
INT64_MAX = (1 << 63) - 1

_DURATIONS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "min": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
}
_SIZES_BYTES = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": GIB,
    "TiB": TIB,
    "PiB": 1 << 50,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
_QUANTITY = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][0-9]+)?)\s*([A-Za-zµ]+)\s*")


def _parse(text: str, units: dict[str, int], what: str, example: str) -> int:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(f'"{text}" is not {what}; write a number and one of {", ".join(units)}, as in "{example}"')
    exact = Decimal(match[1].replace("_", "")) * units[match[2]]
    if exact != exact.to_integral_value():
        raise ValueError(
            f'"{text}" is not a whole number of {next(iter(units))}; use a smaller unit or a rounder number'
        )
    if exact > INT64_MAX:
        raise ValueError(f'"{text}" is too large; the largest is {INT64_MAX} {next(iter(units))}')
    return int(exact)


def parse_duration_ns(text: str) -> int:
    """
    Convert a time such as ``"10 s"`` to integer nanoseconds.

    Parameters
    ----------
    text : str
        A non-negative decimal number and one of ns, us, ms, s, min, h, d.

    Returns
    -------
    int
        Nanoseconds, exact.

    Raises
    ------
    ValueError
        If `text` is no time, is finer than 1 ns, or does not fit 63 bits.

    Examples
    --------
    >>> parse_duration_ns("1.5 min")
    90000000000
    """
    return _parse(text, _DURATIONS_NS, "a time", "10 s")


def parse_bytes(text: str) -> int:
    """
    Convert a size such as ``"1.5 TiB"`` to integer bytes.

    Parameters
    ----------
    text : str
        A non-negative decimal number and one of B, KiB, MiB, GiB, TiB, PiB, kB, MB, GB, TB.

    Returns
    -------
    int
        Bytes, exact.

    Raises
    ------
    ValueError
        If `text` is no size, is no whole number of bytes, or does not fit 63 bits.

    Examples
    --------
    >>> parse_bytes("2 MiB")
    2097152
    """
    return _parse(text, _SIZES_BYTES, "a size", "1.5 TiB")


def format_duration_ns(duration_ns: int) -> str:
    """
    Write nanoseconds in the largest unit that keeps them whole; `parse_duration_ns` reads it back.

    Parameters
    ----------
    duration_ns : int
        Not negative.

    Returns
    -------
    str
        A number, a space and a unit.

    Examples
    --------
    >>> format_duration_ns(90_000_000_000)
    '90 s'
    """
    for unit in ("d", "h", "min", "s", "ms", "us"):
        if duration_ns and duration_ns % _DURATIONS_NS[unit] == 0:
            # Kernel people write 90 s and 3600 s as they stand in the code; minutes only when at least 5.
            if unit == "min" and duration_ns < 5 * _DURATIONS_NS["min"]:
                continue
            return f"{duration_ns // _DURATIONS_NS[unit]} {unit}"
    return f"{duration_ns} ns"


def format_bytes(size_bytes: int) -> str:
    """
    Write bytes in the largest binary unit that keeps them whole; `parse_bytes` reads it back.

    Parameters
    ----------
    size_bytes : int
        Not negative.

    Returns
    -------
    str
        A number, a space and a unit.

    Examples
    --------
    >>> format_bytes(3 << 40)
    '3 TiB'
    """
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _SIZES_BYTES[unit] == 0:
            return f"{size_bytes // _SIZES_BYTES[unit]} {unit}"
    return f"{size_bytes} B"
