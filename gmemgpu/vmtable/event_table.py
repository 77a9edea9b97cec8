"""Reads tables of events, a VM's creation in one row and its deletion in another, as Huawei-East-1 is published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gmemgpu.columns.distinct import parse_cells
from gmemgpu.columns.typed_file import read_columns
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import NS_PER_S
from gmemgpu.vmtable.column_names import squashed
from gmemgpu.vmtable.own_table import NO_END_NS, OwnTable
from gmemgpu.vmtable.vm_cell import integer_cell, memory_cell

__all__ = ["COLUMNS", "read_event_table"]

COLUMNS = ("vmid", "cpu", "memory", "time", "type")
"""Of Huawei's VM placement dataset: seconds from its start, GiB, and 0 for a creation, 1 for a deletion."""

_GIB = 1 << 30
_MOST_S = 1 << 33
_BEFORE_NS = -1


def read_event_table(path: Path) -> OwnTable:
    """
    Read a table of creations and deletions.

    Parameters
    ----------
    path : Path
        Text, Parquet or Arrow, with `COLUMNS` in any order; others are not looked at.

    Returns
    -------
    OwnTable
        A row a VM, in the order of creation. A VM that is only deleted runs already at the start; one that is not
        deleted runs on. An id that is used again is another VM.

    Raises
    ------
    TraceError
        With every problem of the file, by row and column.
    """
    file = read_columns(path)
    names = {squashed(name): name for name in file.names}
    columns = {column: names[column] for column in COLUMNS}
    file.select([file.names.index(name) for name in columns.values()])
    vcpus, _ = parse_cells(file, columns["cpu"], integer_cell(1, 4096))
    memory, _ = parse_cells(file, columns["memory"], memory_cell(_GIB, columns["memory"]))
    time_s, _ = parse_cells(file, columns["time"], integer_cell(0, _MOST_S))
    deletes, _ = parse_cells(file, columns["type"], integer_cell(0, 1))
    ids = file.cells(columns["vmid"]).cast(pa.string()).combine_chunks()
    file.raise_problems()

    codes = np.array(ids.dictionary_encode().indices.fill_null(-1).to_pylist(), np.int64)
    # The events of each VM in turn; of two at one time the file's order counts.
    order = np.lexsort((time_s, codes))
    same_vm = codes[order][1:] == codes[order][:-1]
    repeats = same_vm & (deletes[order][1:] == deletes[order][:-1])
    wrong = np.zeros(len(order), bool)
    wrong[order[1:][repeats]] = True
    file.refuse(columns["type"], wrong, "repeats what the VM's event before it did; repair or remove the row")
    file.raise_problems()

    created = deletes[order] == 0
    followed = np.append(same_vm, False)[: len(order)]
    first = np.append(True, ~same_vm)[: len(order)]
    # A VM begins with its creation, or with its deletion if nothing of it comes before.
    begins = created | first
    end = np.where(created, np.where(followed, np.roll(order, -1), -1), order)[begins]
    row = order[begins]
    arrival_ns = np.where(created[begins], time_s[row] * NS_PER_S, _BEFORE_NS)
    departure_ns = np.where(end < 0, NO_END_NS, time_s[end] * NS_PER_S)
    # Deleted in the second of its creation: it never ran as far as the file can tell.
    runs = departure_ns > arrival_ns
    by_time = np.argsort(arrival_ns[runs], kind="stable")
    row, arrival_ns, departure_ns = row[runs][by_time], arrival_ns[runs][by_time], departure_ns[runs][by_time]
    notes = [
        "read as a table of events: vmid, cpu, memory (GiB), time (s since the start), type (0 creates, 1 deletes)"
    ]
    if n_brief := int((~runs).sum()):
        notes.append(f"{n_brief:,} VMs that are deleted in the second of their creation are left out")
    if n_before := int((arrival_ns == _BEFORE_NS).sum()):
        notes.append(f"{n_before:,} VMs are deleted and never created: they run at the start")
    none = pa.nulls(len(row), pa.string())
    nothing: Int64Array = np.zeros(len(row), np.int64)
    notes.append("no column says which are confidential: drawn for each VM by itself with probability snp.share")
    return OwnTable(
        where=str(path),
        arrival_ns=arrival_ns,
        departure_ns=departure_ns,
        absolute=False,
        memory_bytes=memory[row],
        vcpus=vcpus[row],
        snp=nothing - 1,
        node=nothing - 1,
        gmems=nothing,
        folio_pages=nothing,
        tenant=none,
        host=none,
        # An id that is used again would be told as a doubt, and here it is none.
        id=_unique(pc.take(ids, pa.array(row))),
        has_host=False,
        form=tuple(notes),
    )


def _unique(ids: pa.Array) -> pa.Array:
    seen: dict[str, int] = {}
    unique = []
    for one in ids.to_pylist():
        seen[one] = seen.get(one, 0) + 1
        unique.append(one if seen[one] == 1 else f"{one}#{seen[one]}")
    return pa.array(unique, pa.string())
