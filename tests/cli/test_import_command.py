from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from packing_trace import packing_database

from gmemgpu.cli.main import main
from gmemgpu.trace.read import read_trace
from gmemgpu.vmtable.own_table import read_own_table

ROWS = (
    "vm_id,created_at,deleted_at,vcpus,memory,project,hypervisor,note\n"
    '1,2026-05-01T12:00:00Z,2026-05-01T12:10:00Z,2,4GiB,acme,h1,"one, two"\n'
    "2,2026-05-01T11:00:00Z,,4,8GiB,acme,h2,\n"
    "3,2026-05-01T11:30:00Z,2026-05-01T11:45:00Z,1,2GiB,initech,h1,\n"
)
AZURE = "h1,s1,d1,0,600,0,0,0,Unknown,4,8\nh2,s1,d1,300,2591700,0,0,0,Unknown,2,4\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def stderr_of(capsys: pytest.CaptureFixture[str], folder: Path) -> list[str]:
    return capsys.readouterr().err.replace(f"{folder}/", "").splitlines()


def test_the_normal_form_is_read_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = write(tmp_path / "vms.csv", ROWS), tmp_path / "vms.parquet"
    assert main(["import", "vms", str(path), "-o", str(output)]) == 0
    assert stderr_of(capsys, tmp_path) == [
        "vms.csv: read as a table of one's own: vm_id→id, created_at→arrival (ISO 8601), deleted_at→departure "
        "(ISO 8601), vcpus, memory, project→tenant, hypervisor→host",
        "vms.csv: not used: note",
        "vms.csv: no column says which are confidential: drawn by tenant with probability snp.share",
        "vms.csv: time 0 is 2026-05-01T11:00:00Z, the first arrival",
        "vms.csv: 3 VMs on 2 hosts",
        "vms.parquet: 3 VMs",
    ]
    assert parquet.read_table(output).column("id").to_pylist() == ["2", "3", "1"]
    one, two = read_own_table(path), read_own_table(output)
    for name in ("arrival_ns", "least_ns", "endless", "memory_bytes", "vcpus", "snp", "running"):
        assert getattr(one, name).tolist() == getattr(two, name).tolist(), name
    assert [one.hosts[i] for i in one.host] == [two.hosts[i] for i in two.host] == ["h2", "h1", "h1"]
    # The normal form of the normal form is the same file.
    assert main(["import", "vms", str(output), "-o", str(tmp_path / "again.parquet")]) == 0
    assert (tmp_path / "again.parquet").read_bytes() == output.read_bytes()


