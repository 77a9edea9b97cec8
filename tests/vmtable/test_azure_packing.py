from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from packing_trace import packing_database

from gmemgpu.errors import TraceError
from gmemgpu.model.host import Host
from gmemgpu.vmtable.azure_packing import read_azure_packing

GIB = 1 << 30
DAY_NS = 86_400 * 10**9
HOST = Host(memory_bytes=100 * GIB, nodes=1, cores=64, threads_per_core=2)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return packing_database(tmp_path / "packing_trace_zone_a_v1.sqlite")


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
