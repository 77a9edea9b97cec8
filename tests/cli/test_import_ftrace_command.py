"""`gmemgpu import ftrace`: the trace of a file of calls, what is told of it, and what is refused."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.cli.main import main
from gmemgpu.ftrace.capture import TOOLS, capture_commands
from gmemgpu.ftrace.probe import probe_of
from gmemgpu.model.event import Kind
from gmemgpu.trace.read import read_trace

HOST = "[host]\nmemory_bytes = 2_147_483_648\nnodes = 1\ncores = 4\nthreads_per_core = 2\n"

# A firmware page; a guest with a page of 2 MiB, one of 4 KiB, an RMPUPDATE that fails and a VMSA; a page converted in
# place; the end: destroyed first, then evicted, as the kernel does. The ASID and the inode's address come again.
CALLS = """\
1.000000 10 rmp_make_private: pfn=0x10 gpa=0x0 level=1 asid=0 immutable=1
1.000001 10 rmp_make_private_ret: (x <- rmp_make_private) ret=0
2.000000 11 sev_gmem_prepare: kvm=0xa0 pfn=0x200
2.000001 11 rmp_make_private: pfn=0x200 gpa=0x200000 level=2 asid=7
2.000002 11 rmp_make_private_ret: (x <- rmp_make_private) ret=0
2.500000 11 sev_gmem_prepare: kvm=0xa0 pfn=0x800
2.500001 11 rmp_make_private: pfn=0x800 gpa=0x1000 level=1 asid=7
2.500002 11 rmp_make_private_ret: (x <- rmp_make_private) ret=0
2.600000 11 sev_gmem_prepare: kvm=0xa0 pfn=0x801
2.600001 11 rmp_make_private: pfn=0x801 gpa=0x2000 level=1 asid=7
2.600002 11 rmp_make_private_ret: (x <- rmp_make_private) ret=-14
2.700000 12 rmp_make_private: pfn=0x900 gpa=0xfffffffff000 level=1 asid=7
2.700001 12 rmp_make_private_ret: (x <- rmp_make_private) ret=0
3.000000 11 rmp_make_shared: pfn=0x800 level=1
3.000001 11 rmp_make_shared_ret: (x <- rmp_make_shared) ret=0
4.000000 13 sev_vm_destroy: kvm=0xa0
4.000001 13 snp_rmpopt_all_physmem:
4.100000 13 rmp_make_shared: pfn=0x900 level=1
4.200000 99 evict: inode=0xdead
4.500000 13 evict: inode=0xbeef
4.500001 13 kvm_gmem_free_folio:
4.500002 13 psmash: pfn=0x200
4.500003 13 rmp_make_shared: pfn=0x200 level=2
4.500004 13 kvm_gmem_free_folio_ret: (x <- kvm_gmem_free_folio)
4.500005 13 rmp_make_shared: pfn=0x10 level=1
4.600000 13 kvm_gmem_destroy_inode: inode=0xbeef
4.700000 0 kvm_gmem_free_inode: inode=0xbeef
5.000000 21 sev_gmem_prepare: kvm=0xa0 pfn=0x40000
5.000001 21 rmp_make_private: pfn=0x40000 gpa=0x0 level=1 asid=7
6.000000 21 evict: inode=0xbeef
6.000001 21 kvm_gmem_free_folio:
6.000002 21 rmp_make_shared: pfn=0x40000 level=1
6.000003 21 kvm_gmem_destroy_inode: inode=0xbeef
7.000000 22 kvm_gmem_free_folio:
7.000001 22 rmp_make_shared: pfn=0x7fe00 level=2
"""
ROWS = [
    # t in µs, kind, pfn, npages, vm, inode, folio_pages
    (0, "assign", 0x7FE00, 512, -1, 3, 512),  # taken back later, so it was there before
    (0, "assign", 0x10, 1, -1, -1, 1),
    (1_000_001, "assign", 0x200, 512, 0, 1, 512),
    (1_500_001, "assign", 0x800, 1, 0, 0, 1),
    (1_700_000, "assign", 0x900, 1, 0, -1, 1),  # past guest_memfd: a VMSA
    (2_000_000, "share", 0x800, 1, 0, 0, 1),  # no call names its inode
    (3_000_000, "vm_destroy", 0, 0, 0, -1, 0),
    (3_100_000, "release", 0x900, 1, 0, -1, 1),
    (3_500_000, "evict_begin", 0, 0, 0, 1, 0),
    (3_500_003, "release", 0x200, 512, 0, 1, 512),
    (3_500_005, "release", 0x10, 1, -1, -1, 1),
    (3_600_000, "evict_end", 0, 0, 0, 1, 0),
    (3_700_000, "inode_free", 0, 0, 0, 1, 0),
    (4_000_001, "assign", 0x40000, 1, 1, 2, 1),
    (5_000_000, "evict_begin", 0, 0, 1, 2, 0),
    (5_000_002, "release", 0x40000, 1, 1, 2, 1),
    (5_000_003, "evict_end", 0, 0, 1, 2, 0),
    (6_000_001, "release", 0x7FE00, 512, -1, 3, 512),
]
NOTES = [
    "time 0 is the first call, the end is the last; the file does not say by which clock",
    "RMPUPDATEs that failed and changed nothing: 1",
    "512 pages were taken back that no call had assigned: taken to be assigned at time 0, their VM unknown; pages that "
    "were assigned then and never came back are not in the trace",
    "2 inodes are assumed, one a VM, for pages whose inode no call names",
    "calls that arm RMPOPT: 1; VMs destroyed: 1",
    "not in the trace, so that policies that wait for it do nothing: invalidate, freed, use, unuse",
]


def as_tracefs(calls: str) -> str:
    lines = ["# tracer: nop", "#", "# entries-in-buffer/entries-written: 35/35   #P:8", "#"]
    for i, line in enumerate(calls.splitlines()):
        time, tid, rest = line.split(" ", 2)
        lines.append(f" CPU {i}/KVM-{tid}    [{i % 8:03}] d..1.  {time}: {rest}")
    return "\n".join(lines) + "\n"


def as_trace_cmd(calls: str) -> str:
    lines = ["cpus=8"]
    for line in calls.splitlines():
        time, tid, rest = line.split(" ", 2)
        lines.append(f"   qemu-kvm-{tid}    3d..2 {time}000: {rest}")
    return "\n".join(lines) + "\n"


def as_perf(calls: str) -> str:
    lines = []
    for line in calls.splitlines():
        time, tid, rest = line.split(" ", 2)
        event, _, arguments = rest.partition(":")
        event = event.replace("_ret", "__return")
        lines.append(
            f"qemu-kvm {tid:>7} [003] {time}: probe:{event}: (ffffffff81012340){arguments.replace('(x', '(y')}"
        )
        lines.append("\tffffffff81012340 rmp_make_private+0x0 ([kernel.kallsyms])")
        lines.append("")
    return "\n".join(lines)


FORMS = {"tracefs": as_tracefs, "trace-cmd": as_trace_cmd, "perf": as_perf}


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "host.toml").write_text(HOST)
    return tmp_path / "host.toml"


def imported(path: Path, text: str, host: Path, *options: str) -> tuple[int, Path]:
    path.write_text(text)
    output = path.with_name("out.parquet")
    return main(["import", "ftrace", str(path), "--host", str(host), "-o", str(output), *options]), output


def rows(output: Path) -> list[tuple[int | str, ...]]:
    trace = read_trace(output)
    columns = (trace.pfn, trace.npages, trace.vm, trace.inode, trace.folio_pages)
    kinds = [Kind(code).text for code in trace.kind]
    times = [t_ns // 1000 for t_ns in trace.t_ns.tolist()]
    return list(zip(times, kinds, *(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_trace(
    form: str, tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, output = imported(tmp_path / "log", FORMS[form](CALLS), host, "--json")
    assert status == 0
    found = json.loads(capsys.readouterr().out)
    assert rows(output) == ROWS
    assert found["notes"] == NOTES
    assert found["read"] | {"lines": 0} == {"lines": 0, "calls": 35, "lost": 0, "gaps": 0, "late": 0, "damaged": 0}
    assert read_trace(output).horizon_ns == 6_000_001_001
    assert read_trace(output).host.cores == 4


def test_calls_of_other_cpus_may_stand_later(tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = as_tracefs(CALLS).splitlines()
    # Whole CPUs one after another, as `trace-cmd report` never and a concatenation of per-CPU files always has it.
    by_cpu = sorted(lines[4:], key=lambda line: line.split("[")[1][:3])
    status, output = imported(tmp_path / "log", "\n".join(by_cpu), host)
    assert status == 0
    assert rows(output) == ROWS
    assert "calls stood after later ones and were sorted" in capsys.readouterr().err


def test_what_was_lost_and_damaged_is_told(tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = "12: rmp_make_private: pfn=0x1 level=1 as=\nCPU:3 [LOST 123 EVENTS]\nCPU:5 [EVENTS DROPPED]\n"
    status, output = imported(tmp_path / "log", as_tracefs(CALLS) + cut, host)
    assert status == 0
    assert rows(output) == ROWS
    err = capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert "warning: log: line 40: its columns are none of a trace's\n" in err
    assert "123 events were lost in 2 places: some pages may be assigned or free that were not\n" in err
    assert "lines on the functions that are damaged and left out: 1\n" in err
    assert err.endswith("out.parquet: 18 events, 6.000 s\n")


def test_packed_and_evaluated(tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = tmp_path / "log.gz", tmp_path / "t.csv"
    path.write_bytes(gzip.compress(as_tracefs(CALLS).encode()))
    assert main(["import", "ftrace", str(path), "--host", str(host), "-o", str(output)]) == 0
    assert main(["trace", "check", str(output)]) == 0
    assert main(["verify", str(output), "--policy", "v10", "refcount"]) == 0
    assert "18 events" in capsys.readouterr().out


def test_without_vms_an_asid_is_a_vm_until_its_pages_are_gone(tmp_path: Path, host: Path) -> None:
    calls = """\
