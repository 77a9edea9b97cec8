"""`gmemgpu scan` on dumps, bitmaps, logs and rmpopt-tables: what it says, and what it refuses."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rmp_dumps import entry, table, write_sparse

from gmemgpu.cli.main import main
from gmemgpu.units import PAGES_PER_REGION

R = PAGES_PER_REGION
PAGES = {
    5: entry("raw", immutable=True),
    R + 7: entry("raw", asid=3, gpa=0x1000),
    2 * R: entry("raw", asid=3, gpa=0x200000, large=True),
    3 * R + 3: entry("raw", asid=9, gpa=0x5000, vmsa=True),
    3 * R + 512 * 40: entry("raw", asid=4, large=True),
}
GOLDEN = """\
regions                 6 of 1 GiB, 1,027 pages assigned
free, can be optimized  2
blocked by one page     2
by at most 512 pages    3
by at most 1 %          4
first assigned block    0 of 0 to 511, median of busy regions
RMP bytes of a pass     65,792 a scanner, no bit being set
in 2 MiB entries        99.7% of the assigned pages
busy, no guest's data   1: firmware and VMSA pages alone

a pool for the pages of regions that few hold:
at most pages  regions freed  pages in the pool
            1              2                  2
            8              2                  2
           64              2                  2
          512              3                514
        2,621              4              1,027
       26,214              4              1,027

whose the pages are:
owner          pages  regions  alone in
ASID 3           513        2         2
ASID 4           512        1         0
firmware, RMP      1        1         1
ASID 9             1        1         0

blocked by one page:
region      pfn  owner
     0      0x5  firmware, RMP
     1  0x40007  ASID 3

map: a sign a region of 1 GiB, from the region of that number on
       0 11:+..
. free: can be optimized; 1 one page assigned; : at most 512; + at most 10 %
"""
TABLE = "".join(
    f"Memory @{region:3}GB: CPU(s): {cpus}\n"
    for region, cpus in enumerate(["none", "none", "none", "0-7", "0-7", "0-3"])
)
BITS_GOLDEN = """\
free regions, and their bits in rmpopt-table:
set on all CPUs          1 (8 CPUs, as in the fullest region)
on some                  1
on none                  0: what a pass would win
the table does not tell  0
busy, yet set            1: the files are not of one moment
"""
TABLE_GOLDEN = """\
regions              6
bit set on all CPUs  2 (8 CPUs, as in the fullest region)
on some              1
on none              3

map: a sign a region of 1 GiB, from the region of that number on
       0 ---**~
* bit set on all CPUs of the table; ~ on some; - on none
"""
LOG = """\
[    0.000000] SEV-SNP: RMP table physical range [0x0000000011500000 - 0x0000000031dfffff]
[    9.000000] EXT4-fs (sda1): mounted
[  255.410543] SEV-SNP: PFN: 0x56600, [0x80000000000007fd - 0x0000000000000000]
[  255.500000] SEV-SNP: Leaking PFN range 0x100000-0x100002
[  256.500000] SEV-SNP: Attempt RMP optimizations on physical address range @1GB alignment [0x0 - 0x140000000]
"""
LOG_GOLDEN = """\
lines on the RMP           4
regions blocked, at least  3; a log does not tell what is free
pages assigned, at least   1
regions of the RMP itself  1
leaked pages               2 in 1 regions, until reset
RMPUPDATEs failed          0
RMPOPT passes begun        1

map: a sign a region of 1 GiB, from the region of that number on
       0 r1??l
