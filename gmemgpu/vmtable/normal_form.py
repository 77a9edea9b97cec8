"""The one form that VM tables are brought into: Parquet with plain names and exact times and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from gmemgpu.atomic import is_wrong_path, written_output
from gmemgpu.errors import Problem, StoreError, TraceError
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Int64Array
from gmemgpu.vmtable.azure_packing import read_azure_packing
from gmemgpu.vmtable.azure_vmtable import read_azure_vmtable
from gmemgpu.vmtable.event_table import read_event_table
from gmemgpu.vmtable.own_table import NO_END_NS, OwnTable, read_own_columns
from gmemgpu.vmtable.record import VmRecords
from gmemgpu.vmtable.table_kind import table_kind

__all__ = ["joined", "own_table_of", "tenants_told_apart", "read_any_table", "write_normal_form"]

_COLUMNS = ("arrival_ns", "departure_ns", "memory_bytes", "vcpus", "snp", "node", "gmems", "folio_pages")
_WORDS = ("tenant", "host", "id")


def read_any_table(
    path: Path,
    mapping: Mapping[str, str],
    host: Host | None = None,
    *,
    machine: int | None = None,
    priority: Literal["all", "high", "low"] = "all",
) -> OwnTable:
    """
    Read a VM table of one's own, of events, or Azure's, as what the normal form holds.

    Parameters
    ----------
    path : Path
        Any VM table whose lifetimes are known.
    mapping : mapping of str to str
        As of `read_own_columns`.
    host : Host, optional
        Sizes that are shares of a machine are taken of it.
    machine, priority : int, optional, and str
        As of `read_azure_packing`.

    Returns
    -------
    OwnTable
        Every row.

    Raises
    ------
    TraceError
        With every problem of the file, or if the normal form cannot hold what it says.
    """
    kind = table_kind(path, mapped=bool(mapping))
    if kind == "own":
        return read_own_columns(path, mapping)
    if kind == "events":
        return read_event_table(path)
    if kind == "azure_vmtable":
        return own_table_of(read_azure_vmtable(path), str(path))
    if kind == "native":
        what = "lifetimes as bins, drawn anew with each seed"
        raise TraceError(Problem(str(path), f"holds {what}: vm_table.path and --vm-table read it as it is"))
    if host is None:
        what = "sizes as shares of a machine, Azure's packing trace"
        remedy = 'say what it has: --host cloud, or --host cores=64 --host memory_bytes="512 GiB"'
        raise TraceError(Problem(str(path), f"holds {what}; {remedy}"))
    return own_table_of(read_azure_packing(path, host, machine=machine, priority=priority), str(path))


def joined(tables: Sequence[OwnTable]) -> OwnTable:
    """
    Return several tables as one.

    Parameters
    ----------
    tables : sequence of OwnTable
        One at least; all count time from the epoch, or none does.

    Returns
    -------
    OwnTable
        Their rows one after another.

    Raises
    ------
    TraceError
        If some count from the epoch and others from a start of their own.
    """
    kinds = {table.absolute for table in tables if len(table)}
    if len(kinds) > 1:
        apart = next(table for table in tables if table.absolute != tables[0].absolute)
        message = f"counts time otherwise than {tables[0].where}: one has points in time, the other none"
        raise TraceError(Problem(apart.where, message))
    first = tables[0]
    columns: dict[str, Any] = {name: np.concatenate([getattr(table, name) for table in tables]) for name in _COLUMNS}
    words: dict[str, Any] = {
        name: pa.chunked_array([getattr(table, name) for table in tables], pa.string()).combine_chunks()
        for name in _WORDS
    }
    return replace(
        first,
        where=", ".join(table.where for table in tables),
        absolute=any(kinds),
        has_host=any(table.has_host for table in tables),
        **columns,
        **words,
    )


def tenants_told_apart(tables: Sequence[OwnTable]) -> list[OwnTable]:
    """
    Return tables whose tenants are not taken for one another where each file counts them anew.

    Parameters
    ----------
    tables : sequence of OwnTable
        Those that are going to be joined.

    Returns
    -------
    list of OwnTable
        Of several, the numbers of a file have its place in the list before them; names are what they were.
    """
    return [
        _with_tenants_of(table, place) if table.tenants_numbered and len(tables) > 1 else table
        for place, table in enumerate(tables, 1)
    ]


def _with_tenants_of(table: OwnTable, place: int) -> OwnTable:
    note = f"tenants are numbers of this file alone, and not those of the others: {place}:0, {place}:1, …"
    tenant = pc.binary_join_element_wise(str(place), table.tenant, ":")
    return replace(table, tenant=tenant, form=(*table.form, note), tenants_numbered=False)


def own_table_of(records: VmRecords, where: str) -> OwnTable:
    """
    Return records of a published table as a table of one's own.

    Parameters
    ----------
    records : VmRecords
        Of known lifetimes.
    where : str
        The file.

    Returns
    -------
    OwnTable
        VMs that run already came a nanosecond before the start.
    """
    none = pa.nulls(len(records), pa.string())
    form = [note.removeprefix(f"{where}: ") for note in records.notes]
    form.extend(f"skipped {reason}" for reason in records.skipped)
    form.append("no column says which are confidential: drawn by tenant with probability snp.share")
    departure = np.where(records.endless, NO_END_NS, records.arrival_ns + records.least_ns)
    return OwnTable(
        where=where,
        arrival_ns=np.where(records.running, -1, records.arrival_ns),
        departure_ns=departure,
        absolute=False,
        memory_bytes=records.memory_bytes,
        vcpus=records.vcpus.astype(np.int64),
        snp=records.snp.astype(np.int64),
        node=records.node.astype(np.int64),
        gmems=records.gmems.astype(np.int64),
        folio_pages=records.folio_pages.astype(np.int64),
        tenant=pa.array(records.batch).cast(pa.string()),
        host=none,
        id=none,
        has_host=False,
        form=tuple(form),
        tenants_numbered=True,
    )


def write_normal_form(table: OwnTable, path: Path) -> None:
    """
    Write a VM table in the normal form, which every reader of VM tables takes as it is.

    Parameters
    ----------
    table : OwnTable
        What to write; columns of which nothing is known are left out.
    path : Path
        Parquet; put in its place when it is whole.

    Raises
    ------
    TraceError
        If the path cannot be written; nothing is left behind.
    StoreError
        If the disk is full or fails; nothing is left behind either.
    """
    # Points in time keep their type: as mere integers those before 2001 would be taken for times since the start.
    suffix, clock = ("", pa.timestamp("ns", "UTC")) if table.absolute else ("_ns", pa.int64())
    endless = table.departure_ns == NO_END_NS
    kind = pa.DictionaryArray.from_arrays(_nullable(table.snp, table.snp < 0, pa.int8()), pa.array(["plain", "snp"]))
    columns: dict[str, pa.Array] = {
        "id": table.id,
        f"arrival{suffix}": pa.array(table.arrival_ns).cast(clock),
        f"departure{suffix}": _nullable(table.departure_ns, endless, clock),
        "vcpus": pa.array(table.vcpus).cast(pa.int32()),
        "memory_bytes": pa.array(table.memory_bytes),
        "kind": kind,
        "tenant": table.tenant,
        "host": table.host,
        "node": _nullable(table.node, table.node < 0, pa.int32()),
        "gmems": _nullable(table.gmems, table.gmems == 0, pa.int32()),
        "folio_pages": _nullable(table.folio_pages, table.folio_pages == 0, pa.int32()),
    }
    needed = (f"arrival{suffix}", f"departure{suffix}", "vcpus", "memory_bytes")
    kept = {name: cells for name, cells in columns.items() if name in needed or cells.null_count < len(cells)}
    order = np.argsort(table.arrival_ns, kind="stable")
    try:
        with written_output(path) as file:
            pa.parquet.write_table(pa.table(kept).take(order), file, compression="zstd")
    except OSError as error:
        reason = f"cannot be written: {error.strerror or error}"
        if is_wrong_path(error):
            remedy = "choose a folder that exists and that you may write to"
            raise TraceError(Problem(str(path), f"{reason}; {remedy}")) from None
        raise StoreError(f"{path}: {reason}; make room there or choose another folder") from None


def _nullable(values: Int64Array, null: Iterable[bool], kind: pa.DataType) -> pa.Array:
    return pa.array(values, mask=np.asarray(null, bool)).cast(kind)
