"""The kinds of trace events and their codes in memory."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Kind", "EXTENT_KINDS", "LIFE_CYCLE_KINDS", "KIND_BY_NAME", "FOLIO_PAGES"]


class Kind(IntEnum):
    """What a trace row says; MODEL.md section 3. The lower-case member name is the text in a trace file."""

    ASSIGN = 0
    INVALIDATE = 1
    RELEASE = 2
    FREED = 3
    SHARE = 4
    USE = 5
    UNUSE = 6
    EVICT_BEGIN = 7
    EVICT_END = 8
    INODE_FREE = 9
    VM_DESTROY = 10
    SNP_SHUTDOWN_BEGIN = 11
    SNP_SHUTDOWN_END = 12
    SNP_INIT = 13
    KVM_UNLOAD = 14

    @property
    def text(self) -> str:
        """The name in trace files."""
        return self.name.lower()


EXTENT_KINDS = frozenset(Kind(code) for code in range(Kind.EVICT_BEGIN))
"""Kinds that carry an extent of pages."""
LIFE_CYCLE_KINDS = frozenset(Kind) - EXTENT_KINDS
"""Kinds that carry none: pfn, npages and folio_pages are 0."""
KIND_BY_NAME = {kind.text: kind for kind in Kind}
FOLIO_PAGES = (1, 512, 262_144)
"""Pages of a folio that an extent may be made of: 4 KiB, 2 MiB, 1 GiB."""
