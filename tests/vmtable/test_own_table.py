from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from gmemgpu.errors import TraceError
from gmemgpu.vmtable.own_table import read_own_columns, read_own_table
from gmemgpu.vmtable.replay import replay

S = 10**9
GIB = 1 << 30


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "vms.csv"
    path.write_text(text)
    return path


def test_all_columns(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "arrival_s,departure_s,vcpus,mem_gib,kind,node,gmems,folio_pages,batch_id\n"
        "5.25,65,4,16,snp,1,2,512,7\n"
        "-100,30,1,1.5,plain,-1,1,0,3\n"
        "6,65,4,16,snp,1,2,512,7\n",
    )
    vms = replay(read_own_table(path), 1, snp_share=0.5, gmems=4)
    assert vms.arrival_ns.tolist() == [0, 5_250_000_000, 6 * S]
    assert vms.departure_ns.tolist() == [30 * S, 65 * S, 65 * S]
    assert vms.stock.tolist() == [True, False, False]
    assert vms.memory_bytes.tolist() == [3 * GIB // 2, 16 * GIB, 16 * GIB]
    assert vms.snp.tolist() == [False, True, True]
    assert vms.node.tolist() == [-1, 1, 1]
    assert vms.gmems.tolist() == [1, 2, 2]
    assert vms.folio_pages.tolist() == [0, 512, 512]
    # Only which are equal matters.
    assert vms.batch.tolist() == [1, 0, 0]


def test_what_lacks_is_filled(tmp_path: Path) -> None:
    path = table(tmp_path, "mem_gib,vcpus,lifetime_s,arrival_s\n8,2,60,0\n8,2,0.5,10\n")
    records = read_own_table(path)
    vms = replay(records, 1, snp_share=1.0, gmems=3)
    assert vms.departure_ns.tolist() == [60 * S, 10_500_000_000]
    assert vms.snp.tolist() == [True, True]
    assert vms.node.tolist() == [-1, -1]
    assert vms.gmems.tolist() == [3, 3]
    assert len(set(vms.batch.tolist())) == 2


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "arrival_s,lifetime_s,vcpus,mem_gib,kind,node,gmems,folio_pages,batch_id\n"
        "0,0,0,0,SNPP,-2,0,2,x\n"
        "-10,50,1,1,snp,0,1,1,1\n",
    )
    with pytest.raises(TraceError) as caught:
        read_own_table(path)
    assert {problem.where.removeprefix(f"{path}: ") for problem in caught.value.problems} == {
        "row 1, column lifetime_s",
        "row 1, column vcpus",
        "row 1, column mem_gib",
        "row 1, column kind",
        "row 1, column node",
        "row 1, column gmems",
        "row 1, column folio_pages",
    }


@pytest.mark.parametrize(("columns", "found"), [("", "no departure or lifetime"), (",lifetime_s,departure_s", "both")])
def test_the_end_is_said_once(tmp_path: Path, columns: str, found: str) -> None:
    with pytest.raises(TraceError, match=found):
        read_own_table(table(tmp_path, f"arrival_s,vcpus,mem_gib{columns}\n"))


