"""A data base as Azure's packing trace is published, small enough to count by hand."""

from __future__ import annotations

import sqlite3
from pathlib import Path

__all__ = ["packing_database"]

# vmTypeId, machineId, core, memory. Type 3 cannot run on machine 1; machine 2 hosts all five, so does machine 3.
TYPES = [
    (1, 1, 0.5, 0.5),
    (1, 2, 0.25, 0.25),
    (1, 3, 0.1, 0.1),
    (2, 1, 0.0625, 0.015625),
    (2, 2, 0.03125, 0.0078125),
    (2, 3, 0.01, 0.01),
    (3, 2, 1.0, 0.75),
    (3, 3, 0.9, 0.9),
    (4, 1, 0.25, 0.25),
    (4, 2, 0.125, 0.123),
    (4, 3, 0.1, 0.1),
    (5, 1, 0.001, 0.001),
    (5, 2, 0.001, 0.0001),
    (5, 3, 0.1, 0.1),
]
# vmId, tenantId, vmTypeId, priority, starttime, endtime.
SPECIAL = [
    (1, 1, 1, 0, -138.9, None),
    (2, 1, 2, 1, -2.5, 0.25),
    (3, 2, 2, 0, -3.0, -1.0),
    (4, 3, 1, 0, 1.5, 1.75),
    (5, 3, 2, 0, 1.5, 2.0),
    (6, 3, 4, 1, 1.5, 13.0),
    (7, 4, 5, 0, 2.0, 20.0),
    (8, 5, 3, 0, 3.0, 3.0),
    (9, 6, 99, 0, 4.0, 5.0),
    (10, 7, "4", "1", "4.5", "5.5"),
]
USUAL = [(100 + i, 8, 1 + i % 5, i % 2, 5.0 + 0.2 * i, 6.0 + 0.2 * i) for i in range(40)]


def packing_database(path: Path, page_bytes: int = 4096) -> Path:
    """Write the data base."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA page_size = {page_bytes}")
    connection.execute(
        "CREATE TABLE vm (vmId INTEGER, tenantId INTEGER, vmTypeId INTEGER, priority INTEGER, starttime REAL,"
        " endtime REAL)"
    )
    connection.execute(
        "CREATE TABLE vmType (id INTEGER, vmTypeId INTEGER, machineId INTEGER, core REAL, memory REAL, hdd REAL,"
        " ssd REAL, nic REAL)"
    )
    connection.executemany("INSERT INTO vm VALUES (?, ?, ?, ?, ?, ?)", SPECIAL + USUAL)
    connection.executemany(
        "INSERT INTO vmType VALUES (?, ?, ?, ?, ?, 0, 0, 0)", [(i, *values) for i, values in enumerate(TYPES)]
    )
    connection.commit()
    connection.close()
    return path
