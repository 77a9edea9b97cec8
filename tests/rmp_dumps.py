"""Dumps made by hand: entries of an RMP in both layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gmemgpu.rmp.entry import Entries, Layout
from gmemgpu.units import PAGES_PER_REGION

ENTRY_BYTES = 16


def entry(
    layout: Layout, *, asid: int = 0, gpa: int = 0, large: bool = False, immutable: bool = False, vmsa: bool = False
) -> tuple[int, int]:
    """Write an assigned entry, put together bit by bit from the kernel's struct and not by the code under test."""
    if layout == "raw":
        return 1 | large << 1 | immutable << 2 | gpa | asid << 51 | vmsa << 61, 0
    return gpa, 1 | large << 8 | immutable << 16 | asid << 32


def table(n_pages: int, pages: dict[int, tuple[int, int]]) -> Entries:
    entries = np.zeros((n_pages, 2), np.uint64)
    for pfn, words in pages.items():
        entries[pfn] = words
    return entries


def write_sparse(path: Path, n_regions: int, pages: dict[int, tuple[int, int]], *, begin: int = 0) -> Path:
    """Write a dump of many regions in which only the entries given take room on disk."""
    with path.open("wb") as file:
        file.truncate(begin + n_regions * PAGES_PER_REGION * ENTRY_BYTES)
        for pfn, words in pages.items():
            file.seek(begin + pfn * ENTRY_BYTES)
            file.write(np.array(words, "<u8").tobytes())
    return path
