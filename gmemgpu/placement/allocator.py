"""What placement promises: whole 2 MiB blocks of the host's free memory, as extents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeAlias

__all__ = ["Allocator", "Extent"]

Extent: TypeAlias = tuple[int, int]
"""First block and number of blocks; blocks are numbered from physical address 0."""


class Allocator(Protocol):
    """
    The free memory of one host, in blocks.

    An allocator trusts its caller: what is freed was handed out before, and is freed once.
    """

    def allocate(self, n_blocks: int, node: int, *, snp: bool) -> list[Extent] | None:
        """
        Reserve blocks, of `node` first and of the nodes that follow it once it is full.

        Parameters
        ----------
        n_blocks : int
            How many.
        node : int
            -1 takes the node with the most free blocks.
        snp : bool
            Whether a confidential guest asks; only some allocators keep guests apart.

        Returns
        -------
        list of Extent, or None
            Exactly `n_blocks` blocks in the order in which the guest gets them; None if there is no room, and then
            nothing changed.
        """

    def free(self, extents: Iterable[Extent]) -> None:
        """
        Take back blocks of one VM, or a part of them.

        Parameters
        ----------
        extents : iterable of Extent
            What `allocate` returned, or a part of it.
        """

    def allocate_at_random(self, n_blocks: int, draws: Iterator[int]) -> list[int] | None:
        """
        Reserve free blocks, all equally likely, for single 4 KiB pages of Linux or of the firmware.

        Parameters
        ----------
        n_blocks : int
            How many.
        draws : iterator of int
            Endless uniform draws from [0, 2**62).

        Returns
        -------
        list of int, or None
            None if too few blocks are free, and then nothing changed.
        """

    def free_cold(self, blocks: Iterable[int]) -> None:
        """
        Take back blocks that held single pages; this makes no memory hot.

        Parameters
        ----------
        blocks : iterable of int
            Their numbers on the host.
        """
