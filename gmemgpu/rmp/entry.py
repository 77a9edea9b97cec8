"""
Entries of the RMP, 16 bytes a page, in the two layouts that Linux knows.

Both, and that the entry at a 2 MiB boundary speaks for all 512 pages if its page size is 2 MiB, are as in Linux,
arch/x86/virt/svm/sev.c at 0cbc02584157 (`struct rmpentry`, `struct rmpentry_raw`, `__snp_lookup_rmpentry`). The raw one
is not architectural: the PPR of family 19h model 01h gives it, and other processors may differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmemgpu.model.trace import BoolArray
from gmemgpu.units import PAGES_PER_BLOCK

__all__ = ["Entries", "ENTRY_BYTES", "LAYOUTS", "Layout", "Pages", "decode", "implausible"]

Layout = Literal["raw", "rmpread"]
LAYOUTS: tuple[Layout, ...] = ("raw", "rmpread")
ENTRY_BYTES = 16

Entries: TypeAlias = NDArray[np.uint64]

_ASSIGNED = np.uint64(1)

# Raw: in the first word assigned 0, page size 1 (set is 2 MiB), immutable 2, GPA 12-50, ASID 51-60, VMSA 61, validated
# 62. Linux calls 3-11 reserved, yet published dumps have the first entry of a block count pages there. The second word
# is not decoded.
_RAW_2M = np.uint64(1 << 1)
_RAW_IMMUTABLE = np.uint64(1 << 2)
_RAW_RESERVED = np.uint64(0xFF8)
_RAW_ASID_SHIFT = np.uint64(51)
_RAW_ASID_MASK = np.uint64(0x3FF)
_RAW_VMSA = np.uint64(1 << 61)

# RMPREAD: the GPA, then a byte each for assigned, page size with the status of the block beside it, immutable, nothing,
# then 32 bits of ASID.
_READ_2M = np.uint64(1 << 8)
_READ_IMMUTABLE = np.uint64(1 << 16)
_READ_RESERVED = np.uint64(0xFFFEFCFE)
_READ_ASID_SHIFT = np.uint64(32)
_READ_GPA = np.uint64(((1 << 52) - 1) & ~0xFFF)


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """
    What the entries of whole blocks say, page by page.

    Parameters
    ----------
    assigned : (n,) bool
        Whether the page is assigned, by its own entry or by that of its 2 MiB page.
    large : (n,) bool
        Whether it is by that of its 2 MiB page.
    asid : (n,) int64
        Its owner where it is assigned, 0 for firmware; -1 elsewhere.
    vmsa : (n,) bool
        Whether it holds a VMSA; always False in the RMPREAD layout, which does not tell.
    """

    assigned: BoolArray
    large: BoolArray
    asid: NDArray[np.int64]
    vmsa: BoolArray


def decode(entries: Entries, layout: Layout) -> Pages:
    """
    Compute what entries say.

    Parameters
    ----------
    entries : (n, 2) uint64
        Of whole blocks: n is a multiple of 512, and the first is at a 2 MiB boundary.
    layout : Layout
        How they are laid out.

    Returns
    -------
    Pages
        One entry a page.
    """
    first, second = entries[:, 0], entries[:, 1]
    raw = layout == "raw"
    flags = first if raw else second
    assigned = (flags & _ASSIGNED) != 0
    owner = ((first >> _RAW_ASID_SHIFT) & _RAW_ASID_MASK) if raw else second >> _READ_ASID_SHIFT
    asid = np.where(assigned, owner.astype(np.int64), -1)
    vmsa = (assigned & ((first & _RAW_VMSA) != 0)) if raw else np.zeros(len(first), bool)
    large = np.zeros(len(first), bool)
    heads = np.flatnonzero(((flags & (_RAW_2M if raw else _READ_2M)) != 0)[::PAGES_PER_BLOCK])
    heads = heads[assigned[heads * PAGES_PER_BLOCK]]
    if len(heads):
        for of_page in (assigned, asid, vmsa):
            by_block = of_page.reshape(-1, PAGES_PER_BLOCK)
            by_block[heads] = by_block[heads, :1]
        large.reshape(-1, PAGES_PER_BLOCK)[heads] = True
    return Pages(assigned, large, asid, vmsa)


def implausible(entries: Entries, layout: Layout) -> BoolArray:
    """
    Check which entries no RMP of a layout would hold: reserved bits, owners that cannot be.

    Parameters
    ----------
    entries : (n, 2) uint64
        The first is at a 2 MiB boundary.
    layout : Layout
        How they are said to be laid out.

    Returns
    -------
    (n,) bool
        False for an entry of zeros.
    """
    first, second = entries[:, 0], entries[:, 1]
    if layout == "rmpread":
        assigned = (second & _ASSIGNED) != 0
        owned = ((second >> _READ_ASID_SHIFT) != 0) | ((second & _READ_IMMUTABLE) != 0)
        reserved = ((second & _READ_RESERVED) != 0) | ((first & ~_READ_GPA) != 0)
        bare = (first == 0) & ((second >> _READ_ASID_SHIFT) == 0)
        return np.asarray(reserved | np.where(assigned, ~owned, ~bare))
    assigned = (first & _ASSIGNED) != 0
    owned = (((first >> _RAW_ASID_SHIFT) & _RAW_ASID_MASK) != 0) | ((first & _RAW_IMMUTABLE) != 0)
    counted = first & _RAW_RESERVED
    counted[::PAGES_PER_BLOCK] = 0
    bare = (first & ~(_RAW_2M | _RAW_IMMUTABLE | _RAW_RESERVED)) == 0
    return np.asarray((counted != 0) | np.where(assigned, ~owned, ~bare | (first == 0) & (second != 0)))
