from __future__ import annotations

import gzip
from itertools import count
from pathlib import Path

import pytest

from gmemgpu.errors import TraceError
from gmemgpu.vmtable.azure_vmtable import COLUMNS, read_azure_vmtable

EXCERPT = Path(__file__).parents[2] / "jobs" / "data" / "azure_v1_vmtable_10rows.csv"
S = 10**9
GIB = 1 << 30


IDS = count()


def row(created: int, deleted: int, cores: str, memory: str, deployment: str = "d+/=", category: str = "Unkown") -> str:
    return f"vm{next(IDS)}+/=,sub,{deployment},{created},{deleted},99.5,3.25,10,{category},{cores},{memory}"


def write(path: Path, *rows: str, end: str = "\n") -> Path:
    path.write_bytes("".join(line + end for line in rows).encode())
    return path


def test_the_published_excerpt() -> None:
    records = read_azure_vmtable(EXCERPT)
    assert len(records) == 10
    assert int(records.running.sum()) == 7
    # Deleted at the last tick of V1: censored.
    assert int(records.endless.sum()) == 6
    assert records.memory_bytes.tolist().count(56 * GIB) == 4
    assert records.least_ns[-1] == (2_292_300 - 2_290_500) * S


def test_version_2_is_told_by_its_open_buckets(tmp_path: Path) -> None:
    rows = [row(0, 2_591_400, "24", "64"), row(300, 2_591_400, ">24", ">64"), row(300, 300, "2", "4")]
    records = read_azure_vmtable(write(tmp_path / "v2.csv", *rows, end="\r\n"))
    assert records.endless.tolist() == [True, True, False]
    assert records.vcpus.tolist() == [24, 32, 2]
    assert records.memory_bytes.tolist() == [64 * GIB, 128 * GIB, 4 * GIB]
    # Created and deleted in one slot: one slot is the shortest life.
    assert records.least_ns[2] == 300 * S
    assert records.running.tolist() == [True, False, False]


def test_version_1_ends_one_tick_later(tmp_path: Path) -> None:
    records = read_azure_vmtable(
        write(tmp_path / "v1.csv", row(300, 2_591_400, "1", "1.75"), row(300, 2_591_700, "1", "1.75"))
    )
    assert records.endless.tolist() == [False, True]


def test_a_batch_is_one_deployment_in_one_slot(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    rows = [
        row(300, 900, "1", "1", "a"),
        row(300, 900, "1", "1", "b"),
        row(300, 900, "1", "1", "a"),
        row(600, 900, "1", "1", "a"),
    ]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    assert read_azure_vmtable(path).batch.tolist() == [0, 1, 0, 2]


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        row(600, 300, "1.5", "1"),
        row(0, 300, "many", "1"),
        row(0, 300, ">24", ">65"),
        "too,short",
    )
    with pytest.raises(TraceError) as caught:
        read_azure_vmtable(path)
    assert [problem.where.removeprefix(f"{path}: ") for problem in caught.value.problems] == [
        "row 4",
        "row 1, column vmdeleted",
        "row 2, column vmcorecount",
        "row 3, column vmmemory",
        "row 1, column vmcorecount",
    ]


def test_a_header_line_that_somebody_added_is_read(tmp_path: Path) -> None:
    rows = [row(300, 900, ">24", "3.5"), row(600, 900, "2", "1")]
    plain = read_azure_vmtable(write(tmp_path / "plain.csv", *rows))
    named = read_azure_vmtable(write(tmp_path / "named.csv", ",".join(COLUMNS), *rows))
    assert named.arrival_ns.tolist() == plain.arrival_ns.tolist() == [300 * S, 600 * S]
    assert named.vcpus.tolist() == plain.vcpus.tolist() == [32, 2]


def test_ids_that_come_several_times_are_told(tmp_path: Path) -> None:
    rows = [row(300, 900, "1", "1") for _ in range(4)]
    for i in (1, 3):
        rows[i] = rows[0].replace("300", "600")
    path = write(tmp_path / "t.csv", *rows)
    (vm, *_) = rows[0].split(",")
    with pytest.warns(RuntimeWarning) as told:
        assert len(read_azure_vmtable(path)) == 4
    assert [str(warning.message) for warning in told] == [
        f"{path}: column vmid: '{vm}' comes 3 times (rows 1, 2, 4); each row is taken for a VM"
    ]


def test_of_many_repeated_ids_some_are_named(tmp_path: Path) -> None:
    rows = [row(300, 900, "1", "1") for _ in range(25)]
    with pytest.warns(RuntimeWarning) as told:
        read_azure_vmtable(write(tmp_path / "t.csv", *rows, *rows))
    assert len(told) == 21
    assert str(told[-1].message).endswith("column vmid: … and 5 more that come several times")
