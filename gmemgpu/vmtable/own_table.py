"""Reads a VM table of one's own: a file that says what is known of VMs under names of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gmemgpu.columns.distinct import Cell, is_empty, parse_cells, plain_type
from gmemgpu.columns.message import shown, shown_name
from gmemgpu.columns.table import Columns
from gmemgpu.columns.typed_file import read_columns
from gmemgpu.errors import Problem
from gmemgpu.model.event import FOLIO_PAGES
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import INT64_MAX
from gmemgpu.vmtable.column_names import Found, find_columns
from gmemgpu.vmtable.iso_time import iso_text
from gmemgpu.vmtable.random_stream import NEVER_NS
from gmemgpu.vmtable.record import VmRecords, vm_records
from gmemgpu.vmtable.time_column import Times, read_times
from gmemgpu.vmtable.vm_cell import integer_cell, kind_cell, memory_cell

__all__ = ["NO_END_NS", "OwnTable", "own_records", "read_own_columns", "read_own_table", "repeated_ids"]

NO_END_NS = INT64_MAX
"""Departure of a VM that runs on."""
_MOST_NAMED = 5
_MOST_NODES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTable:
    """
    What a file says, in its own order.

    Parameters
    ----------
    where : str
        The file.
    arrival_ns, departure_ns : (n,) int64
        Since 1970 if `absolute`, else since the start. No end is the largest integer.
    absolute : bool
        Whether they are points in time.
    memory_bytes, vcpus, snp, node, gmems, folio_pages : (n,) int64
        As in `VmRecords`.
    tenant, host, id : (n,) pyarrow.StringArray
        Null where nothing is said.
    has_host : bool
        Whether there is a column of hosts.
    form : tuple of str
        How the file was read, for people.
    tenants_numbered : bool
        Whether tenants are mere numbers, counted in this file: an equal one in another is someone else.
    """

    where: str
    arrival_ns: Int64Array
    departure_ns: Int64Array
    absolute: bool
    memory_bytes: Int64Array
    vcpus: Int64Array
    snp: Int64Array
    node: Int64Array
    gmems: Int64Array
    folio_pages: Int64Array
    tenant: pa.Array
    host: pa.Array
    id: pa.Array
    has_host: bool
    form: tuple[str, ...]
    tenants_numbered: bool = False

    def __len__(self) -> int:
        return len(self.arrival_ns)


def read_own_columns(path: Path, mapping: Mapping[str, str] | None = None, n_nodes: int = _MOST_NODES) -> OwnTable:
    """
    Read a VM table.

    Parameters
    ----------
    path : Path
        Text, Parquet or Arrow, compressed or not, with the columns of `column_names.COLUMNS`: arrival, vcpus, memory
        and one of departure and lifetime; the others may lack.
    mapping : mapping of str to str, optional
        One of these columns to the file's name for it.
    n_nodes : int
        NUMA nodes of the host: no VM prefers another.

    Returns
    -------
    OwnTable
        Every row.

    Raises
    ------
    TraceError
        With every problem of the file, by row and column.
    """
    file = read_columns(path)
    found = find_columns(file.names, mapping or {})
    if found.problems:
        file.problems.extend(Problem(str(path), problem) for problem in found.problems)
        file.raise_problems()
    names = {column: file.names[place] for column, place in found.places.items()}
    file.select(sorted(found.places.values()))
    form: dict[str, str] = {}

    arrival = read_times(file, names["arrival"], found.units.get("arrival"))
    file.refuse_cells(names["arrival"], arrival.empty, lambda _: "is empty", "it is empty")
    form["arrival"] = arrival.form
    departure_ns = _ends(file, names, found, arrival, form)

    unit = found.units.get("memory")
    memory, sizes = parse_cells(file, names["memory"], memory_cell(unit, names["memory"]))
    form["memory"] = _size_form(unit, sizes)
    vcpus, _ = parse_cells(file, names["vcpus"], integer_cell(1, 4096))
    n = len(file)

    def optional(column: str, low: int, high: int, default: int, allowed: tuple[int, ...] = ()) -> Int64Array:
        if column not in names:
            return np.full(n, default, np.int64)
        return parse_cells(file, names[column], integer_cell(low, high, allowed), empty=default)[0]

    node = optional("node", -1, n_nodes - 1, -1)
    gmems = optional("gmems", 1, 1024, 0)
    folio_pages = optional("folio_pages", 0, 1 << 20, 0, (0, *FOLIO_PAGES))
    snp = np.full(n, -1, np.int64)
    if "kind" in names:
        snp, _ = parse_cells(file, names["kind"], kind_cell, empty=-1)
    words = {column: _words(file, names.get(column)) for column in ("tenant", "host", "id")}
    file.raise_problems()
    return OwnTable(
        where=str(path),
        arrival_ns=arrival.ns,
        departure_ns=departure_ns,
        absolute=arrival.absolute,
        memory_bytes=memory,
        vcpus=vcpus,
        snp=snp,
        node=node,
        gmems=gmems,
        folio_pages=folio_pages,
        **words,
        has_host="host" in names,
        form=_form(names, form, found, snp),
    )


def _ends(file: Columns, names: Mapping[str, str], found: Found, arrival: Times, form: dict[str, str]) -> Int64Array:
    # When each VM goes, as its arrival counts; the largest integer for those that run on.
    start = names["arrival"]
    if "lifetime" in names:
        name = names["lifetime"]
        lifetime = read_times(file, name, found.units.get("lifetime"), duration=True)
        form["lifetime"] = lifetime.form
        file.refuse(name, (lifetime.ns <= 0) & ~lifetime.empty, "is not above 0")
        past = lifetime.empty | (arrival.ns > NO_END_NS - lifetime.ns)
        return np.where(past, NO_END_NS, arrival.ns + np.where(past, 0, lifetime.ns))
    name = names["departure"]
    departure = read_times(file, name, found.units.get("departure"))
    form["departure"] = "empty" if departure.empty.all() else departure.form
    if departure.absolute != arrival.absolute and not departure.empty.all():
        file.refuse_column(name, f"holds {departure.form}, but {shown_name(start)} {arrival.form}; write both alike")
    early = (departure.ns <= arrival.ns) & ~departure.empty
    file.refuse(name, early, f"is not after {shown_name(start)}; repair or remove the row", start)
    return np.where(departure.empty, NO_END_NS, departure.ns)


def _size_form(unit: int | None, sizes: list[Cell]) -> str:
    texts = [size for size in sizes if isinstance(size, str)]
    if any(text[-2:].lower() in ("kb", "mb", "gb", "tb") for text in texts):
        return "MB and GB as MiB and GiB"
    if unit is None:
        return "bytes" if len(texts) < len(sizes) else ""
    return {1: "bytes", 1 << 10: "KiB", 1 << 20: "MiB", 1 << 30: "GiB", 1 << 40: "TiB"}[unit]


def _words(file: Columns, name: str | None) -> pa.Array:
    # Names of something: text, or integers as text.
    if name is None:
        return pa.nulls(len(file), pa.string())
    cells = file.cells(name)
    if not plain_type(cells.type) or pa.types.is_boolean(cells.type):
        file.refuse_column(name, f"holds {shown(str(cells.type))[1:-1]}; write names or integers")
        return pa.nulls(len(file), pa.string())
    text = cells.cast(pa.string()).combine_chunks()
    return pc.if_else(pa.array(is_empty(cells)), None, text)


def _form(names: Mapping[str, str], form: Mapping[str, str], found: Found, snp: Int64Array) -> tuple[str, ...]:
    parts = []
    for column, name in names.items():
        arrow = shown_name(name) if name == column else f"{shown_name(name)}→{column}"
        parts.append(f"{arrow} ({form[column]})" if form.get(column) else arrow)
    said = [f"read as a table of one's own: {', '.join(parts)}"]
    if found.unused:
        more = len(found.unused) - 2 * _MOST_NAMED
        listed = ", ".join(map(shown_name, found.unused[: 2 * _MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
        said.append(f"not used: {listed}")
    n_open = int((snp < 0).sum())
    if n_open:
        which = "no column says" if "kind" not in names else f"of {n_open:,} VMs nothing says"
        by = "by tenant" if "tenant" in names else "for each VM by itself"
        said.append(f"{which} which are confidential: drawn {by} with probability snp.share")
    return tuple(said)


def own_records(table: OwnTable, start_ns: int | None = None) -> VmRecords:
    """
    Return a table's VMs as they come to its hosts from a time on.

    Parameters
    ----------
    table : OwnTable
        As read.
    start_ns : int, optional
        Since 1970: what is time 0; the earliest arrival if left out.

    Returns
    -------
    VmRecords
        Those that came before the start are running then; those that ended before are left out.
    """
    notes = list(table.form)
    start = 0
    if table.absolute and len(table):
        start = int(table.arrival_ns.min()) if start_ns is None else start_ns
        notes.append(f"time 0 is {iso_text(start)}{'' if start_ns is not None else ', the first arrival'}")
    arrival = table.arrival_ns - start
    endless = table.departure_ns == NO_END_NS
    departure = np.where(endless, np.maximum(arrival, 0) + 1, table.departure_ns - start)
    running = arrival < 0
    left = departure - np.maximum(arrival, 0)
    kept = left > 0
    left = np.minimum(left, NEVER_NS)
    skipped = (f"{int((~kept).sum()):,} VMs that ended before time 0",) if not kept.all() else ()
    hosts, host = _codes(table.host)
    if table.has_host:
        homeless = int((host < 0).sum())
        notes.append(f"{len(table):,} VMs on {len(hosts):,} hosts" + (f"; {homeless:,} name none" if homeless else ""))
    tenants, tenant = _codes(table.tenant)
    # A VM of nobody is a tenant of its own.
    alone = tenant < 0
    tenant[alone] = len(tenants) + np.arange(int(alone.sum()))
    notes.extend(repeated_ids(table.id))
    columns = {
        "arrival_ns": np.maximum(arrival, 0),
        "least_ns": left,
        "most_ns": left,
        "endless": endless,
        "memory_bytes": table.memory_bytes,
        "vcpus": table.vcpus,
        "batch": tenant,
        "snp": table.snp,
        "running": running,
        "node": table.node,
        "gmems": table.gmems,
        "folio_pages": table.folio_pages,
        "host": host,
    }
    return vm_records(
        **{name: values[kept] for name, values in columns.items()},
        hosts=hosts,
        own=True,
        skipped=skipped,
        notes=tuple(f"{table.where}: {note}" for note in notes),
    )


def read_own_table(
    path: Path,
    mapping: Mapping[str, str] | None = None,
    start_ns: int | None = None,
    n_nodes: int = _MOST_NODES,
) -> VmRecords:
    """
    Read a VM table, as its VMs come to its hosts.

    Parameters
    ----------
    path : Path
        As of `read_own_columns`.
    mapping : mapping of str to str, optional
        As of `read_own_columns`.
    start_ns : int, optional
        As of `own_records`.
    n_nodes : int
        As of `read_own_columns`.

    Returns
    -------
    VmRecords
        Sorted by arrival.

    Raises
    ------
    TraceError
        With every problem of the file, by row and column.
    """
    return own_records(read_own_columns(path, mapping, n_nodes), start_ns)


def _codes(words: pa.Array) -> tuple[tuple[str, ...], Int64Array]:
    # The different words as they first come, and each row's; -1 for null.
    encoded = words.dictionary_encode()
    codes = np.array(encoded.indices.fill_null(-1).to_pylist(), np.int64)
    return tuple(encoded.dictionary.to_pylist()), codes


def repeated_ids(ids: pa.Array) -> tuple[str, ...]:
    """
    Return a warning if VMs share an id.

    Parameters
    ----------
    ids : (n,) pyarrow.StringArray
        Null where there is none.

    Returns
    -------
    tuple of str
        Empty if all differ.
    """
    counts = pc.value_counts(ids.drop_null())
    again = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if not len(again):
        return ()
    first = again[0].as_py()
    rows = [i + 1 for i, word in enumerate(pc.equal(ids, first).to_pylist()) if word]
    places = ", ".join(map(str, rows[:_MOST_NAMED])) + (" …" if len(rows) > _MOST_NAMED else "")
    others = f" and {len(again) - 1:,} more" if len(again) > 1 else ""
    return (
        f"warning: the id {shown(first)} (rows {places}){others} comes more than once; each row is a VM of its own",
    )
