"""
The file ``rmpopt-table`` of debugfs, as v1 to v8 of the RMPOPT series have it: which CPUs have a region's bit.

A line a region: ``Memory @%3lluGB: CPU(s): none`` or a list of CPUs (v2, patch "x86/sev: Add debugfs support for
RMPOPT", https://lore.kernel.org/all/cover.1772486459.git.ashish.kalra@amd.com/). GB are GiB there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gmemgpu.columns.message import shown
from gmemgpu.errors import Problem, TraceError

__all__ = ["LINE", "read_rmpopt_table"]

LINE = re.compile(r"Memory @ {0,19}([0-9]{1,19})GB: CPU\(s\): (none|[0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*)")
_MOST_CPUS = 1 << 16
_MOST_GIB = 1 << 22
"""52 bits of physical addresses."""
_PROBLEMS_KEPT = 20


def _n_cpus(text: str) -> int | None:
    # None if it is no list that a kernel prints: ascending ranges apart from one another.
    if text == "none":
        return 0
    n, last = 0, -1
    for part in text.split(","):
        low, _, high = part.partition("-")
        if len(low) > 6 or len(high) > 6:
            return None
        begin, end = int(low), int(high or low)
        if not last < begin <= end < _MOST_CPUS:
            return None
        n, last = n + end - begin + 1, end
    return n


def read_rmpopt_table(lines: Iterable[tuple[int, str]], where: str) -> dict[int, int]:
    """
    Read a table.

    Parameters
    ----------
    lines : iterable of (int, str)
        Number and text; empty lines count for nothing.
    where : str
        The file, for messages.

    Returns
    -------
    dict of int to int
        Region to the number of CPUs that have its bit, ascending.

    Raises
    ------
    TraceError
        If a line is no line of a table, regions do not ascend, or there is none.
    """
    found: dict[int, int] = {}
    problems: list[Problem] = []
    last = -1
    for number, line in lines:
        if not line.strip():
            continue
        match = LINE.fullmatch(line.rstrip())
        region = int(match[1]) if match else -1
        n = _n_cpus(match[2]) if match else None
        if n is None or not last < region < _MOST_GIB:
            why = "comes after a later region" if n is not None and region <= last else "is no line of rmpopt-table"
            problems.append(Problem(f"{where}: line {number}", f"{shown(line)} {why}; save the file of debugfs again"))
            if len(problems) > _PROBLEMS_KEPT:
                break
            continue
        found[region] = n
        last = region
    if not found and not problems:
        problems.append(Problem(where, "has no line of rmpopt-table; save the file of debugfs again"))
    if problems:
        raise TraceError(problems)
    return found
