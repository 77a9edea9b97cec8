"""What a file says about VMs, before chance decides what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike

from gmemgpu.model.trace import BoolArray, Int8Array, Int32Array, Int64Array

__all__ = ["VmRecords", "vm_records"]


_OF_THE_FILE = ("hosts", "own", "skipped", "notes")
"""Fields that are no columns."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VmRecords:
    """
    VMs of a file, sorted by arrival; equal arrivals keep the file's order.

    Parameters
    ----------
    arrival_ns : (n,) int64
        From the start of the table; 0 for those that run already.
    least_ns, most_ns : (n,) int64
        The lifetime lies in least ≤ life < most; equal if it is known. Of running VMs, what is left of it.
    endless : (n,) bool
        Still running when the file ends: replayed to the horizon.
    memory_bytes : (n,) int64
        Guest memory.
    vcpus : (n,) int32
        Virtual CPUs.
    snp : (n,) int8
        1 confidential, 0 not, -1 not said.
    running : (n,) bool
        Whether the VM was running when the table starts.
    node, gmems, folio_pages : (n,) int32
        As in `VmTable`; -1, 0 and 0 if not said.
    batch : (n,) int64
        Tenant batch; only which are equal matters.
    host : (n,) int32
        Place in `hosts` of the host that had the VM; -1 if not said.
    hosts : tuple of str
        Names of the hosts that a file tells apart; empty if it tells none.
    own : bool
        Whether it is a table of one's own: nothing is added to it unless that is asked for.
    skipped : tuple of str
        Rows left out and why, for people.
    notes : tuple of str
        How the file was read, for people.
    """

    arrival_ns: Int64Array
    least_ns: Int64Array
    most_ns: Int64Array
    endless: BoolArray
    memory_bytes: Int64Array
    vcpus: Int32Array
    snp: Int8Array
    running: BoolArray
    node: Int32Array
    gmems: Int32Array
    folio_pages: Int32Array
    batch: Int64Array
    host: Int32Array
    hosts: tuple[str, ...] = ()
    own: bool = False
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.arrival_ns)

    def select(self, rows: BoolArray | Int64Array) -> VmRecords:
        """
        Return some rows, by mask or by ascending index.

        Parameters
        ----------
        rows : (n,) array of bool, or (k,) array of int64
            True for those to keep, or their indices.

        Returns
        -------
        VmRecords
            In the same order.
        """
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in _OF_THE_FILE}
        return replace(self, **columns)


def vm_records(
    *,
    arrival_ns: ArrayLike,
    least_ns: ArrayLike,
    most_ns: ArrayLike,
    memory_bytes: ArrayLike,
    vcpus: ArrayLike,
    batch: ArrayLike,
    endless: ArrayLike = False,
    snp: ArrayLike = -1,
    running: ArrayLike = False,
    node: ArrayLike = -1,
    gmems: ArrayLike = 0,
    folio_pages: ArrayLike = 0,
    host: ArrayLike = -1,
    hosts: tuple[str, ...] = (),
    own: bool = False,
    skipped: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> VmRecords:
    """
    Build records from columns in the file's order; single values hold for every VM.

    Parameters
    ----------
    arrival_ns, least_ns, most_ns, memory_bytes, vcpus, batch : array_like
        As in `VmRecords`.
    endless, snp, running, node, gmems, folio_pages, host : array_like
        As in `VmRecords`.
    hosts, own, skipped, notes : tuple of str, or bool
        As in `VmRecords`.

    Returns
    -------
    VmRecords
        Sorted by arrival.
    """
    arrival = np.asarray(arrival_ns, dtype=np.int64)
    order = np.argsort(arrival, kind="stable")

    def column(values: ArrayLike, dtype: type) -> np.ndarray:
        return np.broadcast_to(np.asarray(values, dtype=dtype), arrival.shape)[order]

    return VmRecords(
        arrival_ns=column(arrival, np.int64),
        least_ns=column(least_ns, np.int64),
        most_ns=column(most_ns, np.int64),
        endless=column(endless, np.bool_),
        memory_bytes=column(memory_bytes, np.int64),
        vcpus=column(vcpus, np.int32),
        snp=column(snp, np.int8),
        running=column(running, np.bool_),
        node=column(node, np.int32),
        gmems=column(gmems, np.int32),
        folio_pages=column(folio_pages, np.int32),
        batch=column(batch, np.int64),
        host=column(host, np.int32),
        hosts=hosts,
        own=own,
        skipped=skipped,
        notes=notes,
    )
