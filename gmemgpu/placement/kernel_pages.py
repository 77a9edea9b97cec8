"""Single 4 KiB pages that Linux or the firmware holds for a guest: VMSAs and context pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from gmemgpu.placement.allocator import Allocator
from gmemgpu.units import PAGES_PER_BLOCK

__all__ = ["KernelPages", "PagePlacement", "FIRST_SLOT"]

PagePlacement: TypeAlias = Literal["scatter", "packed"]

# Linux never lets a VMSA begin at a 2 MiB boundary, because of an erratum (snp_safe_alloc_page).
FIRST_SLOT = 1


class KernelPages:
    """
    Pages outside of any guest_memfd, taken from the same free memory as the guests' blocks.

    Parameters
    ----------
    allocator : Allocator
        Where blocks come from.
    placement : {"scatter", "packed"}
        A random free block for each page, or common blocks, each filled before another is begun.
    draws : iterator of int
        Endless uniform draws from [0, 2**62).
    """

    def __init__(self, allocator: Allocator, placement: PagePlacement, draws: Iterator[int]) -> None:
        self._allocator = allocator
        self._packed = placement == "packed"
        self._draws = draws
        self._open: dict[int, list[int]] = {}
        """Common blocks with room: block to its free slots, the next one last."""
        self._n_used: dict[int, int] = {}
        """Common blocks: block to its number of pages."""

    def allocate(self, n_pages: int) -> list[int] | None:
        """
        Reserve pages.

        Parameters
        ----------
        n_pages : int
            How many.

        Returns
        -------
        list of int, or None
            PFNs; None if there is no room, and then nothing changed.
        """
        if not self._packed:
            blocks = self._allocator.allocate_at_random(n_pages, self._draws)
            return None if blocks is None else [block * PAGES_PER_BLOCK + FIRST_SLOT for block in blocks]
        pfns: list[int] = []
        for _ in range(n_pages):
            if not self._open and not self._begin_block():
                self.free(pfns)
                return None
            block, slots = next(iter(self._open.items()))
            pfns.append(block * PAGES_PER_BLOCK + slots.pop())
            self._n_used[block] += 1
            if not slots:
                del self._open[block]
        return pfns

    def _begin_block(self) -> bool:
        extents = self._allocator.allocate(1, -1, snp=False)
        if extents is None:
            return False
        block = extents[0][0]
        self._open[block] = list(range(PAGES_PER_BLOCK - 1, FIRST_SLOT - 1, -1))
        self._n_used[block] = 0
        return True

    def free(self, pfns: Iterable[int]) -> None:
        """
        Take pages back; a block without pages returns to the allocator.

        Parameters
        ----------
        pfns : iterable of int
            What `allocate` returned, or a part of it.
        """
        if not self._packed:
            self._allocator.free_cold([pfn // PAGES_PER_BLOCK for pfn in pfns])
            return
        for pfn in pfns:
            block, slot = divmod(pfn, PAGES_PER_BLOCK)
            self._n_used[block] -= 1
            if self._n_used[block]:
                self._open.setdefault(block, []).append(slot)
            else:
                del self._n_used[block]
                self._open.pop(block, None)
                self._allocator.free_cold([block])