1 one page assigned; r holds the RMP; l pages leaked; ? no file tells
"""


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines()) + "\n"


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return write_sparse(tmp_path / "rmp.bin", 6, PAGES)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_dump(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", str(dump)]) == 0
    out = capsys.readouterr()
    assert "\n".join(line.rstrip() for line in out.out.splitlines()) + "\n" == GOLDEN
    assert all(len(line.rstrip()) <= 80 for line in out.out.splitlines())
    assert out.err == (
        f"{dump}: RMP entries from PFN 0: by its size; else give --form rmp-table; every entry at the first that is "
        "not 0 fits the raw layout\n"
    )


def test_as_json(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", str(dump), "--json"]) == 0
    out = capsys.readouterr()
    assert out.err == ""
    found = json.loads(out.out)
    assert [(one["form"], one["layout"]) for one in found["files"]] == [("rmp", "raw")]
    assert found["summary"] == {
        "regions": 6,
        "assigned_pages": 1027,
        "free": 2,
        "busy_page": 2,
        "busy_block": 3,
        "busy_percent": 4,
        "first_block_median": 0,
        "pass_bytes": 64 * (3 + 1 + 2 * 512),  # the first block of each busy region, all of the free ones
        "pages_2m": 1024,
        "busy_without_guest_pages": 1,
    }
    assert found["owners"][0] == {"asid": 3, "pages": 513, "regions": 2, "alone": 2}
    assert found["one_page"] == [{"region": 0, "pfn": 5, "asid": 0}, {"region": 1, "pfn": R + 7, "asid": 3}]
    assert found["pool"][3] == {"at_most_pages": 512, "regions": 3, "pages": 514}
    assert found["map"] == "11:+.."


def test_a_row_a_region(dump: Path, tmp_path: Path) -> None:
    output = tmp_path / "regions.parquet"
    assert main(["scan", str(dump), "-o", str(output)]) == 0
    rows = parquet.read_table(output).to_pylist()
    assert [row["state"] for row in rows] == list("11:+..")
    assert rows[3] == {
        "region": 3,
        "address": 3 << 30,
        "state": "+",
        "known_pages": R,
        "assigned_pages": 513,
        "first_block": 0,
        "first_pfn": 3 * R + 3,
        "pages_2m": 512,
        "firmware_pages": 0,
        "vmsa_pages": 1,
        "first_asid": 9,
        "top_8_asid": [4, 9],
        "top_8_pages": [512, 1],
    }


@pytest.mark.parametrize("backend", ["numba", "cupy"])
def test_every_backend_says_the_same(
    dump: Path, backend: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    if backend == "cupy":
        from gmemgpu.engine.registry import why_missing

        if why_missing("cupy") is not None:
            pytest.skip("no device, and no emulator of one")
    assert main(["scan", str(dump), "--backend", backend]) == 0
    assert printed(capsys) == GOLDEN


def test_a_bitmap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bits = np.zeros(2 * R, bool)
    bits[R + 3 :: 7] = True
    path = tmp_path / "bits"
    path.write_bytes(np.packbits(bits, bitorder="little").tobytes())
    assert main(["scan", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["map"] == ".#"
    assert "owners" not in found
    assert found["files"][0]["form"] == "bitmap"


def test_a_table_alone_and_beside_a_dump(dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bits = write(tmp_path / "rmpopt-table", TABLE)
    assert main(["scan", str(bits)]) == 0
    assert printed(capsys) == TABLE_GOLDEN
    assert main(["scan", str(dump), str(bits)]) == 0
    out = printed(capsys)
    assert BITS_GOLDEN in out
    assert "       0 11:+.!\n" in out


def segment_table(path: Path, mapped_gib: dict[int, int]) -> Path:
    words = np.zeros(512, "<u8")
    for segment, gib in mapped_gib.items():
        words[segment] = gib | (0x100 + segment) << 20
    path.write_bytes(b"\xff" * 100 + bytes((16 << 10) - 100) + words.tobytes())
    return path


def test_a_segmented_rmp_with_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = segment_table(tmp_path / "base", {0: 2, 2: 1})
    one = write_sparse(tmp_path / "s0", 2, {5: entry("raw", asid=3)})
    two = write_sparse(tmp_path / "s2", 1, {6: entry("raw", asid=3), 7: entry("raw", asid=3)})
    files = [str(base), str(one), str(two)]
    assert main(["scan", *files, "--segment", "4 GiB", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["map"] == "1.??????:"
    assert found["files"][0]["why"].endswith("segment table of an RMP: 2 segments, 3 GiB of memory")
    assert "say what a segment covers" in refused(files, capsys)
    assert "holds no entries; give the segments' files after it" in refused(files[:1], capsys)
    assert "has 2 segments, and there are 1 files" in refused([*files[:2], "--segment", "4 GiB"], capsys)
    swapped = [files[0], files[2], files[1], "--segment", "4 GiB"]
    assert "has entries of 262,144 pages, and 2 GiB are mapped in segment 0" in refused(swapped, capsys)


def test_a_log_and_one_that_is_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", str(write(tmp_path / "dmesg", LOG))]) == 0
    assert printed(capsys) == LOG_GOLDEN
    (tmp_path / "dmesg.gz").write_bytes(gzip.compress(LOG.encode()))
    assert main(["scan", str(tmp_path / "dmesg.gz"), "-o", str(tmp_path / "o.parquet")]) == 0
    assert printed(capsys) == LOG_GOLDEN
    assert parquet.read_table(tmp_path / "o.parquet")["state"].to_pylist() == list("r1??l")


def test_equal_lines_of_the_map_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", str(write_sparse(tmp_path / "d", 300, {5: entry("raw", asid=3)}))]) == 0
    lines = printed(capsys).splitlines()
    start = lines.index("map: a sign a region of 1 GiB, from the region of that number on")
    assert lines[start + 1 : -1] == [
        f"       0 1{'.' * 63}",
        f"      64 {'.' * 64}",
        "         … 2 such lines more",
        f"     256 {'.' * 44}",
    ]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["scan", *arguments]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert all(line.isprintable() for line in out.err.splitlines())
    return out.err


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty; take it again"),
        (b"PAR1" + bytes(60), "is a Parquet file; scan reads dumps"),
        (b"\x7fELF" + bytes(60), "is an ELF file (a vmcore holds the RMP"),
        (gzip.compress(bytes(64), mtime=0), "is a dump compressed by gzip; decompress it first"),
        (gzip.compress(LOG.encode(), mtime=0)[:-9], "no complete gzip file; copy it again"),
        (b"hello\nworld\n", "has no whole line on the RMP"),
        (
            b"SEV-SNP: PFN \xff\xfe\n" + b"x" * 99,
            "line 1: byte 14 of the line is no UTF-8: b'\\xff\\xfe'; save it again",
        ),
        (b"x" * (1 << 17), "line 1: is longer than 65536 bytes"),
        (b"Memory @ 1GB: CPU(s): \x1b[2J\n", "line 1: 'Memory @ 1GB: CPU(s): \\x1b[2J' is no line of rmpopt-table"),
        (bytes(16 * R), "holds zeros only"),
        (table(1000, {3: entry("raw", asid=3)}).tobytes() + b"1234567", "which end within an entry: it was cut off"),
    ],
)
def test_bad_files(tmp_path: Path, data: bytes, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad"
    path.write_bytes(data)
    assert message in refused([str(path)], capsys)


def test_bad_options(dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Is a directory; check the path" in refused([str(tmp_path)], capsys)
    assert "cannot be read: No such file" in refused([str(tmp_path / "none")], capsys)
    log = write(tmp_path / "log", LOG)
    assert "cannot be scanned together" in refused([str(dump), str(log)], capsys)
    assert "does not end in .parquet" in refused([str(dump), "-o", "x.csv"], capsys)
    copy = tmp_path / "d.parquet"
    copy.hardlink_to(dump)
    assert "is a file that is scanned" in refused([str(dump), "-o", str(copy)], capsys)
    assert "is no power of two" in refused([str(dump), "--segment", "3 GiB"], capsys)
    assert "choose a folder" in refused(
        [str(dump), "-o", str(tmp_path / "no" / "x.parquet"), "--json"], _Silent(capsys)
    )


class _Silent:
    """What is printed before a table cannot be written is no mistake."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def readouterr(self):  # type: ignore[no-untyped-def]
        return self._capsys.readouterr()._replace(out="")


