"""
What the kernel's log tells of the RMP: entries that it dumped, pages that it leaked, where the table lies.

The lines are those of Linux, arch/x86/virt/svm/sev.c at 0cbc02584157 (`dump_rmpentry`, `rmpupdate`, `snp_leak_pages`,
`snp_probe_rmptable_info`), and those on passes in the postings of the RMPOPT series. Entries are written raw.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from gmemgpu.columns.message import shown
from gmemgpu.errors import Problem, TraceError
from gmemgpu.rmp.entry import decode
from gmemgpu.units import PAGE_BYTES, PAGES_PER_BLOCK

__all__ = ["LogFindings", "read_kernel_log", "MARK"]

MARK = "SEV-SNP: "
_HEX = "0x([0-9a-fA-F]{1,16})"
_ENTRY = re.compile(rf"PFN(?:: {_HEX},| {_HEX}, RMP entry:) \[{_HEX} - {_HEX}\]")
_BLOCK = re.compile(rf"PFN {_HEX} unassigned, dumping non-zero entries in 2M PFN region: \[{_HEX} - {_HEX}\]")
_LEAK = re.compile(rf"Leaking PFN range {_HEX}-{_HEX}")
_TABLE = re.compile(rf"RMP table physical range \[{_HEX} - {_HEX}\]")
_FAILED = re.compile(r"RMPUPDATE failed for PFN ([0-9a-fA-F]{1,16}), pg_level: (\d+), ret: (-?\d+)")
_OURS = re.compile("PFN|Leaking|RMP table|RMPUPDATE")
_PASS = re.compile("Attempt RMP optimizations|RMP optimizations enabled")

_MOST_PFN = 1 << 40
_MOST_ENTRIES = 1 << 20
"""That a log is read for: more entries than a kernel would print in a week."""


@dataclass(slots=True)
class LogFindings:
    """
    What a log tells, the latest word on each page.

    Parameters
    ----------
    entries : dict of int to int
        PFN to the first word of its entry, raw.
    table : list of (int, int)
        First and last byte of each RMP that is named.
    leaked : list of (int, int)
        First PFN and the one past the last of pages that were leaked.
    n_failed, n_passes : int
        Failed RMPUPDATEs; passes over memory that began.
    damaged : list of int
        Lines that begin like one of these and go on otherwise.
    n_lines : int
        Lines read for what they say.
    """

    entries: dict[int, int] = field(default_factory=dict)
    table: list[tuple[int, int]] = field(default_factory=list)
    leaked: list[tuple[int, int]] = field(default_factory=list)
    n_failed: int = 0
    n_passes: int = 0
    damaged: list[int] = field(default_factory=list)
    n_lines: int = 0

    def assigned(self) -> dict[int, int]:
        """
        Return the pages that are assigned.

        Returns
        -------
        dict of int to int
            PFN to ASID, by PFN. A 2 MiB entry stands for all its pages.
        """
        found: dict[int, int] = {}
        for block in sorted({pfn // PAGES_PER_BLOCK for pfn in self.entries}):
            first = block * PAGES_PER_BLOCK
            words = np.zeros((PAGES_PER_BLOCK, 2), np.uint64)
            for page in range(PAGES_PER_BLOCK):
                words[page, 0] = self.entries.get(first + page, 0)
            pages = decode(words, "raw")
            found |= {first + int(page): int(pages.asid[page]) for page in np.flatnonzero(pages.assigned)}
        return found


def _add(found: LogFindings, text: str) -> bool:
    # True if the line is one of those known, and sound.
    if match := _ENTRY.match(text):
        pfn = int(match[1] or match[2], 16)
        if pfn >= _MOST_PFN:
            return False
        found.entries[pfn] = int(match[3], 16)
    elif match := _BLOCK.match(text):
        first, end = int(match[2], 16), int(match[3], 16)
        if first % PAGES_PER_BLOCK or end != first + PAGES_PER_BLOCK or end > _MOST_PFN:
            return False
        # What follows is all that there is: what was there before is gone.
        for pfn in range(first, end):
            found.entries.pop(pfn, None)
    elif match := _LEAK.match(text):
        first, end = int(match[1], 16), int(match[2], 16)
        if not first < end <= _MOST_PFN:
            return False
        found.leaked.append((first, end))
    elif match := _TABLE.match(text):
        low, high = int(match[1], 16), int(match[2], 16)
        if not low < high < _MOST_PFN * PAGE_BYTES:
            return False
        found.table.append((low, high))
    elif _FAILED.match(text):
        found.n_failed += 1
    elif _PASS.match(text):
        found.n_passes += 1
    else:
        return False
    return True


def read_kernel_log(lines: Iterable[tuple[int, str]], where: str) -> LogFindings:
    """
    Read a kernel's log.

    Parameters
    ----------
    lines : iterable of (int, str)
        Number and text; with whatever prefix, and lines of other origin among them.
    where : str
        The file, for messages.

    Returns
    -------
    LogFindings
        The latest word on each page.

    Raises
    ------
    TraceError
        If there is no line on the RMP, or far too many.
    """
    found = LogFindings()
    for number, line in lines:
        _, mark, text = line.partition(MARK)
        if not mark or not (_OURS.match(text) or _PASS.match(text)):
            continue
        if _add(found, text):
            found.n_lines += 1
        else:
            found.damaged.append(number)
        if len(found.entries) + len(found.leaked) + len(found.damaged) > _MOST_ENTRIES:
            fault = f"line {number} is past what is read of a log, {_MOST_ENTRIES} entries; scan a part of it"
            raise TraceError(Problem(where, fault))
    if not found.n_lines:
        seen = f"; line {found.damaged[0]} is damaged" if found.damaged else ""
        fault = f"has no whole line on the RMP, as {shown(MARK + 'PFN 0x…, RMP entry: [0x… - 0x…]', 60)}{seen}"
        raise TraceError(Problem(where, f"{fault}; take it with dmesg or journalctl -k"))
    return found
