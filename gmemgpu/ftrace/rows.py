"""Rows of a trace as they are found out: late knowledge changes earlier ones, and the order comes last."""

from __future__ import annotations

from array import array

import numpy as np

from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Trace
from gmemgpu.units import PAGES_PER_BLOCK

__all__ = ["Rows"]

_WIDTH = 8
_VM, _INODE = 5, 6


class Rows:
    """Rows that can still change."""

    def __init__(self) -> None:
        self._words = array("q")

    def __len__(self) -> int:
        return len(self._words) // _WIDTH

    def add(self, t_ns: int, order: int, kind: Kind, *, pfn: int = 0, npages: int = 0, vm: int, inode: int) -> int:
        """
        Add a row.

        Parameters
        ----------
        t_ns, order : int
            When, and which of those of one time comes first.
        kind : Kind
            What.
        pfn, npages : int
            The extent; 512 pages are taken for a folio of 2 MiB, for the RMP tells no more.
        vm, inode : int
            Ids, -1 for none.

        Returns
        -------
        int
            Number of the row, for `set_owner`.
        """
        folio_pages = (PAGES_PER_BLOCK if npages == PAGES_PER_BLOCK else 1) if npages else 0
        self._words.extend((t_ns, order, kind, pfn, npages, vm, inode, folio_pages))
        return len(self) - 1

    def owner(self, row: int) -> tuple[int, int]:
        """
        Return whose the pages of a row are.

        Parameters
        ----------
        row : int
            Its number.

        Returns
        -------
        (int, int)
            VM and inode.
        """
        return self._words[row * _WIDTH + _VM], self._words[row * _WIDTH + _INODE]

    def set_owner(self, row: int, *, vm: int | None = None, inode: int | None = None) -> None:
        """
        Set whose the pages of a row are, as far as it is known by now.

        Parameters
        ----------
        row : int
            Its number.
        vm, inode : int, optional
            Left as they are if left out.
        """
        if vm is not None:
            self._words[row * _WIDTH + _VM] = vm
        if inode is not None:
            self._words[row * _WIDTH + _INODE] = inode

    def trace(self, host: Host, horizon_ns: int) -> Trace:
        """
        Build the trace.

        Parameters
        ----------
        host : Host
            Where it was taken.
        horizon_ns : int
            Its end.

        Returns
        -------
        Trace
            Sorted, and not yet checked.
        """
        table = np.array(self._words, np.int64).reshape(-1, _WIDTH)
        table = table[np.lexsort((table[:, 1], table[:, 0]))]
        return Trace(
            host=host,
            horizon_ns=horizon_ns,
            t_ns=table[:, 0].copy(),
            kind=table[:, 2].astype(np.int8),
            pfn=table[:, 3].copy(),
            npages=table[:, 4].copy(),
            vm=table[:, 5].astype(np.int32),
            inode=table[:, 6].astype(np.int32),
            folio_pages=table[:, 7].astype(np.int32),
        )