SOUND = [
    table(2048, {3: entry("raw", asid=3, gpa=0x1000), 512: entry("raw", asid=4, large=True)}).tobytes(),
    table(1024, {3: entry("rmpread", asid=3, gpa=0x1000), 0: entry("rmpread", immutable=True)}).tobytes(),
    bytes(16 << 10) + table(512, {3: entry("raw", asid=3)}).tobytes(),
    np.packbits(np.arange(5000) % 3 == 0).tobytes(),
    LOG.encode(),
    TABLE.encode(),
    gzip.compress(LOG.encode()),
]
PIECES = [
    b"SEV-SNP: ",
    b"PFN 0x",
    b"Leaking PFN range ",
    b"0xffffffffffffffff",
    b"[0x0 - 0x0]",
    b"Memory @",
    b"\n",
    b"\xff",
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SOUND)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        data[at : at + draw(st.integers(0, 20))] = draw(st.binary(max_size=20) | st.sampled_from(PIECES))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@given(
    data=damaged() | st.binary(max_size=64) | st.lists(st.sampled_from(PIECES), max_size=9).map(b"".join),
    options=st.sampled_from(
        [[], [], ["--form", "rmp"], ["--form", "log"], ["--form", "bitmap"], ["--layout", "rmpread"]]
    ),
)
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, options: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz-scan"
    path.write_bytes(data)
    said, out = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(out):
        status = main(["scan", str(path), *options])
    assert status in (0, 2), said.getvalue()
    assert bool(out.getvalue()) == (status == 0)
    lines = said.getvalue().splitlines()
    assert lines
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
    assert len(lines) <= 30


def test_noise_is_no_bitmap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A bitmap tells of whole GiB.
    path = tmp_path / "noise.bin"
    path.write_bytes(bytes(range(1, 256)) * 40)
    assert main(["scan", str(path)]) == 2
    assert "--form bitmap if it is one" in capsys.readouterr().err
    assert main(["scan", str(path), "--form", "bitmap"]) == 0
