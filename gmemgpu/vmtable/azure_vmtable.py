"""Reads ``vmtable.csv`` of Azure Public Dataset V1 and V2 as Microsoft publishes it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from gmemgpu.columns.message import MAX_ROWS_NAMED, shown
from gmemgpu.columns.table import Columns
from gmemgpu.columns.text_file import read_first_lines, read_text_columns
from gmemgpu.model.trace import Int64Array
from gmemgpu.units import GIB, NS_PER_S
from gmemgpu.vmtable.exact_math import FloatArray
from gmemgpu.vmtable.record import VmRecords, vm_records

__all__ = ["COLUMNS", "read_azure_vmtable"]

COLUMNS = (
    "vmid",
    "subscriptionid",
    "deploymentid",
    "vmcreated",
    "vmdeleted",
    "maxcpu",
    "avgcpu",
    "p95maxcpu",
    "vmcategory",
    "vmcorecount",
    "vmmemory",
)
"""The published order; the files have no header line."""

_NEEDED = ("deploymentid", "vmcreated", "vmdeleted", "vmcorecount", "vmmemory")

_SLOT_S = 300
_LAST_TICK_V1_S = 2_591_700
_LAST_TICK_V2_S = 2_591_400
# The last bucket of V2 has no upper bound. Assumption: the next power of two.
_CORES_PAST_24 = 32
_GIB_PAST_64 = 128


def _bucketed(file: Columns, name: str, past: str, assumed: float) -> tuple[FloatArray, bool]:
    # A column of numbers in which the open bucket is written as text; whether it occurs.
    numbers = file.decimals(name, low=1 / 1024, high=1 << 20, words={past: assumed})
    return numbers, file.holds(name, past)


def _batches(file: Columns, created: Int64Array) -> Int64Array:
    # A batch is what one deployment creates in one slot.
    deployments: dict[tuple[str, int], int] = {}
    pairs = zip(file.text("deploymentid"), created.tolist(), strict=True)
    return np.array([deployments.setdefault(pair, len(deployments)) for pair in pairs], dtype=np.int64)


def _warn_of_repeated_ids(file: Columns) -> None:
    ids = file.text("vmid")
    if len(set(ids)) == len(ids):
        return
    _, row_numbers = file.sound_rows()
    rows: dict[str, list[int]] = {}
    for vm, row in zip(ids, range(1, len(ids) + 1) if row_numbers is None else row_numbers.tolist(), strict=True):
        rows.setdefault(vm, []).append(row)
    again = [(vm, at) for vm, at in rows.items() if len(at) > 1]
    for vm, at in again[:MAX_ROWS_NAMED]:
        named = ", ".join(map(str, at[:MAX_ROWS_NAMED])) + (" …" if len(at) > MAX_ROWS_NAMED else "")
        text = f"{shown(vm)} comes {len(at)} times (rows {named}); each row is taken for a VM"
        warnings.warn(f"{file.where}: column vmid: {text}", RuntimeWarning, stacklevel=3)
    if len(again) > MAX_ROWS_NAMED:
        text = f"… and {len(again) - MAX_ROWS_NAMED} more that come several times"
        warnings.warn(f"{file.where}: column vmid: {text}", RuntimeWarning, stacklevel=3)


def read_azure_vmtable(path: Path) -> VmRecords:
    """
    Read a published VM table, V1 or V2.

    Parameters
    ----------
    path : Path
        Plain or gzipped, 11 columns, times in seconds; as published without a header line, or with the names in one.

    Returns
    -------
    VmRecords
        VMs created at 0 were running already; those deleted at the last tick are endless. Others live whole slots, one
        at least: the lifetime is taken as published. A file in which an open size bucket occurs is V2.

    Raises
    ------
    TraceError
        With every problem of the file, by row and column.

    Warns
    -----
    RuntimeWarning
        Of VM ids that come several times.
    """
    first = [name.lower() for name in read_first_lines(path, []).rows[0]]
    if "vmcreated" in first:
        # Somebody added the names, in whatever order.
        file = read_text_columns(path)
        file.rename([name.lower() for name in file.names])
        file.check_names(_NEEDED, [name for name in COLUMNS if name not in _NEEDED])
        notes = ["read as Azure's VM table, by the names in its first line"]
    else:
        file = read_text_columns(path, COLUMNS)
        notes = ["read as Azure's VM table without a header line: 11 columns in the published order"]
    created = file.integers("vmcreated", high=10**9)
    deleted = file.integers("vmdeleted", high=10**9)
    file.refuse("vmdeleted", deleted < created, "is before vmcreated", "vmcreated")
    cores, open_cores = _bucketed(file, "vmcorecount", ">24", _CORES_PAST_24)
    memory_gb, open_memory = _bucketed(file, "vmmemory", ">64", _GIB_PAST_64)
    file.refuse("vmcorecount", (cores < 1) | (cores != np.rint(cores)), "is no whole number of cores")
    file.raise_problems()
    if "vmid" in file.names:
        _warn_of_repeated_ids(file)
    last_tick = _LAST_TICK_V2_S if open_cores or open_memory else _LAST_TICK_V1_S
    lifetime = np.maximum(deleted - created, _SLOT_S) * NS_PER_S
    return vm_records(
        arrival_ns=created * NS_PER_S,
        least_ns=lifetime,
        most_ns=lifetime,
        endless=deleted >= last_tick,
        memory_bytes=np.rint(memory_gb * GIB).astype(np.int64),
        vcpus=cores.astype(np.int32),
        running=created == 0,
        batch=_batches(file, created),
        notes=tuple(f"{path}: {note}" for note in notes),
    )
