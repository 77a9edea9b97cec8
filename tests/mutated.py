"""
Damaged copies of valid files, given to the command that reads such; whatever is neither read nor refused is printed.

Run as a process of its own, within limits of memory and time that a reader must not need:

    python tests/mutated.py N SEED READER...
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import resource
import signal
import sys
import tempfile
import traceback
import unicodedata
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
from packing_trace import packing_database
from rmp_dumps import entry, table

from gmemgpu.cli.main import main
from gmemgpu.cli.message import harmless
from gmemgpu.errors import InputError
from gmemgpu.sweeping.spec import read_spec

MEMORY_BYTES = 3 << 30
"""Of addresses, of which loaded libraries take one."""
INPUT_S = 20
LINES = 60
STATUSES = {0, 1, 2, 130}

TRACE_ROWS = (
    "t_ns,kind,pfn,npages,vm,inode,folio_pages\n5,snp_init,0,0,-1,-1,0\n10,assign,0,512,1,10,512\n"
    "11,assign,0x200,3,1,10,1\n12,evict_begin,0,0,-1,10,0\n20,release,0,515,1,10,1\n21,inode_free,0,0,-1,10,0\n"
    "22,vm_destroy,0,0,1,-1,0\n"
)
HOST = '[host]\nmemory_bytes = "2 GiB"\nnodes = 1\ncores = 4\nthreads_per_core = 2\n'
HEADER = f"horizon_ns = 60_000\nwarmup_ns = 0\n{HOST}"
SPEC = """
name = "s"
seeds = [0, 3]
policies = ["v10", "mine"]
costs = { base = 3, block = 5 }
[workload]
preset = "mixed-pods"
horizon_ns = "10 min"
warmup_ns = 0
arrivals.vms_per_s = [0.1, 0.5]
[workload.memory]
folio = "2M"
placement = "lifo"
[[policy]]
name = "mine"
hook = "vm_destroy"
timer = "debounce(5 s, 60 s)"
[[scenario]]
name = "a"
snp.share = 0.5
[[expect]]
policy = "v10"
never = [0, 5]
"""
POLICIES = '[[policy]]\nname = "mine"\nhook = "inode_free"\ntimer = "fixed(1 s)"\nscope = "dirty"\nboot = true\n'
PASSES = (
    '[[pass]]\nname = "a"\nexecutor = "serial"\ncores = 4\ncached = 12\nwall = ["3 ms", 2_900_000]\n'
    '[[pass]]\nname = "b"\nexecutor = "leader_first"\nfailed = 3\nfirst_block = 7\nleader_busy = "1 us"\n'
)
COSTS = 'block = { ns = 325, source = "measured" }\nbase = 2_000\nround_clean = 0x10\n'
VMS = (
    b"id,arrival_s,lifetime_s,vcpus,mem_gib,kind,host\n1,0,600,2,4,snp,a\n2,30,,1,2,plain,a\n",
    b"h1,s1,d1,300,600,0,0,0,Unknown,4,8\nh2,s1,d1,300,900,12.5,3.5,9.1,Unknown,2,>64\n",
    "created_at;deleted_at;cores;ram;note\n2024-05-01T12:00:00Z;;4;16GiB;'x;y'\n".encode("utf-16"),
)
RMP = tuple(
    table(1024, {3: entry(layout, asid=3, gpa=0x1000), 512: entry(layout, asid=4, large=True)}).tobytes()
    for layout in ("raw", "rmpread")
)
KERNEL_LOG = b"""\
[    0.000000] SEV-SNP: RMP table physical range [0x0000000011500000 - 0x0000000031dfffff]
[  255.410540] SEV-SNP: PFN 0x56700 unassigned, dumping non-zero entries in 2M PFN region: [0x56600 - 0x56800]
[  255.410543] SEV-SNP: PFN: 0x56600, [0x80000000000007fd - 0x0000000000000000]
[  255.500000] SEV-SNP: Leaking PFN range 0x100000-0x100002
[  256.500000] SEV-SNP: PFN 0x140200, RMP entry: [0x0028000000200003 - 0x0000000000000000]
"""
RMPOPT_TABLE = b"Memory @  0GB: CPU(s): none\nMemory @  1GB: CPU(s): 0,4-7,511\nMemory @1037GB: CPU(s): 0-1023\n"
FTRACE = b"""\
# entries-in-buffer/entries-written: 8/9   #P:8
 CPU 0/KVM-4242  [003] d..1. 1.000000: sev_gmem_prepare: (sev_gmem_prepare+0x0/0x200) kvm=0xffff88 pfn=0x200
 CPU 0/KVM-4242  [003] d..1. 1.000002: rmp_make_private: (rmp_make_private+0x0/0x80) pfn=0x200 level=2 asid=7
 CPU 0/KVM-4242  [003] d..1. 1.000003: rmp_make_private_ret: (x <- rmp_make_private) ret=0
 qemu-kvm-4200   [001] d..1. 6.000000: sev_vm_destroy: (sev_vm_destroy+0x0/0x90) kvm=0xffff88
 qemu-kvm-4200   [001] d..1. 6.000010: evict: (evict+0x0/0x300) inode=0xffffa0
 qemu-kvm-4200   [001] d..1. 6.000020: kvm_gmem_free_folio: (kvm_gmem_free_folio+0x0/0x40)
 qemu-kvm-4200   [001] d..1. 6.000022: rmp_make_shared: (rmp_make_shared+0x0/0x80) pfn=0x200 level=2
 qemu-kvm-4200   [001] d..1. 6.000030: kvm_gmem_destroy_inode: (kvm_gmem_destroy_inode+0x0/0x30) inode=0xffffa0
 kworker/u8:0-88 [002] d..1. 16.004000: rmpopt_work_handler: (rmpopt_work_handler+0x0/0x400)
 kworker/u8:0-88 [002] d..1. 16.004400: rmpopt_work_handler_ret: (x <- rmpopt_work_handler)