1.000000 1 rmp_make_private: pfn=0x200 gpa=0x0 level=1 asid=7
1.100000 1 kvm_gmem_free_folio:
1.100001 1 rmp_make_shared: pfn=0x200 level=1
1.200000 1 rmp_make_private: pfn=0x201 gpa=0x0 level=1 asid=7
2.000000 1 sev_vm_destroy: kvm=0xa0
2.100000 2 rmp_make_private: pfn=0x300 gpa=0x0 level=1 asid=7
2.200000 1 kvm_gmem_free_folio:
2.200001 1 rmp_make_shared: pfn=0x201 level=1
2.200002 1 rmp_make_shared: pfn=0x300 level=1
3.000000 1 sev_vm_destroy: kvm=0xa1
4.000000 1 rmp_make_private: pfn=0x200 gpa=0x0 level=1 asid=7
"""
    status, output = imported(tmp_path / "log", as_tracefs(calls), host)
    assert status == 0
    assert [row[4] for row in rows(output) if row[1] == "assign"] == [0, 0, 0, 3]
    assert [row[4] for row in rows(output) if row[1] == "vm_destroy"] == [1, 2]


def test_passes_are_held_against_what_arms_them(tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attempt = "console: SEV-SNP: Attempt RMP optimizations on physical address range @1GB alignment [0x0 - 0x1]"
    calls = f"""\
