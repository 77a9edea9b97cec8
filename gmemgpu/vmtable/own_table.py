"""Reads a VM table of one's own: a CSV that says what is known and leaves out the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gmemgpu.columns.text_file import read_text_columns
from gmemgpu.errors import Problem
from gmemgpu.model.event import FOLIO_PAGES
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import GIB, NS_PER_S
from gmemgpu.vmtable.exact_math import FloatArray
from gmemgpu.vmtable.record import VmRecords, vm_records

__all__ = ["REQUIRED", "OPTIONAL", "read_own_table"]

REQUIRED = ("arrival_s", "vcpus", "mem_gib")
OPTIONAL = ("lifetime_s", "departure_s", "kind", "node", "gmems", "folio_pages", "batch_id")

_LATEST_S = 1e9
_KINDS = {"plain": 0, "snp": 1}


def _ns(seconds: FloatArray) -> Int64Array:
    result: Int64Array = np.rint(seconds * NS_PER_S).astype(np.int64)
    return result


def read_own_table(path: Path) -> VmRecords:
    """
    Read a VM table.

    Parameters
    ----------
    path : Path
        CSV, plain or gzipped. Columns ``arrival_s``, ``vcpus``, ``mem_gib`` and one of ``lifetime_s`` and
        ``departure_s``; ``kind`` (snp or plain), ``node``, ``gmems``, ``folio_pages`` and ``batch_id`` may lack.
        A negative arrival: the VM runs already. A departure past the horizon: it does not end.

    Returns
    -------
    VmRecords
        Sorted by arrival.

    Raises
    ------
    TraceError
        With every problem of the file, by row and column.
    """
    file = read_text_columns(path)
    given = [name for name in ("lifetime_s", "departure_s") if name in file.names]
    if len(given) != 1:
        found = "both are there" if given else "neither is there"
        file.problems.append(
            Problem(f"{path}: column lifetime_s", f"one of lifetime_s and departure_s says the end; {found}")
        )
    file.check_names(REQUIRED, OPTIONAL)
    if len(given) != 1:
        file.raise_problems()
    has = set(file.names)
    arrival = _ns(file.decimals("arrival_s", low=-_LATEST_S, high=_LATEST_S))
    if given == ["lifetime_s"]:
        lifetime = _ns(file.decimals("lifetime_s", high=_LATEST_S))
        file.refuse("lifetime_s", lifetime <= 0, "is not above 0")
    else:
        lifetime = _ns(file.decimals("departure_s", low=-_LATEST_S, high=_LATEST_S)) - arrival
        file.refuse("departure_s", lifetime <= 0, "is not after arrival_s", "arrival_s")
    running = arrival < 0
    left = np.where(running, arrival + lifetime, lifetime)
    file.refuse("arrival_s", running & (left <= 0), "is of a VM that ended before 0; remove the row", *given)

    vcpus = file.integers("vcpus", low=1, high=4096)
    memory = np.rint(file.decimals("mem_gib", low=1 / 1024, high=1 << 20) * GIB).astype(np.int64)
    n = len(file)
    folio_pages = file.integers("folio_pages") if "folio_pages" in has else np.zeros(n, dtype=np.int64)
    allowed = (0, *FOLIO_PAGES)
    file.refuse("folio_pages", ~np.isin(folio_pages, allowed), f"is none of {', '.join(map(str, allowed))}")
    snp = file.words("kind", _KINDS) if "kind" in has else np.full(n, -1)
    node = file.integers("node", low=-1, high=1023) if "node" in has else np.full(n, -1)
    gmems = file.integers("gmems", low=1, high=1024) if "gmems" in has else np.zeros(n, dtype=np.int64)
    batch = file.integers("batch_id", low=-(1 << 62), high=1 << 62) if "batch_id" in has else np.arange(n)
    file.raise_problems()
    return vm_records(
        arrival_ns=np.maximum(arrival, 0),
        least_ns=left,
        most_ns=left,
        memory_bytes=memory,
        vcpus=vcpus,
        batch=batch,
        snp=snp,
        running=running,
        node=node,
        gmems=gmems,
        folio_pages=folio_pages,
    )
