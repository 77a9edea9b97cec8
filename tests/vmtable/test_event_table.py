from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmemgpu.cli.main import main
from gmemgpu.errors import TraceError
from gmemgpu.units import GIB, NS_PER_S
from gmemgpu.vmtable.event_table import read_event_table
from gmemgpu.vmtable.own_table import NO_END_NS, own_records, read_own_columns

HEADER = "vmid,cpu,memory,time,type\n"
ROWS = (
    "a,2,4,10,0\n"
    "b,4,8,20,0\n"
    "c,1,2,25,1\n"  # never created: it runs at the start
    "a,2,4,30,1\n"
    "a,1,1,40,0\n"  # the id again, another VM; it runs on
    "d,8,16,50,0\nd,8,16,50,1\n"  # gone in the same second
    "b,4,8,60,1\n"
)


def written(path: Path, rows: str) -> Path:
    path.write_text(HEADER + rows)
    return path


def test_a_creation_and_its_deletion_are_a_vm(tmp_path: Path) -> None:
    table = read_event_table(written(tmp_path / "e.csv", ROWS))
    assert table.id.to_pylist() == ["c", "a", "b", "a#2"]
    assert table.arrival_ns.tolist() == [-1, 10 * NS_PER_S, 20 * NS_PER_S, 40 * NS_PER_S]
    assert table.departure_ns.tolist() == [25 * NS_PER_S, 30 * NS_PER_S, 60 * NS_PER_S, NO_END_NS]
    assert table.vcpus.tolist() == [1, 2, 4, 1]
    assert table.memory_bytes.tolist() == [2 * GIB, 4 * GIB, 8 * GIB, GIB]
    assert [line.split(" ")[0] for line in table.form] == ["read", "1", "1", "no"]
    records = own_records(table)
    assert records.running.tolist() == [True, False, False, False]
    assert records.endless.tolist() == [False, False, False, True]
    assert not any("warning" in note for note in records.notes)


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    one = read_event_table(written(tmp_path / "a.csv", ROWS))
    # But of those at one time.
    lines = [line for line in ROWS.splitlines() if not line.startswith("d")]
    two = read_event_table(written(tmp_path / "b.csv", "\n".join(lines[::-1]) + "\n"))
    assert one.arrival_ns.tolist() == two.arrival_ns.tolist()
    assert one.departure_ns.tolist() == two.departure_ns.tolist()


def test_an_event_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError) as caught:
        read_event_table(written(tmp_path / "e.csv", "a,2,4,10,0\na,2,4,11,0\nb,1,1,5,1\nb,1,1,6,1\n"))
    assert [str(problem).partition(": ")[2] for problem in caught.value.problems] == [
        "row 2, column type: repeats what the VM's event before it did; repair or remove the row",
        "row 4, column type: repeats what the VM's event before it did; repair or remove the row",
    ]
    with pytest.raises(TraceError, match="row 1, column type"):
        read_event_table(written(tmp_path / "e.csv", "a,2,4,10,create\n"))


def test_no_events_are_no_vms(tmp_path: Path) -> None:
    assert len(read_event_table(written(tmp_path / "e.csv", ""))) == 0


def test_every_command_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(written(tmp_path / "e.csv", ROWS))
    assert main(["import", "vms", path, "-o", str(tmp_path / "v.parquet")]) == 0
    assert (
        read_own_columns(tmp_path / "v.parquet").arrival_ns.tolist() == read_event_table(Path(path)).arrival_ns.tolist()
    )
    options = ["--set", 'horizon_ns="2 min"', "--set", "warmup_ns=0", "-o", str(tmp_path / "t.parquet")]
    assert main(["generate", "--vm-table", path, *options]) == 0
    assert "4 VMs admitted" in capsys.readouterr().err


def test_tasks_of_opendc_need_the_unit_of_their_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tasks.parquet"
    columns = {
        "id": ["1", "2"],
        "submission_time": pa.array([1_672_531_200_000, 1_672_531_260_000], pa.timestamp("ms")),
        "duration": pa.array([600_000, 30_000], pa.int64()),
        "cpu_count": pa.array([2, 1], pa.int32()),
        "cpu_capacity": pa.array([2100.0, 2100.0]),
        "mem_capacity": pa.array([4096, 2048], pa.int64()),
    }
    pq.write_table(pa.table(columns), path)
    assert main(["import", "vms", str(path), "-o", str(tmp_path / "v.parquet")]) == 2
    err = capsys.readouterr().err
    assert "is a table of OpenDC's, whose mem_capacity is in MiB or KiB" in err
    assert "--map memory_mib=mem_capacity or --map memory_kib=mem_capacity" in err
    assert len(err.splitlines()) == 1
    table = read_own_columns(path, {"memory_mib": "mem_capacity"})
    assert (table.departure_ns - table.arrival_ns).tolist() == [600 * NS_PER_S, 30 * NS_PER_S]
    assert table.memory_bytes.tolist() == [4 * GIB, 2 * GIB]
    assert read_own_columns(path, {"memory_kib": "mem_capacity"}).memory_bytes.tolist() == [4 << 20, 2 << 20]
    # As integers, milliseconds since 1970.
    columns["submission_time"] = columns["submission_time"].cast(pa.int64())
    pq.write_table(pa.table(columns), path)
    as_integers = read_own_columns(path, {"memory_mib": "mem_capacity"})
    assert as_integers.arrival_ns.tolist() == table.arrival_ns.tolist()
