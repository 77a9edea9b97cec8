"""From a file's records to a VM table: chance settles what the file leaves open."""

from __future__ import annotations

import dataclasses

import numpy as np

from gmemgpu.vmtable.assemble import end_after, vm_table
from gmemgpu.vmtable.batch import snp_by_batch
from gmemgpu.vmtable.random_stream import NEVER_NS, Purpose, Stream
from gmemgpu.vmtable.record import VmRecords
from gmemgpu.vmtable.table import VmTable

__all__ = ["replay", "with_kinds"]


def with_kinds(records: VmRecords, seed: int, snp_share: float) -> VmRecords:
    """
    Return records of which all say whether they are confidential.

    Parameters
    ----------
    records : VmRecords
        What the file holds.
    seed : int
        Chooses confidential batches, as `replay` does.
    snp_share : float
        Share of confidential batches, where the file does not say.

    Returns
    -------
    VmRecords
        The same but for `snp`.
    """
    drawn = snp_by_batch(seed, records.batch, snp_share)
    return dataclasses.replace(records, snp=np.where(records.snp < 0, drawn, records.snp).astype(np.int8))


def replay(records: VmRecords, seed: int, *, snp_share: float, gmems: int) -> VmTable:
    """
    Build the VM table that a file describes.

    Parameters
    ----------
    records : VmRecords
        What the file holds.
    seed : int
        Places each lifetime uniformly in its bin, to the microsecond, and chooses confidential batches.
    snp_share : float
        Share of confidential batches, where the file does not say.
    gmems : int
        Number of guest_memfds of a confidential guest, where the file does not say.

    Returns
    -------
    VmTable
        VMs that the file leaves running do not end.
    """
    u = Stream(seed, Purpose.BIN_LIFETIME).uniform(len(records))
    width_us = (records.most_ns - records.least_ns) // 1000
    lifetime = records.least_ns + np.floor(u * width_us).astype(np.int64) * 1000
    departure = np.where(records.endless, NEVER_NS, end_after(records.arrival_ns, lifetime))
    return vm_table(
        arrival_ns=records.arrival_ns,
        departure_ns=departure,
        memory_bytes=records.memory_bytes,
        vcpus=records.vcpus,
        snp=with_kinds(records, seed, snp_share).snp == 1,
        batch=records.batch,
        stock=records.running,
        node=records.node,
        gmems=np.where(records.gmems > 0, records.gmems, gmems),
        folio_pages=records.folio_pages,
    )
