from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from gmemgpu.errors import TraceError
from gmemgpu.model.host import Host
from gmemgpu.vmtable.azure_packing import read_azure_packing

GIB = 1 << 30
DAY_NS = 86_400 * 10**9
HOST = Host(memory_bytes=100 * GIB, nodes=1, cores=64, threads_per_core=2)

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


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "packing_trace_zone_a_v1.sqlite"
    connection = sqlite3.connect(path)
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


def test_requests_on_the_machine_that_hosts_most_types(database: Path) -> None:
    records = read_azure_packing(database, HOST)
    assert len(records) == 8 + 40
    assert records.skipped == ("1 VMs of a type that the machine cannot host", "1 VMs that ended before 0")
    first = records.select(np.arange(8))
    assert first.arrival_ns.tolist() == [int(day * DAY_NS) for day in (0, 0, 1.5, 1.5, 1.5, 2, 3, 4.5)]
    assert first.running.tolist() == [True, True, *[False] * 6]
    assert first.endless.tolist() == [True, *[False] * 7]
    assert first.least_ns[1:].tolist() == [int(d * DAY_NS) for d in (0.25, 0.25, 0.5, 11.5, 18)] + [1000, DAY_NS]
    # Fractions of machine 2 on a host of 64 cores and 100 GiB, memory up to whole 2 MiB, one vCPU at least.
    assert first.vcpus.tolist() == [16, 2, 16, 2, 8, 1, 64, 8]
    blocks = [12_800, 400, 12_800, 400, 6298, 6, 38_400, 6298]
    assert first.memory_bytes.tolist() == [n << 21 for n in blocks]


def test_a_tenants_simultaneous_vms_are_a_batch(database: Path) -> None:
    batch = read_azure_packing(database, HOST).batch.tolist()
    assert len({*batch[2:5]}) == 1
    assert len(set(batch)) == 46


def test_another_machine_and_one_priority(database: Path) -> None:
    records = read_azure_packing(database, HOST, machine=1)
    assert "10 VMs of a type that the machine cannot host" in records.skipped
    high = read_azure_packing(database, HOST, priority="high")
    low = read_azure_packing(database, HOST, priority="low")
    assert (len(high), len(low)) == (25, 23)
    assert "23 VMs of the other priority than high" in high.skipped


def test_problems(database: Path, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="machine 9 is not there; there are: 1, 2, 3"):
        read_azure_packing(database, HOST, machine=9)
    with pytest.raises(TraceError, match="is no SQLite file"):
        read_azure_packing(tmp_path / "absent.sqlite", HOST)
    assert not (tmp_path / "absent.sqlite").exists()
    connection = sqlite3.connect(database)
    connection.execute("INSERT INTO vm VALUES (11, 'x', 1, 0, 1.0, 2.0)")
    connection.execute("INSERT INTO vm VALUES (12, 1, 1, 0, 2.0, 1.0)")
    connection.execute("INSERT INTO vmType VALUES (99, 6, 1, 1.5, 0.5, 0, 0, 0)")
    connection.commit()
    connection.close()
    with pytest.raises(TraceError) as caught:
        read_azure_packing(database, HOST)
    assert [problem.where.removeprefix(f"{database}: ") for problem in caught.value.problems] == [
        "vmType: row 15",
        "vm: row 51",
        "vm: row 52",
    ]


def test_ids_that_come_several_times_are_told(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.executemany("INSERT INTO vm VALUES (?, 1, 1, 0, 1.0, 2.0)", [(4,), (4,), (110,), (None,), (None,)])
    connection.commit()
    connection.close()
    with pytest.warns(RuntimeWarning) as told:
        assert len(read_azure_packing(database, HOST)) == 48 + 5
    assert [str(warning.message) for warning in told] == [
        f"{database}: vm: vmId 4 (3 times), 110 (2 times): each row is taken for a VM"
    ]