def test_departure_before_arrival(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is not after arrival_s"):
        read_own_table(table(tmp_path, "arrival_s,departure_s,vcpus,mem_gib\n10,10,1,1\n"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('arrival_s,vcpus,mem_gib,lifetime_s\n"0,5",4,8,600\n', ["row 1, column arrival_s"]),
        ('arrival_s,vcpus,mem_gib,lifetime_s\n0,4,8,"86,400"\n', ["row 1, column lifetime_s"]),
        (
            "arrival_s,vcpus,mem_gib,departure_s\n1700000000,4,8,x\n1700000000,4,8,600\n",
            ["row 1, column departure_s", "column departure_s"],
        ),
    ],
)
def test_cells_that_cannot_be_read_break_no_rule_besides(tmp_path: Path, text: str, named: list[str]) -> None:
    path = table(tmp_path, text)
    with pytest.raises(TraceError) as caught:
        read_own_table(path)
    assert [problem.where.removeprefix(f"{path}: ") for problem in caught.value.problems] == named


# The same two VMs in the forms in which people have them: as of a golden, every form is read to the same records.
ISO = [
    "id,created_at,deleted_at,vCPUs,ram,confidential,project,hypervisor,note",
    '1,2024-05-01T12:00:00Z,2024-05-01T12:10:00Z,4,8GiB,true,acme,h1,"first, of all"',
    "2,2024-05-01T12:01:00Z,,2,16384 MB,no,acme,h2,",
]
SAME = {
    "ISO 8601, other zones": [
        ISO[0],
        ISO[1].replace("12:00:00Z", "14:00:00+02:00").replace("12:10:00Z", "12:10:00 UTC"),
        ISO[2].replace("12:01:00Z", "07:01:00.000-0500"),
    ],
    "a blank between, no zone": [line.replace("T12", " 12").replace("0Z", "0") for line in ISO],
    "epoch s": [
        ISO[0],
        ISO[1].replace("2024-05-01T12:00:00Z", "1714564800").replace("2024-05-01T12:10:00Z", "1714565400"),
        ISO[2].replace("2024-05-01T12:01:00Z", "1714564860.0"),
    ],
    "epoch ms": [
        ISO[0],
        ISO[1].replace("2024-05-01T12:00:00Z", "1714564800000").replace("2024-05-01T12:10:00Z", "1714565400000"),
        ISO[2].replace("2024-05-01T12:01:00Z", "1714564860000"),
    ],
    "epoch us": [
        ISO[0],
        ISO[1].replace("2024-05-01T12:00:00Z", "1714564800000000").replace("2024-05-01T12:10:00Z", "1714565400000000"),
        ISO[2].replace("2024-05-01T12:01:00Z", "1714564860000000"),
    ],
    "epoch ns": [
        ISO[0],
        ISO[1]
        .replace("2024-05-01T12:00:00Z", "1714564800000000000")
        .replace("2024-05-01T12:10:00Z", "1714565400" + "0" * 9),
        ISO[2].replace("2024-05-01T12:01:00Z", "1714564860" + "0" * 9),
    ],
    "seconds since the start": [
        ISO[0],
        ISO[1].replace("2024-05-01T12:00:00Z", "0").replace("2024-05-01T12:10:00Z", "600"),
        ISO[2].replace("2024-05-01T12:01:00Z", "60").replace(",,2", ",NULL,2"),
    ],
    "a unit in the name": [
        ISO[0].replace("created_at", "Start Time (min)").replace("deleted_at", "End [h]").replace("ram", "mem-KiB"),
        "1,0,0.1666666666666666667,4,8388608,SEV-SNP,acme,h1,",
        "2,1,null,2,16777216,sev_es,acme,h2,",
    ],
    "lifetimes": [
        ISO[0].replace("deleted_at", "lifetime"),
        ISO[1].replace("2024-05-01T12:10:00Z", "10 min"),
        ISO[2],
    ],
}


@pytest.mark.parametrize("lines", [pytest.param(lines, id=name) for name, lines in {"ISO 8601": ISO, **SAME}.items()])
def test_every_form_of_the_same_vms(tmp_path: Path, lines: list[str]) -> None:
    records = read_own_table(table(tmp_path, "\n".join(lines) + "\n"))
    assert records.arrival_ns.tolist() == [0, 60 * S]
    assert records.endless.tolist() == [False, True]
    assert records.least_ns[0] == 600 * S
    assert records.vcpus.tolist() == [4, 2]
    assert records.memory_bytes.tolist() == [8 * GIB, 16 * GIB]
    assert records.snp.tolist() == [1, 0]
    assert records.batch.tolist() == [0, 0]
    assert [records.hosts[i] for i in records.host] == ["h1", "h2"]


def test_how_it_was_read_is_said(tmp_path: Path) -> None:
    path = table(tmp_path, "\n".join(ISO))
    assert [note.removeprefix(f"{path}: ") for note in read_own_table(path).notes] == [
        "read as a table of one's own: id, created_at→arrival (ISO 8601), deleted_at→departure (ISO 8601), "
        "vCPUs→vcpus, ram→memory (MB and GB as MiB and GiB), confidential→kind, project→tenant, hypervisor→host",
        "not used: note",
        "time 0 is 2024-05-01T12:00:00Z, the first arrival",
        "2 VMs on 2 hosts",
    ]


def test_what_is_drawn_and_what_comes_twice_is_said(tmp_path: Path) -> None:
    path = table(tmp_path, "name,start,end,cpu,mem_mib,tenant\na,1,2,1,64,x\nb,1,2,1,64,\na,5,,1,64,y\n")
    assert [note.removeprefix(f"{path}: ") for note in read_own_table(path).notes][1:] == [
        "no column says which are confidential: drawn by tenant with probability snp.share",
        "warning: the id 'a' (rows 1, 3) comes more than once; each row is a VM of its own",
    ]


def test_typed_tables(tmp_path: Path) -> None:
    columns = {
        "start_time": pa.array([0, 60_000], pa.timestamp("ms", "UTC")),
        "stop_time": pa.array([600_000, None], pa.timestamp("ms", "UTC")),
        "cpu_count": pa.array([1.0, 2.0], pa.float32()),
        "memory_mib": pa.array([1024, 2048], pa.int32()),
        "confidential": pa.array([True, False]),
        "tenant": pa.array([7, 7]),
        "host": pa.array(["a", "b"]).dictionary_encode(),
        "tags": pa.array([["x"], []]),
    }
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    pa.feather.write_feather(pa.table(columns), tmp_path / "t.arrow", compression="uncompressed")
    with pa.ipc.new_stream(tmp_path / "t.arrows", pa.table(columns).schema) as stream:
        stream.write_table(pa.table(columns))
    for name in ("t.parquet", "t.arrow", "t.arrows"):
        records = read_own_table(tmp_path / name)
        assert records.arrival_ns.tolist() == [0, 60 * S]
        assert records.endless.tolist() == [False, True]
        assert records.memory_bytes.tolist() == [GIB, 2 * GIB]
        assert records.vcpus.tolist() == [1, 2]
        assert records.snp.tolist() == [1, 0]
        assert records.hosts == ("a", "b")


@pytest.mark.parametrize(
    ("name", "cells", "message"),
    [
        ("start_time", pa.array([["x"], ["y"]]), "holds list<element: string>; write ISO 8601"),
        ("start_time", pa.array([True, False]), "holds bool; write ISO 8601"),
        ("cpu_count", pa.array([{"a": 1}, {"a": 2}]), "holds struct<a: int64>; write text or numbers"),
        ("cpu_count", pa.array([1, None]), "is empty"),
        ("mem_mib", pa.array([float("nan"), 64.0]), "is empty"),
        ("tenant", pa.array([b"\xff", b""]), "holds binary; write names or integers"),
    ],
)
def test_typed_columns_that_cannot_be_read(tmp_path: Path, name: str, cells: pa.Array, message: str) -> None:
    columns = {"start_time": pa.array([0, 1]), "end": pa.array([5, 6]), "cpu_count": pa.array([1, 2])}
    columns |= {"mem_mib": pa.array([64, 64]), name: cells}
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(TraceError) as caught:
        read_own_table(tmp_path / "t.parquet")
    (problem,) = caught.value.problems
    assert f"column {name}" in problem.where
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("8", "'8' has no unit; write it as in 16GiB, or say the column's: --map memory_mib=ram"),
        ("8 apples", "'8 apples' is not a size; write it as in 16GiB or 16384 MiB"),
        ("٨GiB", "'٨GiB' is not a size; write it as in 16GiB or 16384 MiB"),
        ("0 B", "'0 B' is outside 1 MiB to 1 PiB"),
        ("9" * 500, "'999999999999999999999999999999999999999…' is not a size"),
    ],
)
def test_sizes_that_cannot_be_read(tmp_path: Path, cell: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        read_own_table(table(tmp_path, f"start,end,cpu,ram\n0,9,1,{cell}\n"))
    (problem,) = caught.value.problems
    assert message in problem.message
    assert len(problem.message) < 200


@pytest.mark.parametrize(
    "cell", ["0x1_0", "1_000", "٥", "inf", "nan ", "1e999", "--5", "1e12", "2024-02-30", "2024-13-01T00:00"]
)
def test_times_that_are_none(tmp_path: Path, cell: str) -> None:
    start, end = ("2024-05-01", "2024-05-02") if cell.startswith("2024") else ("1", "9")
    text = f"start,end,cpu,mem_mib\n{cell},{end},1,64\n{start},{end},1,64\n{start},{end},1,64\n"
    with pytest.raises(TraceError) as caught:
        read_own_table(table(tmp_path, text))
    (problem,) = caught.value.problems
    assert problem.where.endswith("row 1, column start")


def test_cells_of_another_unit_than_their_column(tmp_path: Path) -> None:
    path = table(tmp_path, "start,end,cpu,mem_mib\n1714564800,,1,64\n" + "1714564800000,,1,64\n" * 2 + "12,,1,64\n")
    with pytest.raises(TraceError) as caught:
        read_own_table(path)
    assert [problem.message for problem in caught.value.problems] == [
        "'1714564800' is no epoch in ms, as other cells of the column are; write all alike",
        "'12' is no epoch in ms, as other cells of the column are; write all alike",
    ]


@pytest.mark.parametrize(
    "cell", ["9999-12-31T23:59:59Z", "9999-12-31", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+05:00", "2262-05-01"]
)
def test_dates_that_no_trace_reaches(tmp_path: Path, cell: str) -> None:
    # As inventories write an end that never comes.
    path = table(tmp_path, f"start,end,cpu,mem_mib\n2024-05-01,{cell},1,64\n2024-05-01,2024-05-02,1,64\n")
    with pytest.raises(TraceError) as caught:
        read_own_table(path)
    (problem,) = caught.value.problems
    assert problem.where.endswith("row 1, column end")
    assert problem.message == (
        f"'{cell}' is outside 1970 to 2262; if it stands for an end that never comes, leave the cell empty"
    )


@pytest.mark.parametrize("cell", ["1e400", "9.3e18", "1e19"])
def test_numbers_past_every_epoch(tmp_path: Path, cell: str) -> None:
    path = table(tmp_path, f"start,lifetime_s,cpu,mem_mib\n{cell},600,1,64\n")
    with pytest.raises(TraceError, match=r"row 1, column start: .* is no epoch in ns"):
        read_own_table(path)


def test_a_start_of_ones_own(tmp_path: Path) -> None:
    path = table(tmp_path, "\n".join([*ISO, ISO[2].replace("2024", "2023").replace(",,2", ",2023-05-02,2")]))
    records = read_own_table(path, start_ns=1_714_564_830 * S)
    assert records.running.tolist() == [True, False]
    assert records.arrival_ns.tolist() == [0, 30 * S]
    assert records.least_ns[0] == 570 * S
    assert records.skipped == ("1 VMs that ended before time 0",)


def test_what_is_mapped_goes_before_what_is_found(tmp_path: Path) -> None:
    path = table(tmp_path, "born,start,end,cpu,size\n5,1,9,1,64\n")
    records = read_own_columns(path, {"arrival": "born", "memory_mib": "Size"})
    assert records.arrival_ns.tolist() == [5 * S]
    assert records.memory_bytes.tolist() == [64 << 20]
    with pytest.raises(TraceError) as caught:
        read_own_columns(path, {"arival": "born", "memory": "sizes"})
    assert [problem.message for problem in caught.value.problems][:2] == [
        "vm_table.columns: 'arival' is no column of a VM table; there are arrival, departure, lifetime, vcpus, memory, "
        "kind, tenant, host, id, node, gmems, folio_pages",
        "vm_table.columns.memory: the column 'sizes' is not there; it has born, start, end, cpu, size",
    ]


def test_a_name_that_comes_very_often(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"arrival is there 300 times: arrival, .* and 288 more; keep one"):
        read_own_columns(table(tmp_path, ",".join(["arrival"] * 300) + "\n"))


def test_a_table_without_rows(tmp_path: Path) -> None:
    assert len(read_own_table(table(tmp_path, "start,end,cpu,mem_mib\n"))) == 0
    columns = {name: pa.nulls(0) for name in ("start", "end", "cpu", "mem_mib", "tenant", "host", "kind")}
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert len(read_own_table(tmp_path / "t.parquet")) == 0
