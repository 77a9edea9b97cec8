"""Reads the SQLite file of Azure Trace for Packing 2020: requests whose sizes are fractions of a machine."""

from __future__ import annotations

import sqlite3
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gmemgpu.columns.message import MAX_ROWS_NAMED, list_rows, shown
from gmemgpu.errors import Problem, TraceError
from gmemgpu.model.host import Host
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import BLOCK_BYTES, format_bytes
from gmemgpu.vmtable.record import VmRecords, vm_records

__all__ = ["read_azure_packing"]

_US_PER_DAY = 86_400_000_000
_PRIORITY = {"high": 0, "low": 1}


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    try:
        # Read-only: a mistyped name must not leave an empty data base behind.
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # Names and text of a damaged file may be anything, and so may what SQLite says of them.
        text = f"is no SQLite file with tables vm and vmType as published: {shown(str(error), 80)}"
        raise TraceError(Problem(str(path), text)) from None


def _number(value: Any) -> float | None:
    # SQLite keeps what it was given: integers, reals and their text all occur.
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < 1e12 else None


def _type_sizes(
    path: Path, machine: int | None, problems: list[Problem]
) -> tuple[int | None, dict[int, tuple[float, float]]]:
    # The machine type, and vmTypeId to (core, memory) on it.
    by_machine: dict[int, dict[int, tuple[float, float]]] = {}
    for row, values in enumerate(_rows(path, "SELECT vmTypeId, machineId, core, memory FROM vmType ORDER BY rowid"), 1):
        numbers = [_number(value) for value in values]
        if None in numbers or not all(0 < number <= 1 for number in numbers[2:] if number is not None):
            problems.append(
                Problem(f"{path}: vmType: row {row}", f"{shown(values)} holds no ids and fractions of a machine")
            )
            continue
        vm_type, machine_id, core, memory = (number for number in numbers if number is not None)
        by_machine.setdefault(int(machine_id), {})[int(vm_type)] = (core, memory)
    if machine is None and by_machine:
        # The one that hosts most types; of equals the lowest.
        machine = min(by_machine, key=lambda m: (-len(by_machine[m]), m))
    if machine not in by_machine:
        known = ", ".join(map(str, sorted(by_machine))) or "none"
        problems.append(Problem(f"{path}: vmType", f"machine {machine} is not there; there are: {known}"))
        return None, {}
    return machine, by_machine[machine]


def _microseconds(days: list[float]) -> Int64Array:
    result: Int64Array = np.rint(np.array(days, dtype=np.float64) * _US_PER_DAY).astype(np.int64)
    return result


def _warn_of_repeated_ids(path: Path) -> None:
    again = _rows(path, "SELECT vmId, COUNT(*) FROM vm WHERE vmId IS NOT NULL GROUP BY vmId HAVING COUNT(*) > 1")
    if again:
        named = ", ".join(f"{shown(vm)} ({n} times)" for vm, n in again[:MAX_ROWS_NAMED])
        more = f" and {len(again) - MAX_ROWS_NAMED} more" if len(again) > MAX_ROWS_NAMED else ""
        text = f"{path}: vm: vmId {named}{more}: each row is taken for a VM"
        warnings.warn(text, RuntimeWarning, stacklevel=3)


def read_azure_packing(
    path: Path, host: Host, *, machine: int | None = None, priority: Literal["all", "high", "low"] = "all"
) -> VmRecords:
    """
    Read requests that fit one machine type, as sizes on a given host.

    Parameters
    ----------
    path : Path
        The trace's SQLite database.
    host : Host
        Fractions are taken of its cores and memory; memory is rounded up to whole 2 MiB.
    machine : int, optional
        Machine type; the one that can host most VM types if left out.
    priority : {"all", "high", "low"}
        Low-priority VMs are evictable: how long they live depends on the allocator that ran them.

    Returns
    -------
    VmRecords
        A batch is what one tenant starts at one time. Negative starts were running; no end means endless. Types that
        the machine cannot host, and VMs that ended before 0, are skipped and counted.

    Raises
    ------
    TraceError
        With every problem of the file.

    Warns
    -----
    RuntimeWarning
        Of VM ids that come several times.
    """
    problems: list[Problem] = []
    machine, sizes = _type_sizes(path, machine, problems)
    skipped: Counter[str] = Counter()
    kept: list[tuple[float, float, int, tuple[float, float]]] = []
    batches: dict[tuple[int, float], int] = {}
    wrong: dict[int, tuple[Any, ...]] = {}
    query = "SELECT tenantId, vmTypeId, priority, starttime, endtime FROM vm ORDER BY rowid"
    for row, values in enumerate(_rows(path, query), 1):
        tenant, vm_type, level, start = (_number(value) for value in values[:4])
        end = float("inf") if values[4] is None else _number(values[4])
        if tenant is None or vm_type is None or level is None or start is None or end is None or end < start:
            wrong[row] = values
        elif priority != "all" and int(level) != _PRIORITY[priority]:
            skipped[f"of the other priority than {priority}"] += 1
        elif int(vm_type) not in sizes:
            skipped["of a type that the machine cannot host"] += 1
        elif end <= 0 and start < 0:
            skipped["that ended before 0"] += 1
        else:
            batch = batches.setdefault((int(tenant), start), len(batches))
            kept.append((start, end, batch, sizes[int(vm_type)]))
    rows, faulty = np.array(list(wrong), np.int64), list(wrong.values())
    rule = "are no ids, priority and days with an end after the start"
    list_rows(f"{path}: vm", None, rows, lambda i: f"{shown(faulty[i])} {rule}", f"they {rule}", problems)
    if problems:
        raise TraceError(problems)
    _warn_of_repeated_ids(path)
    start_us = _microseconds([max(start, 0.0) for start, _, _, _ in kept])
    endless = np.array([end == float("inf") for _, end, _, _ in kept], dtype=bool)
    end_us = _microseconds([start if end == float("inf") else end for start, end, _, _ in kept])
    life_ns = np.maximum(end_us - start_us, 1) * 1000
    core = np.array([size[0] for *_, size in kept], dtype=np.float64)
    memory = np.array([size[1] for *_, size in kept], dtype=np.float64)
    blocks = np.ceil(memory * host.memory_bytes / BLOCK_BYTES).astype(np.int64)
    of_host = f"{host.cores} cores and {format_bytes(host.memory_bytes)}"
    return vm_records(
        arrival_ns=start_us * 1000,
        least_ns=life_ns,
        most_ns=life_ns,
        endless=endless,
        memory_bytes=np.maximum(blocks, 1) * BLOCK_BYTES,
        vcpus=np.maximum(np.rint(core * host.cores), 1).astype(np.int64),
        running=np.array([start < 0 for start, _, _, _ in kept], dtype=bool),
        batch=np.array([batch for _, _, batch, _ in kept], dtype=np.int64),
        skipped=tuple(f"{n} VMs {why}" for why, n in sorted(skipped.items())),
        notes=(
            f"{path}: read as Azure's packing trace, sizes as shares of its machine {machine}, taken for {of_host}",
        ),
    )
