from __future__ import annotations

from pathlib import Path

import pytest

from gmemgpu.errors import TraceError
from gmemgpu.vmtable.own_table import read_own_table
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
        "-100,30,1,1.5,plain,-1,1,0,3\n",
    )
    vms = replay(read_own_table(path), 1, snp_share=0.5, gmems=4)
    assert vms.arrival_ns.tolist() == [0, 5_250_000_000]
    assert vms.departure_ns.tolist() == [30 * S, 65 * S]
    assert vms.stock.tolist() == [True, False]
    assert vms.memory_bytes.tolist() == [3 * GIB // 2, 16 * GIB]
    assert vms.snp.tolist() == [False, True]
    assert vms.node.tolist() == [-1, 1]
    assert vms.gmems.tolist() == [1, 2]
    assert vms.folio_pages.tolist() == [0, 512]
    assert vms.batch.tolist() == [3, 7]


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
        "0,0,0,0,SNP,-2,0,2,x\n"
        "-10,5,1,1,snp,0,1,1,1\n",
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
        "row 1, column batch_id",
        "row 2, column arrival_s",
    }


@pytest.mark.parametrize(("columns", "found"), [("", "neither"), (",lifetime_s,departure_s", "both")])
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
            "arrival_s,vcpus,mem_gib,departure_s\n1700000000,4,8,1700000600\n",
            ["row 1, column arrival_s", "row 1, column departure_s"],
        ),
    ],
)
def test_cells_that_cannot_be_read_break_no_rule_besides(tmp_path: Path, text: str, named: list[str]) -> None:
    path = table(tmp_path, text)
    with pytest.raises(TraceError) as caught:
        read_own_table(path)
    assert [problem.where.removeprefix(f"{path}: ") for problem in caught.value.problems] == named
