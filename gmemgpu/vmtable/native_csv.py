"""Reads arrivals whose lifetimes are known to a bin: the CSV that ships as ``azure_v1_vm_arrivals_*``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gmemgpu.columns.text_file import read_text_columns
from gmemgpu.units import GIB, NS_PER_S
from gmemgpu.vmtable.record import VmRecords, vm_records

__all__ = ["COLUMNS", "read_native_csv"]

COLUMNS = ("arrival_s", "batch_id", "vcpus", "mem_gb", "life_lo_s", "life_hi_s", "censored")

_LATEST_S = 10**9
"""Times past 31 years are mistakes, and would not fit 63 bits of nanoseconds after 292."""


def read_native_csv(path: Path) -> VmRecords:
    """
    Read arrivals with binned lifetimes; the earliest arrival becomes time 0.

    Parameters
    ----------
    path : Path
        Plain or gzipped.

    Returns
    -------
    VmRecords
        Censored VMs are endless.

    Raises
    ------
    TraceError
        With every problem of the file, by row and column.
    """
    file = read_text_columns(path)
    file.check_names(COLUMNS)
    arrival_s = file.integers("arrival_s", high=_LATEST_S)
    batch = file.integers("batch_id")
    vcpus = file.integers("vcpus", low=1, high=4096)
    mem_gb = file.decimals("mem_gb", low=1 / 1024, high=1 << 20)
    least_s = file.integers("life_lo_s", high=_LATEST_S)
    most_s = file.integers("life_hi_s", high=_LATEST_S)
    censored = file.integers("censored", high=1) == 1
    empty = ~censored & (most_s <= least_s)
    file.refuse("life_hi_s", empty, "is not above life_lo_s; the bin is empty", "life_lo_s", "censored")
    file.raise_problems()
    start_s = int(arrival_s.min()) if len(arrival_s) else 0
    return vm_records(
        arrival_ns=(arrival_s - start_s) * NS_PER_S,
        least_ns=least_s * NS_PER_S,
        most_ns=np.where(censored, least_s, most_s) * NS_PER_S,
        endless=censored,
        memory_bytes=np.rint(mem_gb * GIB).astype(np.int64),
        vcpus=vcpus,
        batch=batch,
    )