0.000000 9 {attempt}
1.000000 1 rmp_make_private: pfn=0x200 gpa=0x0 level=1 asid=7
2.000000 1 snp_rmpopt_all_physmem:
8.000000 1 snp_rmpopt_all_physmem:
18.100000 9 {attempt}
18.200000 9 console: usb 1-1: new device
40.000000 1 snp_rmpopt_all_physmem:
50.300000 9 {attempt}
60.000000 1 snp_rmpopt_all_physmem:
61.000000 1 psmash: pfn=0x200
"""
    assert imported(tmp_path / "log", as_tracefs(calls), host)[0] == 0
    said = (
        "RMPOPT passes begun: 3; due by v10, 10 s after the last call that arms: 2; seconds since that call: 10.100 "
        "(median; 10.100 to 10.300)"
    )
    assert said in capsys.readouterr().err.splitlines()


# Two regions of 1 GiB. A pass that was armed before; one 4 ms late, 0.25 ms longer than (30 + 512 x 60 + 121,000) ns
# for the region that became free and 2,800 + 172,000 ns for the other; one 200 ms late whose end is not told; one
# that is 20 s late, and so another.
PASSES = """\
3.000000 9 rmpopt_work_handler:
3.000100 9 console: SEV-SNP: Attempt RMP optimizations on physical address range @1GB alignment [0x0 - 0x1]
3.161000 9 rmpopt_work_handler_ret: (x <- rmpopt_work_handler) ret=7
5.000000 1 rmp_make_private: pfn=0x200 gpa=0x0 level=1 asid=7
10.000000 1 sev_vm_destroy: kvm=0xa0
10.000001 1 snp_rmpopt_all_physmem:
10.100000 1 kvm_gmem_free_folio:
10.100001 1 rmp_make_shared: pfn=0x200 level=1
20.004000 9 rmpopt_work_handler:
20.004577 9 rmpopt_work_handler_ret: (x <- rmpopt_work_handler)
40.000000 1 sev_vm_destroy: kvm=0xa0
50.200000 9 rmpopt_work_handler:
60.000000 1 sev_vm_destroy: kvm=0xa0
90.000000 9 rmpopt_work_handler:
90.000340 9 rmpopt_work_handler_ret: (x <- rmpopt_work_handler)
"""
PREDICTION = {
    "policy": "merged",
    "n_predicted": 3,
    "n_observed": 4,
    "n_matched": 2,
    "only_predicted_ns": [67_000_000_000],
    "only_observed_ns": [0, 87_000_000_000],
    "start_apart_ns": [4_000_000, 200_000_000],
    "length_apart_ns": [577_000 - (30 + 512 * 60 + 121_000) - (2_800 + 172_000)],
}


def test_predicted_passes_are_held_against_observed_ones(
    tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = as_tracefs(PASSES)
    assert imported(tmp_path / "log", log, host)[0] == 0
    said = (
        "passes by merged: 3 predicted, 4 observed; 2 matched, 1 only predicted, 2 only observed; start, observed less "
        "predicted: +4 ms (median), +200 ms (worst); length: +250.4 us (median), +250.4 us (worst) of 1 whose end was "
        "seen"
    )
    assert said in capsys.readouterr().err.splitlines()
    assert imported(tmp_path / "log", log, host, "--json")[0] == 0
    found = json.loads(capsys.readouterr().out)
    assert found["predictions"] == [PREDICTION]
    assert found["account"]["passes"]["lasted_ns"] == [161_000_000, 577_000, -1, 340_000]


def test_passes_of_other_policies_and_costs(tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, costs = tmp_path / "p.toml", tmp_path / "c.toml"
    own.write_text('[[policy]]\nname = "later"\nhook = "vm_destroy"\ntimer = "debounce(30 s)"\n')
    costs.write_text("base = 0\nblock = 0\ncached = 0\nround_clean = 1000\nround_cached = 10\n")
    options = ("--policy", "later", "refcount", "--policies", str(own), "--costs", str(costs), "--json")
    assert imported(tmp_path / "log", as_tracefs(PASSES), host, *options)[0] == 0
    later, refcount = json.loads(capsys.readouterr().out)["predictions"]
    # Due at 37 s, which is more than 10 s from any, and at 87 s.
    assert (later["only_predicted_ns"], later["start_apart_ns"]) == ([37_000_000_000], [0])
    assert later["length_apart_ns"] == [340_000 - 2 * 10]
    assert (refcount["n_predicted"], refcount["n_matched"], refcount["start_apart_ns"]) == (1, 1, [-7_100_001_000])


def test_policies_of_which_no_pass_was_observed(tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported(tmp_path / "log", as_tracefs(CALLS), host, "--policy", "v10", "never")[0] == 0
    lines = capsys.readouterr().err.splitlines()
    for name in ("v10", "never"):
        assert (
            f"passes by {name}: 0 predicted, 0 observed; 0 matched, 0 only predicted, 0 only observed; trace "
            "rmpopt_work_handler as gmemgpu capture --print has it" in lines
        )
    assert imported(tmp_path / "log", as_tracefs(CALLS), host, "--policy", "oracle")[0] == 2
    assert "--policy: the oracle is a bound" in capsys.readouterr().err


@pytest.mark.parametrize("shared_as", ["release", "share"])
def test_releases_and_shares_that_no_call_tells_apart(
    shared_as: str, tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = "1.0 1 rmp_make_private: pfn=0x200 level=1 asid=7\n2.0 1 rmp_make_shared: pfn=0x200 level=1\n"
    assert imported(tmp_path / "log", as_tracefs(calls), host)[0] == 2
    assert "line 6: no call tells whether guest_memfd frees the pages" in capsys.readouterr().err
    status, output = imported(tmp_path / "log", as_tracefs(calls), host, "--shared-as", shared_as)
    assert status == 0
    assert [row[1] for row in rows(output)] == ["assign", shared_as]
    assert "every RMPUPDATE is taken to have succeeded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no call of rmp_make_private or its like; gmemgpu capture --print shows"),
        ("hello\n", "has no call of rmp_make_private"),
        ("a-1 [0] 5: psmash: pfn=0x1\n", 'line 1: its time is a count, not a time: trace with the clock "mono"'),
        ("a-1 [0] 1.5: rmp_make_private: pfn=0x100000 level=1 asid=1\n", "line 1: pfn 0x100000 is past the host's"),
        ("psmash: pfn=0x1 \x1b[2J\n", "line 1: its columns are none of a trace's"),
        ("x" * 70_000, "line 1: is longer than 65536 bytes"),
    ],
)
def test_bad_files(text: str, message: str, tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output = imported(tmp_path / "log", text, host)
    assert status == 2
    assert not output.exists()
    err = capsys.readouterr().err
    assert message in err
    assert all(line.isprintable() for line in err.splitlines())


def test_bad_hosts_and_outputs(tmp_path: Path, host: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    log.write_text(as_tracefs(CALLS))

    def refused(*options: str) -> str:
        assert main(["import", "ftrace", str(log), *options]) == 2
        return capsys.readouterr().err

    assert "the name ends in .parquet" in refused("--host", str(host), "-o", str(tmp_path / "t.txt"))
    copy = tmp_path / "same.csv"
    copy.hardlink_to(log)
    assert "is a file that is read" in refused("--host", str(host), "-o", str(copy))
    # A CSV trace has its header beside it.
    assert "host.toml is a file that is read" in refused("--host", str(host), "-o", str(host.with_suffix(".csv.gz")))
    assert host.read_text() == HOST
    bad = tmp_path / "bad.toml"
    bad.write_text("cores = 3\n")
    err = refused("--host", str(bad), "-o", str(tmp_path / "t.csv"))
    assert "cores: unknown key; known: host" in err
    assert "has no table [host]; gmemgpu capture --print host shows" in err
    bad.write_text(HOST.replace("cores = 4", "cores = -4"))
    assert "host.cores" in refused("--host", str(bad), "-o", str(tmp_path / "t.csv"))


@pytest.mark.parametrize("tool", TOOLS)
def test_commands_of_a_capture(tool: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["capture", "--print", tool]) == 0
    text = capsys.readouterr().out
    assert text == capture_commands(tool)  # type: ignore[arg-type]
    if tool != "bpftrace":
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_every_probe_of_a_capture_is_known() -> None:
    words = capture_commands("ftrace").split()
    events = [word.rpartition("/")[2] for word in words if word.startswith(('"p:gmem/', '"r:gmem/'))]
    assert len(events) > 12
    assert all(probe_of(event.strip('"')) for event in events)
    script = capture_commands("bpftrace")
    probes = [line.partition(":")[2] for line in script.splitlines() if line.startswith(("kprobe:", "kretprobe:"))]
    assert len(probes) > 8
    assert all(probe_of(probe) and f": {probe}" in script for probe in probes)


LINES = [*as_tracefs(CALLS).splitlines(), *as_perf(CALLS).splitlines(), "CPU:3 [LOST 9 EVENTS]", "\x1b[0m", "evict="]


bits = st.binary(max_size=9) | st.sampled_from([b"9" * 30, b"-", b"pfn="])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    text = "\n".join(draw(st.lists(st.sampled_from(LINES), max_size=30)))
    data = bytearray(text.encode())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        data[at : at + draw(st.integers(0, 9))] = draw(
            st.binary(max_size=9) | st.sampled_from([b"9" * 30, b"-", b"pfn="])
        )
    return bytes(data)


@given(data=files() | st.binary(max_size=60), options=st.sampled_from([[], ["--shared-as", "release"]]))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, options: list[str]) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "fuzz-host.toml").write_text(HOST)
    path, output = folder / "fuzz-ftrace", folder / "fuzz-ftrace.parquet"
    path.write_bytes(data)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = main(
            ["import", "ftrace", str(path), "--host", str(folder / "fuzz-host.toml"), "-o", str(output), *options]
        )
        assert status in (0, 2), said.getvalue()
        assert status == 2 or read_trace(output) is not None
    lines = said.getvalue().splitlines()
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
    assert 0 < len(lines) <= 40
