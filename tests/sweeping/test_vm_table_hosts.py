"""A VM table of several hosts in a sweep: a scenario of each host."""

from __future__ import annotations

from pathlib import Path

import pytest

from gmemgpu.errors import SpecError
from gmemgpu.sweeping.spec import SweepSpec, read_spec

ROWS = "arrival_s,lifetime_s,vcpus,mem_gib,host\n0,600,2,4,b\n60,600,2,4,a\n90,600,2,4,b\n"


def read(tmp_path: Path, more: str = "", rows: str = ROWS) -> SweepSpec:
    (tmp_path / "vms.csv").write_text(rows)
    path = tmp_path / "s.toml"
    path.write_text(f'[workload]\nhorizon_ns = "1 h"\nvm_table.path = "vms.csv"\n{more}')
    return read_spec(path)


def test_each_host_is_a_scenario(tmp_path: Path) -> None:
    spec = read(tmp_path)
    assert spec.axes == ("vm_table.host",)
    assert [scenario.axes["vm_table.host"] for scenario in spec.scenarios] == ["a", "b"]
    assert [scenario.label for scenario in spec.scenarios] == ["vm_table.host=a", "vm_table.host=b"]


def test_beside_another_axis(tmp_path: Path) -> None:
    spec = read(tmp_path, 'memory.placement = ["lifo", "scatter"]\n')
    assert set(spec.axes) == {"memory.placement", "vm_table.host"}
    assert len({scenario.label for scenario in spec.scenarios}) == 4


@pytest.mark.parametrize(
    ("more", "hosts"),
    [
        ('vm_table.host = "b"\n', ["b"]),
        ('vm_table.host = "*"\n', ["*"]),
        ('vm_table.host = ["b", "a"]\n', ["b", "a"]),
        ("vm_table.thin.keep = 0.5\n", [None]),
    ],
)
def test_hosts_of_ones_choice(tmp_path: Path, more: str, hosts: list[str | None]) -> None:
    spec = read(tmp_path, more)
    assert [scenario.workload.vm_table.host for scenario in spec.scenarios if scenario.workload.vm_table] == hosts


def test_a_table_of_one_host_or_none_makes_no_axis(tmp_path: Path) -> None:
    assert read(tmp_path, rows=ROWS.replace(",a\n", ",b\n")).axes == ()
    assert read(tmp_path, rows="start,end,cpu,mem_mib\n0,9,1,64\n").axes == ()


def test_what_is_wrong_with_a_table_is_said_before_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, 'memory.placement = ["lifo", "scatter"]\n', rows=ROWS.replace("60,600", "60,x"))
    (problem,) = caught.value.problems
    assert problem.where == f"{tmp_path / 'vms.csv'}: row 2, column lifetime_s"


def test_how_a_table_is_read_is_told_once(tmp_path: Path) -> None:
    notes = [note.removeprefix(f"{tmp_path / 'vms.csv'}: ") for note in read(tmp_path).table_notes()]
    assert notes == [
        "read as a table of one's own: arrival_s→arrival (s since the start), lifetime_s→lifetime (s), vcpus, "
        "mem_gib→memory (GiB), host",
        "no column says which are confidential: drawn for each VM by itself with probability snp.share",
        "3 VMs on 2 hosts",
        "3 VMs of the table",
    ]
