"""Whatever a file of VMs holds, it is read or refused: no traceback, no control character, few lines."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmemgpu.cli.main import main
from gmemgpu.vmtable.column_names import COLUMNS

NAMES = [name for _, names in COLUMNS.values() for name in names.split()[:2]]
TIMES = ["0", "-5", "1e3", "1714564800", "1714564800000", "2024-05-01T12:00:00Z", "2024-05-01 12:00", "10 min", "0x10"]
WRONG = ["", "null", "nan", "inf", "1e999", "-1", "1_000", "٥", "2024-13-01", "\x1b[2J", "#", '"', "\u202e", "9" * 60]
SIZES = ["16GiB", "16384 MB", "8", "8589934592", "0.5 GB"]
cells = st.sampled_from([*TIMES, *WRONG, *SIZES, "4", "4.0", "snp", "true", "h1"]) | st.text(max_size=5)
headers = st.lists(st.sampled_from([*NAMES, "mem_gib", "arrival_s", "note", "", "\x07"]), min_size=1, max_size=7)
PLAIN = (
    b"id,arrival_s,lifetime_s,vcpus,mem_gib,kind,host\n1,0,600,2,4,snp,a\n2,30,,1,2,plain,a\n",
    b"h1,s1,d1,300,600,0,0,0,Unknown,4,8\nh2,s1,d1,300,900,12.5,3.5,9.1,Unknown,2,>64\n",
    "created_at;deleted_at;cores;ram\n2024-05-01T12:00:00Z;;4;16GiB\n".encode("utf-16"),
)
packing = st.sampled_from([bytes, bytes, gzip.compress, bz2.compress, lzma.compress])


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    names = draw(headers)
    delimiter, end = draw(st.sampled_from(",;\t")), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    rows = draw(
        st.lists(st.lists(cells, min_size=len(names), max_size=len(names) + draw(st.integers(0, 1))), max_size=5)
    )
    text = end.join(delimiter.join(row) for row in [names, *rows])
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le"])), "surrogatepass")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(PLAIN)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
        if not data:
            return b""
    return bytes(data)


@st.composite
def typed(draw: st.DrawFn) -> bytes:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=7, unique=True))
    kinds = [pa.int8(), pa.uint64(), pa.float64(), pa.bool_(), pa.string(), pa.binary(), pa.list_(pa.int8()), pa.null()]
    kinds += [pa.timestamp("ns", "UTC"), pa.timestamp("s"), pa.date32(), pa.duration("us"), pa.decimal128(20, 3)]
    kinds += [pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.float16(), pa.time64("ns")]
    n = draw(st.integers(0, 3))
    columns = []
    for _ in names:
        kind = draw(st.sampled_from(kinds))
        values: list[object] = [None] * n
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            values = draw(st.lists(st.sampled_from([0, 4, 100, None]), min_size=n, max_size=n))
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            values = draw(st.lists(cells, min_size=n, max_size=n))
        elif pa.types.is_timestamp(kind):
            values = draw(st.lists(st.sampled_from([-1, 0, 10**9, 1_714_564_800]), min_size=n, max_size=n))
        columns.append(pa.array(values, kind))
    file = io.BytesIO()
    pa.parquet.write_table(pa.table(columns, names=names), file)
    data = bytearray(file.getvalue())
    if draw(st.integers(0, 4)) == 0:
        data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(data=tables() | damaged() | typed() | st.binary(max_size=60), pack=packing)
def test_any_file_is_read_or_refused(folder: Path, data: bytes, pack: Callable[[bytes], bytes]) -> None:
    path = folder / "t"
    path.write_bytes(pack(data))
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = main(["import", "vms", str(path), "-o", str(folder / "o.parquet")])
        assert status in (0, 2), said.getvalue()
        if status == 0:
            # What was written is read again.
            assert main(["import", "vms", str(folder / "o.parquet"), "-o", str(folder / "p.parquet")]) == 0
    lines = said.getvalue().splitlines()
    assert all(line.isprintable() for line in lines)
    assert len(lines) <= 40
