"""VM tables from columns of any length, and from parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gmemgpu.model.trace import Int64Array
from gmemgpu.vmtable.random_stream import NEVER_NS
from gmemgpu.vmtable.table import VmTable

__all__ = ["vm_table", "end_after", "concatenate"]


def vm_table(
    *,
    arrival_ns: ArrayLike,
    departure_ns: ArrayLike,
    memory_bytes: ArrayLike,
    vcpus: ArrayLike,
    snp: ArrayLike,
    batch: ArrayLike,
    stock: ArrayLike = False,
    node: ArrayLike = -1,
    gmems: ArrayLike = 1,
    folio_pages: ArrayLike = 0,
) -> VmTable:
    """
    Build a table sorted by arrival; single values hold for every VM, and equal arrivals keep their order.

    Parameters
    ----------
    arrival_ns, departure_ns, memory_bytes, vcpus, snp, batch, stock, node, gmems, folio_pages : array_like
        Columns of `VmTable`; `arrival_ns` says how many VMs there are.

    Returns
    -------
    VmTable
        Sorted by arrival.
    """
    arrival = np.asarray(arrival_ns, dtype=np.int64)
    order = np.argsort(arrival, kind="stable")
    given = {
        "arrival_ns": (arrival, np.int64),
        "departure_ns": (departure_ns, np.int64),
        "memory_bytes": (memory_bytes, np.int64),
        "vcpus": (vcpus, np.int32),
        "snp": (snp, np.bool_),
        "stock": (stock, np.bool_),
        "node": (node, np.int32),
        "gmems": (gmems, np.int32),
        "folio_pages": (folio_pages, np.int32),
        "batch": (batch, np.int64),
    }
    columns: dict[str, Any] = {
        name: np.broadcast_to(np.asarray(values, dtype=dtype), arrival.shape)[order]
        for name, (values, dtype) in given.items()
    }
    return VmTable(**columns)


def end_after(arrival_ns: Int64Array, lifetime_ns: Int64Array) -> Int64Array:
    """
    Return departures: at least 1 µs after arrival, and never past `NEVER_NS`.

    Parameters
    ----------
    arrival_ns, lifetime_ns : (n,) int64
        Both at most `NEVER_NS`.

    Returns
    -------
    (n,) int64
        In ns.
    """
    result: Int64Array = np.minimum(arrival_ns + np.maximum(lifetime_ns, 1000), NEVER_NS)
    return result


def concatenate(tables: Sequence[VmTable]) -> VmTable:
    """
    Build one table of several, sorted by arrival; batches of different tables stay different.

    Parameters
    ----------
    tables : sequence of VmTable
        At equal arrivals earlier tables go first.

    Returns
    -------
    VmTable
        All VMs, batches renumbered.
    """
    columns = {
        field.name: np.concatenate([getattr(table, field.name) for table in tables]) for field in fields(VmTable)
    }
    start = 0
    batches = []
    for table in tables:
        batches.append(table.batch + start)
        start += int(table.batch.max()) + 1 if len(table) else 0
    return vm_table(**{**columns, "batch": np.concatenate(batches)})