"""
WORDS = [
    *(b"", b"-1", b"0x", b"1e999", b"nan", b"inf", b"9" * 25, b"9" * 5000, b"1_000", "٥".encode(), b"[" * 3000),
    *(b"\x00", b"\xff\xfe", b"\x1b[2J", "\u202e".encode(), b"\n", b"\r", b'"', b"'", b"\\", b"#", b",", b";", b"="),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"[[x]]\n",
        b"[1, 2]",
        b"{ a = 1 }",
        b'"10 min"',
        b"true",
        b"1979-05-27",
        b"assign",
        b"v10",
    ),
]


def typed(kind: str) -> bytes:
    """Return a valid trace as Parquet, or VMs as Parquet or Arrow."""
    file = io.BytesIO()
    if kind == "trace":
        names, *rows = (line.split(",") for line in TRACE_ROWS.splitlines())
        columns = {
            name: [cell if name == "kind" else int(cell, 0) for cell in cells]
            for name, cells in zip(names, zip(*rows, strict=True), strict=True)
        }
        header = {"host": {"memory_bytes": 2 << 30, "nodes": 1, "cores": 4, "threads_per_core": 2}}
        about = json.dumps({**header, "horizon_ns": 60_000, "warmup_ns": 0})
        pa.parquet.write_table(pa.table(columns).replace_schema_metadata({"gmemgpu": about}), file)
        return file.getvalue()
    table = pa.table({"arrival": [0.0, 30.0], "lifetime": [600.0, None], "vcpus": [2, 1], "memory": [4.0, 2.0]})
    if kind == "parquet":
        pa.parquet.write_table(table, file)
    else:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    return file.getvalue()


def packing() -> bytes:
    """Return a valid SQLite file of Azure's packing trace, in pages as small as they go."""
    with tempfile.TemporaryDirectory() as folder:
        return packing_database(Path(folder, "zone"), page_bytes=512).read_bytes()


# Reader to its valid files, their name, and the arguments with which a command reads one.
READERS: dict[str, tuple[tuple[bytes, ...], str, tuple[str, ...]]] = {
    "trace_csv": (
        (TRACE_ROWS.encode(),),
        "t.csv",
        ("evaluate", "t.csv", "--policy", "v10", "dirty_1s", "--backend", "numpy"),
    ),
    "trace_header": ((HEADER.encode(),), "t.toml", ("trace", "info", "t.csv")),
    "trace_parquet": ((typed("trace"),), "t.parquet", ("trace", "info", "t.parquet")),
    "vms": ((*VMS, typed("parquet"), typed("arrow")), "vms", ("import", "vms", "vms", "-o", "out.parquet")),
    "packing": ((packing(),), "zone", ("import", "vms", "zone", "--host", "pod", "-o", "out.parquet")),
    "spec": ((SPEC.encode(),), "s.toml", ("read_spec", "s.toml")),
    "policies": (
        (POLICIES.encode(),),
        "p.toml",
        ("evaluate", "good.csv", "--policies", "p.toml", "--backend", "numpy"),
    ),
    "rmp": (RMP, "rmp.bin", ("scan", "rmp.bin", "-o", "out.parquet")),
    "kernel_log": ((KERNEL_LOG,), "dmesg", ("scan", "dmesg")),
    "rmpopt_table": ((RMPOPT_TABLE,), "rmpopt-table", ("scan", "rmpopt-table")),
    "ftrace": ((FTRACE,), "trace", ("import", "ftrace", "trace", "--host", "host.toml", "-o", "out.parquet")),
    "passes": ((PASSES.encode(),), "m.toml", ("calibrate", "m.toml", "-o", "out.toml")),
    "costs": ((COSTS.encode(),), "c.toml", ("evaluate", "good.csv", "--policy", "v10", "--costs", "c.toml")),
}


