"""Events collected by the thousand, in any order, and sorted once at the end."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Int64Array, Trace

__all__ = ["EventColumns", "END_OF_LIFE", "RUN_TIME", "ARRIVAL"]

END_OF_LIFE = 0
RUN_TIME = 1 << 61
ARRIVAL = 1 << 62
"""Ranks at equal times: memory is given back, converted, then handed out anew."""

Values: TypeAlias = Int64Array | NDArray[np.int32] | int
_DTYPES = {
    "t_ns": np.int64,
    "rank": np.int64,
    "kind": np.int8,
    "pfn": np.int64,
    "npages": np.int64,
    "vm": np.int32,
    "inode": np.int32,
    "folio_pages": np.int32,
}


class EventColumns:
    """
    Chunks of events.

    Parameters
    ----------
    horizon_ns : int
        Events at or past it are dropped.
    """

    def __init__(self, horizon_ns: int) -> None:
        self._horizon_ns = horizon_ns
        self._chunks: dict[str, list[NDArray[Any]]] = {name: [] for name in _DTYPES}

    def add(
        self,
        kind: Kind,
        t_ns: Int64Array,
        rank: Values,
        *,
        pfn: Values = 0,
        npages: Values = 0,
        vm: Values = -1,
        inode: Values = -1,
        folio_pages: Values = 0,
    ) -> None:
        """
        Add events of one kind.

        Parameters
        ----------
        kind : Kind
            What happens.
        t_ns : (n,) int64
            When.
        rank : (n,) int64 or int
            Order at equal times: ascending; equal ranks keep the order of adding.
        pfn, npages, vm, inode, folio_pages : (n,) integers or int
            The columns of a trace.
        """
        keep = t_ns < self._horizon_ns
        n = int(np.count_nonzero(keep))
        columns = {
            "t_ns": t_ns,
            "rank": rank,
            "kind": int(kind),
            "pfn": pfn,
            "npages": npages,
            "vm": vm,
            "inode": inode,
            "folio_pages": folio_pages,
        }
        for name, value in columns.items():
            dtype = _DTYPES[name]
            if not isinstance(value, np.ndarray):
                chunk = np.full(n, value, dtype)
            else:
                chunk = (value if n == len(keep) else value[keep]).astype(dtype, copy=False)
            self._chunks[name].append(chunk)

    def build(self, host: Host, warmup_ns: int) -> Trace:
        """
        Sort what was added into a trace, and forget it.

        Parameters
        ----------
        host : Host
            Goes into the trace, as does `warmup_ns`.
        warmup_ns : int
            What happens earlier is not counted.

        Returns
        -------
        Trace
            Sorted by time, then by rank.
        """
        whole: dict[str, NDArray[Any]] = {}
        for name, dtype in _DTYPES.items():
            chunks = self._chunks.pop(name)
            whole[name] = np.concatenate(chunks) if chunks else np.empty(0, dtype)
        order = np.lexsort((whole.pop("rank"), whole["t_ns"]))
        for name in whole:
            whole[name] = whole[name][order]
        return Trace(host=host, horizon_ns=self._horizon_ns, warmup_ns=warmup_ns, **whole)
