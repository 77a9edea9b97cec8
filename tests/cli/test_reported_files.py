"""Files that people reported: what each comes to now. Each stands for a kind, which its room's own tests go through."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmemgpu.cli.main import main

OWN = "arrival_s,vcpus,mem_gib,lifetime_s,kind\n"
TWO = OWN + "0,4,8,600,snp\n60,4,8,900,plain\n"
AZURE = "h{},s1,d1,{},{},12.5,3.5,9.1,Unknown,4,8\n"
TRACE = "t_ns,kind,pfn,npages,vm,inode,folio_pages\n"
LIFE = (
    "{0},assign,300032,512,1,10,{2}\n{1},invalidate,300032,512,1,10,{2}\n{1},release,300032,512,1,10,{2}\n"
    "{1},inode_free,0,0,1,10,0\n{1},vm_destroy,0,0,1,0,0\n"
)
HEADER = """
horizon_ns = 60_000_000_000
[host]
memory_bytes = 8589934592
nodes = 1
cores = 4
threads_per_core = 2
"""
SPEC = 'seeds = 1\npolicies = ["v10"]\n[workload]\npreset = "mixed-pods"\n'
EPOCH_NS = 1_700_000_000 * 10**9


@dataclass(frozen=True)
class Case:
    """A file, what is done with it, and what comes of that."""

    name: str
    content: str | bytes
    command: str
    status: int
    told: tuple[str, ...]
    not_told: tuple[str, ...] = ()


def table(name: str, content: str | bytes, status: int, *told: str, more: str = "", no: tuple[str, ...] = ()) -> Case:
    return Case(f"{name}.csv", content, f"generate --vm-table FILE {OPTIONS} {more}", status, told, no)


def trace(name: str, rows: str, status: int, *told: str, command: str = "trace check FILE") -> Case:
    return Case(f"{name}.csv", TRACE + rows, command, status, told)


def spec(name: str, text: str, *told: str, command: str = "sweep FILE -o OUT") -> Case:
    return Case(f"{name}.toml", text, command, 2, told)


OPTIONS = "--set horizon_ns=3600_000_000_000 --set warmup_ns=0 --set memory.conversions_per_s=0 -o OUT.parquet"
OWN_READ = "read as a table of one's own", "2 VMs of the table\n"
CASES = (
    # Columns by name, whatever the dialect.
    table("plain", TWO, 0, *OWN_READ, no=("drawn",)),
    table("semicolons", TWO.replace(",", ";"), 0, *OWN_READ),
    table("capitals", TWO.replace("arrival_s", "Arrival_S").replace("kind", "Kind"), 0, *OWN_READ),
    table("comment", "# made by tool X\n" + TWO, 0, *OWN_READ),
    table("carriage_returns", TWO.replace("\n", "\r"), 0, *OWN_READ),
    table("utf_16", TWO.encode("utf-16"), 0, *OWN_READ),
    table(
        "epoch", OWN.replace("lifetime", "departure") + "1700000000,4,8,1700000600,snp\n", 0, "epoch in s", "2023-11-14"
    ),
    # Azure's tables, whatever their first row is like.
    table(
        "idle_first", "h1,s1,d1,300,600,0,0,0,Unknown,4,8\n", 0, "Azure's VM table without a header line", "1 VMs of"
    ),
    table("bucket", AZURE.format(1, 300, 600).replace(",8\n", ",>64\n"), 0, "Azure's VM table without a header line"),
    table(
        "azure_header",
        "vmid,subscriptionid,deploymentid,vmcreated,vmdeleted,maxcpu,avgcpu,p95maxcpu,vmcategory,vmcorecount,vmmemory\n"
        + AZURE.format(1, 300, 600),
        0,
        "Azure's VM table, by the names in its first line",
        "1 VMs of the table, 110 drawn as stock (vm_table.stock=table leaves them out)",
    ),
    table(
        "same_id",
        AZURE.format(1, 300, 3900) + AZURE.format(2, 600, 3900) + AZURE.format(1, 300, 3900),
        0,
        "'h1' comes 2 times (rows 1, 3)",
        more="--set vm_table.format=azure_vmtable --set vm_table.stock=table",
    ),
    # What cannot be read: one problem a cell, and none that follows from it.
    table("events", "vmid,cpu,memory,time,type\n0,1,2,0,0\n1,4,8,12,0\n0,1,2,80,1\n", 0, "table of events", "2 VMs of"),
    table("log", "vmid,cpu,memory,time,verb\n1,4,8,0,create\n", 2, "no arrival", "near: time for departure", "--map"),
    table("decimal_comma", OWN + '"0,5",4,8,600,snp\n', 2, "column arrival_s: '0,5'", no=("ended before", "remove")),
    table("thousands", OWN + '0,4,8,"86,400",snp\n', 2, "column lifetime_s: '86,400'", no=("not above",)),
    table("escapes", OWN + "0,4,8,\x1b[2J\x1b[31mx,snp\n", 2, r"'\x1b[2J\x1b[31mx' is not a time", no=("\x1b",)),
    table("long_cell", OWN + f"0,{'1' * 3000},8,600,snp\n", 2, "1…' is not a whole number", no=("1" * 60,)),
    table("other_node", OWN.replace("kind", "node") + "0,4,8,600,7\n", 2, "row 1, column node"),
    table("latin_1", b"lifetime_s,cdf\n\xff\n1,1\n", 2, "line 2: is not UTF-8 text"),
    # Traces.
    trace("epoch_times", LIFE.format(EPOCH_NS, EPOCH_NS + 9, 1), 2, "none of 5 events is before the horizon"),
    trace("folio", LIFE.format(1, 9, 512).replace("300032", "300033"), 0, "512 pages cannot begin at PFN 300033"),
    trace("hex", "1,assign,0x493e0,512,1,10,1\n2,asign,9,1,1,10,1\n3,assign,9,x,1,10,1\n", 2, "row 2", "row 3"),
    trace("past_the_end", LIFE.format(1, 9, 1).replace("300032", "2359296"), 2, "holes = [[PFN, PAGES]]"),
    Case(
        "latin_1_header.csv",
        b"t_ns,kind,pfn,npages,vm,inode,folio\xff\n",
        "trace check FILE",
        2,
        ("line 1: is not UTF-8",),
    ),
    # Specifications.
    spec("deep", "a = " + "[" * 2000 + "]" * 2000 + "\n", "nested too deeply"),
    spec(
        "deep_policies", "a = " + "[" * 2000 + "]" * 2000 + "\n", "too deeply", command="evaluate x.csv --policies FILE"
    ),
    spec("huge", "#" * (16 << 20) + "\n", "is larger than 16 MiB", command="evaluate x.csv --policies FILE"),
    spec("many_digits", f"seeds = {'9' * 5000}\n", "too many digits"),
    spec("policies_in_a_list", SPEC.replace('["v10"]', '[["v10"]]'), "policies[0]: ['v10'] is no name"),
    spec("preset_in_lists", SPEC.replace('"mixed-pods"', '[["mixed-pods"]]'), 'did you mean "mixed-pods"?'),
    spec("name_in_a_list", SPEC + '[[scenario]]\nname = ["a"]\n', "scenario[0].name: ['a'] is no name"),
    spec("unseen", SPEC.replace('["v10"]', '["v\u202e10"]'), "no policy"),
    spec(
        "unseen_name", SPEC + '[[policy]]\nname = "a\u202eb"\nhook = "none"\n', "policy[0].name", "no terminal prints"
    ),
    spec("unseen_scenario", SPEC + '[[scenario]]\nname = "a\u202eb"\n', r"scenario[0].name: 'a\u202eb' is no name"),
    spec("share", SPEC.replace('["v10"]', '[["v10"]]'), "is no name", command="shard FILE -o OUT --index 9 --of 10"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_reported_file(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / case.name
    file.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    file.with_suffix(".toml").write_text(HEADER if file.suffix == ".csv" else str(case.content))
    places = {"FILE": str(file), "OUT": str(tmp_path / "out"), "OUT.parquet": str(tmp_path / "out.parquet")}
    assert main([places.get(word, word) for word in case.command.split()]) == case.status
    captured = capsys.readouterr()
    said = captured.out + captured.err
    for text in case.told:
        assert text in said
    for text in case.not_told:
        assert text not in said
    if case.status:
        # Nothing half-written.
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted({file.name, file.with_suffix(".toml").name})


@pytest.mark.parametrize(
    "kind",
    [
        pa.array([["assign"]]),
        pa.array([{"name": "assign"}]),
        pa.array([True]),
        pa.array([5]).dictionary_encode(),
    ],
    ids=["list", "struct", "bool", "dictionary of int"],
)
def test_kinds_of_no_text(kind: pa.Array, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {name: pa.array([1]) for name in TRACE.strip().split(",")}
    pq.write_table(pa.table({**columns, "kind": kind}), tmp_path / "t.parquet")
    assert main(["trace", "check", str(tmp_path / "t.parquet")]) == 2
    assert "column kind: holds " in capsys.readouterr().err


def test_the_output_is_not_the_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "vms.csv"
    file.write_text(TWO)
    assert main(["generate", "--vm-table", str(file), "-o", str(file)]) == 2
    assert "is a file that is read" in capsys.readouterr().err
    assert file.read_text() == TWO


# A pipe gives its bytes once, and what a file is, is seen before it is read; one without a writer gives none, ever.
@pytest.mark.parametrize(
    "command",
    [
        "import vms FILE -o OUT.parquet",
        "generate --vm-table FILE -o OUT.parquet",
        "import ftrace FILE --host HOST -o OUT.parquet",
        "trace check FILE",
        "scan FILE",
    ],
)
def test_a_pipe_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host, pipe = tmp_path / "host.toml", tmp_path / "pipe.csv"
    host.write_text('[host]\nmemory_bytes = "2 GiB"\nnodes = 1\ncores = 4\nthreads_per_core = 2\n')
    os.mkfifo(pipe)
    places = {"FILE": str(pipe), "HOST": str(host), "OUT.parquet": str(tmp_path / "out.parquet")}
    assert main([places.get(word, word) for word in command.split()]) == 2
    said = capsys.readouterr().err
    assert f"gmemgpu: {pipe}: is no regular file; save what it gives to a file first\n" in said


# Whoever runs `gmemgpu import vms *` chose none of the names.
@pytest.mark.parametrize(
    "command",
    [
        "import vms VMS -o OUT.parquet",
        "generate --vm-table VMS -o OUT.parquet --set horizon_ns=3600_000_000_000 --set warmup_ns=0",
        "scan DUMP -o OUT.parquet",
        "trace check TRACE",
        "trace info TRACE",
        "evaluate TRACE --policy v10 --backend numpy",
        "explain TRACE --policy v10",
    ],
)
def test_a_name_that_a_terminal_would_obey(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {
        "VMS": "a\nb\x1b[2J.csv",
        "DUMP": "\x1b]0;x\x07",
        "TRACE": "t\x9b2J.csv",
        "OUT.parquet": "o\x1b[2J.parquet",
    }
    (tmp_path / names["VMS"]).write_text(TWO)
    (tmp_path / names["DUMP"]).write_text("[ 1.0] SEV-SNP: PFN 0x140200, RMP entry: [0x0028000000200003 - 0x0]\n")
    (tmp_path / names["TRACE"]).write_text(TRACE + LIFE.format(1, 9, 512))
    (tmp_path / names["TRACE"]).with_suffix(".toml").write_text(HEADER)
    places = {word: str(tmp_path / name) for word, name in names.items()}
    assert main([places.get(word, word) for word in command.split()]) == 0
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert said
    assert all(line.isprintable() for line in said.split("\n"))