def test_several_files_become_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ROWS.splitlines(keepends=True)
    parts = [write(tmp_path / f"{i}.csv", lines[0] + line) for i, line in enumerate(lines[1:])]
    output = tmp_path / "vms.parquet"
    assert main(["import", "vms", *map(str, parts), "-o", str(output), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["vms"], summary["hosts"]) == (3, 2)
    assert read_own_table(output).arrival_ns.tolist() == [0, 1800 * 10**9, 3600 * 10**9]
    assert main(["import", "vms", str(parts[0]), str(write(tmp_path / "az.csv", AZURE)), "-o", str(output)]) == 2
    assert stderr_of(capsys, tmp_path) == [
        "gmemgpu: az.csv: counts time otherwise than 0.csv: one has points in time, the other none"
    ]


def test_azures_table_in_the_normal_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "vms.parquet"
    assert main(["import", "vms", str(write(tmp_path / "az.csv", AZURE)), "-o", str(output)]) == 0
    records = read_own_table(output)
    assert records.running.tolist() == [True, False]
    assert records.least_ns[0] == 600 * 10**9
    assert records.endless.tolist() == [False, True]


def test_tenants_of_azures_tables_are_those_of_each_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Deployments are numbered as they come: the first of either file is 0.
    files = [write(tmp_path / f"{name}.csv", AZURE.replace("d1", name)) for name in ("a", "b")]
    output = tmp_path / "vms.parquet"
    assert main(["import", "vms", *map(str, files), "-o", str(output)]) == 0
    assert sorted(parquet.read_table(output).column("tenant").to_pylist()) == ["1:0", "1:1", "2:0", "2:1"]
    said = stderr_of(capsys, tmp_path)
    assert "b.csv: tenants are numbers of this file alone, and not those of the others: 2:0, 2:1, …" in said
    assert main(["import", "vms", str(files[0]), "-o", str(output)]) == 0
    assert parquet.read_table(output).column("tenant").to_pylist() == ["0", "1"]
    # Names of a table of one's own are the same tenants in every file.
    rows = "id,arrival_s,lifetime_s,vcpus,mem_gib,tenant\n1,0,600,2,4,acme\n"
    own = [write(tmp_path / f"{name}.csv", rows.replace("\n1", f"\n{name}")) for name in ("c", "d")]
    assert main(["import", "vms", *map(str, own), "-o", str(output)]) == 0
    assert parquet.read_table(output).column("tenant").to_pylist() == ["acme", "acme"]


def test_what_is_no_vm_table_and_names_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "events.csv", "vmid,cpu,memory,time,verb\n0,1,2,0,0\n")
    output = tmp_path / "vms.parquet"
    assert main(["import", "vms", str(path), str(tmp_path / "absent.csv"), "-o", str(output)]) == 2
    first, second = stderr_of(capsys, tmp_path)
    assert first.startswith(
        "gmemgpu: events.csv: its first line names vmid, cpu, memory, time, verb; a VM table needs arrival, vcpus, "
        "memory and departure or lifetime, and this one has no arrival, no departure or lifetime"
    )
    assert first.endswith('--map arrival=COLUMN, or in a spec vm_table.columns = {arrival = "COLUMN"}')
    assert second == "gmemgpu: absent.csv: cannot be read: No such file or directory; check the path"
    assert main(["import", "vms", str(path), "-o", str(tmp_path / "vms.csv")]) == 2
    assert main(["import", "vms", str(path), "-o", str(path.rename(output))]) == 2
    assert not list(tmp_path.glob("*.partial"))


def test_a_mapping(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "vms.csv", "born,died,cores,size,who\n0,9,1,1024,x\n")
    mapping = ["--map", "arrival=born", "--map", "departure=died", "--map", "memory_mib=size", "--map", "tenant = who"]
    output = tmp_path / "vms.parquet"
    assert main(["import", "vms", str(path), "-o", str(output), *mapping]) == 0
    assert read_own_table(output).memory_bytes.tolist() == [1 << 30]
    trace = tmp_path / "t.parquet"
    assert main(["generate", "--vm-table", str(path), *mapping, "--set", "horizon_ns=1 min", "--set", "warmup_ns=0",
                 "-o", str(trace)]) == 0  # fmt: skip
    assert len(read_trace(trace)) > 0
    capsys.readouterr()
    assert main(["import", "vms", str(path), "-o", str(output), "--map", "arrival"]) == 2
    assert "maps nothing; write --map arrival=created_at" in capsys.readouterr().err
    for twice, fault in (
        (("arrival=cores", "vcpus=cores"), "'cores' cannot be both arrival and vcpus; keep one"),
        (("arrival=born", "arrival=died"), "--map arrival=died: arrival is mapped to born already; keep one"),
        (("arrival_s=born", "arrival_ms=died"), "arrival is mapped twice; keep one"),
    ):
        options = [word for one in twice for word in ("--map", one)]
        assert main(["import", "vms", str(path), "-o", str(output), *options]) == 2
        assert fault in capsys.readouterr().err
    assert main(["generate", "--map", "arrival=born", "-o", str(trace)]) == 2
    assert "--map: is about a VM table" in capsys.readouterr().err