def mutated(good: bytes, draw: random.Random) -> bytes:
    """Return a file with some bytes, words, lines or pieces of it changed, moved, doubled or lost; or mere noise."""
    if draw.random() < 0.02:
        return draw.randbytes(draw.randrange(200))
    data = bytearray(good)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        at, end = sorted((draw.randint(0, len(data)), draw.randint(0, len(data))))
        near = min(at + draw.randrange(6), len(data))
        match draw.randrange(7):
            case 0:
                data[at:near] = draw.choice(WORDS)
            case 1:
                data[at:near] = draw.randbytes(draw.randrange(5))
            case 2 if data:
                data[min(at, len(data) - 1)] ^= 1 << draw.randrange(8)
            case 3:
                del data[at : end if draw.random() < 0.1 else near]
            case 4:
                data[at:at] = data[at : min(end, at + 40)]
            case 5:
                # A value, in a file of text.
                between = draw.choice((b",", b"=", b"\n", b" "))
                cut = bytes(data).split(between)
                cut[draw.randrange(len(cut))] = draw.choice(WORDS)
                data = bytearray(between.join(cut))
            case _:
                lines = bytes(data).split(b"\n")
                lines.insert(draw.randrange(len(lines)), lines.pop(draw.randrange(len(lines))))
                data = bytearray(b"\n".join(lines))
    return bytes(data)


def fault(arguments: tuple[str, ...]) -> tuple[str | None, int]:
    """Run a command; return what is wrong with how it ended, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    try:
        signal.alarm(INPUT_S)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            status = _read_spec(arguments[1]) if arguments[0] == "read_spec" else main(arguments)
    except BaseException:
        return traceback.format_exc(limit=-4), -1
    finally:
        signal.alarm(0)
    said = out.getvalue() + err.getvalue()
    if status not in STATUSES:
        return f"ended with {status}", status
    if status and "gmemgpu: " not in said:
        return f"ended with {status} and told nothing", status
    if len(said.splitlines()) > LINES:
        return f"told {len(said.splitlines())} lines: {said[:300]}", status
    wild = {character for character in said if unicodedata.category(character) in ("Cc", "Cf")} - {"\n", "\t"}
    return (f"wrote {wild} to the terminal: {said[:300]!r}" if wild else None), status


def _read_spec(path: str) -> int:
    # No command reads a spec and computes nothing.
    try:
        assert read_spec(path).canonical
    except InputError as error:
        # What the command line writes of it.
        sys.stderr.writelines(f"gmemgpu: {harmless(str(problem))}\n" for problem in error.problems[:20])
        return error.exit_code
    return 0


def hang(*_: object) -> None:
    """Raise what no reader catches."""
    raise KeyboardInterrupt("took too long")


def fuzz(reader: str, n: int, seed: int) -> None:
    """Print each fault with the file that led to it, at most five, and a last line that counts."""
    good, name, arguments = READERS[reader]
    signal.signal(signal.SIGALRM, hang)
    n_good = n_faults = 0
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for stem in ("t", "good"):
            Path(f"{stem}.csv").write_text(TRACE_ROWS)
            Path(f"{stem}.toml").write_text(HEADER)
        Path("host.toml").write_text(HOST)
        for i in range(n):
            draw = random.Random(f"{reader} {seed} {i}")
            data = mutated(draw.choice(good), draw) if i else good[0]
            Path(name).write_bytes(data)
            found, status = fault(arguments)
            n_good += status == 0
            if found is not None:
                n_faults += 1
                if n_faults <= 5:
                    sys.stdout.write(f"{reader} {seed} {i}: {data[:600]!r}\n{found}\n")
    sys.stdout.write(f"{n} files, {n_good} read, {n_faults} faults\n")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    n_files, seed, *readers = sys.argv[1:]
    for reader in readers:
        fuzz(reader, int(n_files), int(seed))
