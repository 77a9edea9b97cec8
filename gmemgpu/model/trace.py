"""A trace in memory: one host, one horizon, seven columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmemgpu.html_table import html_table
from gmemgpu.model.event import Kind
from gmemgpu.model.host import Host
from gmemgpu.units import format_bytes, format_duration_ns

__all__ = ["Trace", "COLUMNS", "Int8Array", "Int16Array", "Int32Array", "Int64Array", "BoolArray"]

Int8Array: TypeAlias = NDArray[np.int8]
Int16Array: TypeAlias = NDArray[np.int16]
Int32Array: TypeAlias = NDArray[np.int32]
Int64Array: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

COLUMNS = ("t_ns", "kind", "pfn", "npages", "vm", "inode", "folio_pages")
"""Column names, in file order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Trace:
    """
    Life cycles of guest_memfds on one host, sorted by time; ties keep file order (MODEL.md section 3).

    Parameters
    ----------
    host : Host
        Where they live.
    horizon_ns : int
        End of the trace; later events do not exist.
    warmup_ns : int
        What happens earlier shapes the state but is not counted.
    t_ns : (n,) int64
        When, ascending.
    kind : (n,) int8
        A `Kind` code.
    pfn, npages : (n,) int64
        The extent; 0, 0 for life-cycle kinds.
    vm, inode : (n,) int32
        Ids, -1 for none.
    folio_pages : (n,) int32
        1, 512 or 262144; 0 for life-cycle kinds.

    Notes
    -----
    The columns are trusted: `gmemgpu.trace.check.trace_problems` says whether they may be.
    """

    host: Host
    horizon_ns: int
    warmup_ns: int = 0
    t_ns: Int64Array
    kind: Int8Array
    pfn: Int64Array
    npages: Int64Array
    vm: Int32Array
    inode: Int32Array
    folio_pages: Int32Array

    def __len__(self) -> int:
        return len(self.t_ns)

    def _repr_html_(self) -> str:
        counts = np.bincount(self.kind, minlength=len(Kind))
        rows = [
            ("host", f"{format_bytes(self.host.memory_bytes)}, {self.host.cores:,} cores"),
            ("horizon", format_duration_ns(self.horizon_ns)),
            ("warm-up", format_duration_ns(self.warmup_ns)),
            *((kind.text, f"{counts[kind]:,}") for kind in Kind if counts[kind]),
        ]
        return html_table(["trace", f"{len(self):,} events"], rows)

    def before_horizon(self) -> Trace:
        """Return the trace without events at or after the horizon: they do not exist (views, no copies)."""
        n = int(np.searchsorted(self.t_ns, self.horizon_ns))
        if n == len(self):
            return self
        return Trace(
            host=self.host,
            horizon_ns=self.horizon_ns,
            warmup_ns=self.warmup_ns,
            t_ns=self.t_ns[:n],
            kind=self.kind[:n],
            pfn=self.pfn[:n],
            npages=self.npages[:n],
            vm=self.vm[:n],
            inode=self.inode[:n],
            folio_pages=self.folio_pages[:n],
        )