def test_a_file_that_is_given_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, alias = write(tmp_path / "vms.csv", ROWS), tmp_path / "alias.csv"
    alias.symlink_to(path)
    assert main(["import", "vms", str(path), str(alias), "-o", str(tmp_path / "o.parquet")]) == 2
    said = "gmemgpu: alias.csv: is given twice, so that each VM would count twice; name it once"
    assert stderr_of(capsys, tmp_path) == [said]


def test_twenty_problems_are_shown_and_the_rest_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "vms.csv", "start,end,cpu,mem_mib\n" + "x,y,z,64\n" * 5000)
    assert main(["import", "vms", str(path), "-o", str(tmp_path / "o.parquet")]) == 2
    lines = stderr_of(capsys, tmp_path)
    assert len(lines) == 21
    assert lines[0].startswith("gmemgpu: vms.csv: row 1, column start: 'x' is not a time; ")
    assert lines[-1] == "gmemgpu: … and 14,980 more problems"


def test_azures_packing_trace_becomes_a_table_for_one_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = packing_database(tmp_path / "zone.sqlite"), tmp_path / "vms.parquet"
    host = ["--host", "pod", "--host", "memory_bytes=100 GiB"]
    assert main(["import", "vms", str(path), "-o", str(output), *host]) == 0
    assert stderr_of(capsys, tmp_path) == [
        "zone.sqlite: read as Azure's packing trace, sizes as shares of its machine 2, taken for 64 cores and 100 GiB",
        "zone.sqlite: skipped 1 VMs of a type that the machine cannot host",
        "zone.sqlite: skipped 1 VMs that ended before 0",
        "zone.sqlite: no column says which are confidential: drawn by tenant with probability snp.share",
        "vms.parquet: 48 VMs",
    ]
    # The same trace as from the file itself.
    settings = ["--set", "host.name=pod", "--set", "host.memory_bytes=100 GiB", "--set", "vm_table.stock=table",
                "--set", "horizon_ns=6 d"]  # fmt: skip
    traces = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for table, trace in zip((path, output), traces, strict=True):
        assert main(["generate", "--vm-table", str(table), "-o", str(trace), *settings]) == 0
    one, two = map(read_trace, traces)
    assert len(one) > 1000
    assert one.host == two.host
    for name in ("t_ns", "kind", "pfn", "npages", "vm", "inode", "folio_pages"):
        assert getattr(one, name).tolist() == getattr(two, name).tolist(), name


def test_a_packing_trace_needs_a_host_and_others_need_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zones = [packing_database(tmp_path / name) for name in ("a.sqlite", "b.sqlite")]
    own, output = write(tmp_path / "vms.csv", ROWS), tmp_path / "vms.parquet"

    def lines(*words: str) -> list[str]:
        assert main(["import", "vms", "-o", str(output), *words]) == 2
        assert not output.exists()
        return stderr_of(capsys, tmp_path)

    remedy = 'say what it has: --host cloud, or --host cores=64 --host memory_bytes="512 GiB"'
    assert lines(*map(str, zones)) == [
        f"gmemgpu: {name}.sqlite: holds sizes as shares of a machine, Azure's packing trace; {remedy}" for name in "ab"
    ]
    assert lines(str(zones[0]), "--host", "clud", "--host", "cores=0", "--host", "core=3") == [
        'gmemgpu: --host name: "clud": unknown host; did you mean "cloud"?',
        "gmemgpu: --host cores: 0 cannot be used: it must be greater than or equal to 1",
        'gmemgpu: --host core: unknown key; did you mean "cores"?',
    ]
    assert lines(*map(str, zones), "--host", "pod", "--machine", "9") == [
        f"gmemgpu: {name}.sqlite: vmType: machine 9 is not there; there are: 1, 2, 3" for name in "ab"
    ]
    assert lines(str(own), "--priority", "high") == [
        "gmemgpu: --host, --machine and --priority: are about Azure's packing trace, an SQLite file, and no file here "
        "is one; leave them out"
    ]
