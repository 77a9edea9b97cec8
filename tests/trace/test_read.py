from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmemgpu.errors import TraceError
from gmemgpu.model.event import KIND_BY_NAME
from gmemgpu.model.trace import COLUMNS
from gmemgpu.trace.read import read_trace
from gmemgpu.units import GIB, TIB

HOST = {"memory_bytes": 2 * GIB, "nodes": 1, "cores": 4, "threads_per_core": 2}
HEADER = {"host": HOST, "horizon_ns": 100}
TOML = f"horizon_ns = 100\n[host]\nmemory_bytes = {2 * GIB}\nnodes = 1\ncores = 4\nthreads_per_core = 2\n"
CSV = "t_ns,kind,pfn,npages,vm,inode,folio_pages\n1,assign,512,1024,3,8,512\n5,vm_destroy,0,0,3,-1,0\n"


def columns() -> dict[str, Any]:
    return {
        "t_ns": [1, 5],
        "kind": ["assign", "vm_destroy"],
        "pfn": [512, 0],
        "npages": [1024, 0],
        "vm": [3, 3],
        "inode": [8, -1],
        "folio_pages": [512, 0],
    }


def write_parquet(path: Path, table: pa.Table | dict[str, Any], header: object = HEADER) -> Path:
    table = pa.table(table)
    metadata = None if header is None else {"gmemgpu": header if isinstance(header, str) else json.dumps(header)}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


def write_csv(path: Path, text: str | bytes, toml: str | None = TOML) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    if toml is not None:
        (path.parent / "t.toml").write_text(toml)
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert caught.value.problems
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


def assert_is_the_trace(path: Path) -> None:
    trace = read_trace(path)
    assert {name: getattr(trace, name).tolist() for name in COLUMNS} == {**columns(), "kind": [0, 10]}
    assert (trace.horizon_ns, trace.warmup_ns) == (100, 0)
    assert (trace.host.memory_bytes, trace.host.window_bytes, trace.host.window) == (2 * GIB, 2 * TIB, "global")


# Harmless differences -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
    ids=str,
)
@pytest.mark.parametrize("integer", [pa.int64(), pa.int32(), pa.int16()], ids=str)
def test_parquet_columns_of_any_type_that_fits(tmp_path: Path, kind: pa.DataType, integer: pa.DataType) -> None:
    table = columns()
    arrays = {name: pa.array(values, integer) for name, values in table.items() if name != "kind"}
    kinds = pa.array(table["kind"]).cast(kind.value_type if pa.types.is_dictionary(kind) else kind)
    arrays["kind"] = kinds.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else kinds
    assert_is_the_trace(write_parquet(tmp_path / "t.parquet", arrays))


def test_unsigned_and_dictionary_encoded_integers(tmp_path: Path) -> None:
    table = columns()
    table["t_ns"] = pa.array(table["t_ns"], pa.uint64())
    table["vm"] = pa.array(table["vm"]).dictionary_encode()
    assert_is_the_trace(write_parquet(tmp_path / "t.parquet", table))


def test_several_row_groups_with_different_dictionaries(tmp_path: Path) -> None:
    table = pa.table(columns()).replace_schema_metadata({"gmemgpu": json.dumps(HEADER)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1)
    assert_is_the_trace(tmp_path / "t.parquet")


def test_columns_in_another_order(tmp_path: Path) -> None:
    assert_is_the_trace(write_parquet(tmp_path / "t.parquet", dict(reversed(columns().items()))))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize(
    "text",
    [
        CSV,
        "\ufeff" + CSV,
        CSV.replace("\n", "\r\n"),
        "\ufeff" + CSV.replace("\n", "\r\n"),
        CSV.rstrip("\n"),
        CSV.replace("\n", "\n\n"),
        CSV.replace("assign", '"assign"'),
        CSV.replace("5,vm_destroy", " 5 , vm_destroy "),
    ],
    ids=["plain", "bom", "crlf", "bom and crlf", "no last newline", "blank lines", "quotes", "spaces"],
)
def test_csv_as_editors_leave_it(tmp_path: Path, name: str, text: str) -> None:
    assert_is_the_trace(write_csv(tmp_path / name, text))


def test_header_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert_is_the_trace(write_csv(tmp_path / "t.csv", CSV, "\ufeff" + TOML.replace("\n", "\r\n")))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_trace_without_events_is_read(tmp_path: Path, suffix: str) -> None:
    empty = pa.table(columns()).slice(0, 0)
    path = tmp_path / f"t{suffix}"
    trace = read_trace(
        write_parquet(path, empty) if suffix == ".parquet" else write_csv(path, CSV.splitlines()[0] + "\n")
    )
    assert len(trace) == 0


# Files that cannot be read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_missing_file(tmp_path: Path, name: str) -> None:
    assert problems_of(tmp_path / name) == [f"{name}: cannot be read: No such file or directory; check the path"]


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").mkdir()
    assert problems_of(tmp_path / "t.parquet") == ["t.parquet: cannot be read: Is a directory; check the path"]


def test_unknown_suffix(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "t.feather") == [
        "t.feather: is no trace by its name; the name ends in .parquet, .csv, .csv.gz"
    ]


@pytest.mark.parametrize("keep", [0, 4, 0.5, 0.99])
def test_truncated_parquet(tmp_path: Path, keep: float) -> None:
    path = write_parquet(tmp_path / "t.parquet", columns())
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    (problem,) = problems_of(path)
    assert problem.startswith("t.parquet: is no complete Parquet file (")
    assert problem.endswith("; make or copy it again")


def test_damaged_parquet_page(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", columns())
    data = bytearray(path.read_bytes())
    data[4:40] = b"\xff" * 36
    path.write_bytes(data)
    (problem,) = problems_of(path)
    assert problem.startswith("t.parquet: is no complete Parquet file (")


def test_truncated_gzip(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv.gz", CSV)
    path.write_bytes(path.read_bytes()[:-20])
    assert "t.csv.gz: is no complete gzip file" in problems_of(path)[0]


def test_text_that_is_no_utf8(tmp_path: Path) -> None:
    assert problems_of(write_csv(tmp_path / "t.csv", CSV.encode() + b"6,\xff,0,0,1,-1,0\n")) == [
        "t.csv: line 4: is not UTF-8 text; save the file as UTF-8"
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_csv_without_a_header_line(tmp_path: Path, text: str) -> None:
    assert problems_of(write_csv(tmp_path / "t.csv", text)) == ["t.csv: is empty; the first line names the columns"]


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    assert_is_the_trace(write_parquet(tmp_path / "t.parquet", columns()).rename(tmp_path / "t\udcff.parquet"))


# Headers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "t.parquet: metadata gmemgpu: is missing; give host, horizon_ns and warmup_ns as JSON"),
        ("{", "t.parquet: metadata gmemgpu: is no JSON"),
        ([1], "t.parquet: metadata gmemgpu: is no JSON object"),
        ({"horizon_ns": 9}, "t.parquet: metadata gmemgpu: host: is missing; give memory_bytes, nodes"),
        ({"host": HOST}, "t.parquet: metadata gmemgpu: horizon_ns: is missing; write the end"),
        ({**HEADER, "horizon_ns": 0}, "t.parquet: metadata gmemgpu: horizon_ns: 0 is outside 1 to"),
        (
            {**HEADER, "horizon_ns": 2**63},
            "t.parquet: metadata gmemgpu: horizon_ns: 9223372036854775808 is outside 1 to",
        ),
        ({**HEADER, "horizon_ns": 1e9}, "t.parquet: metadata gmemgpu: horizon_ns: 1000000000.0 is not an integer"),
        ({**HEADER, "warmup_ns": 100}, "t.parquet: metadata gmemgpu: warmup_ns: 100 is outside 0 to 99"),
        ({**HEADER, "warmup_ns": -1}, "t.parquet: metadata gmemgpu: warmup_ns: -1 is outside 0 to 99"),
        ({**HEADER, "warmup": 1}, 'metadata gmemgpu: warmup: unknown key; did you mean "warmup_ns"?'),
        ({**HEADER, "host": {**HOST, "core": 4}}, 'metadata gmemgpu: host.core: unknown key; did you mean "cores"?'),
        ({**HEADER, "host": {**HOST, "cores": "4"}}, "metadata gmemgpu: host.cores: '4' is not an integer"),
        ({**HEADER, "host": {**HOST, "cores": True}}, "metadata gmemgpu: host.cores: True is not an integer"),
        ({**HEADER, "host": {**HOST, "nodes": 3}}, "host.memory_bytes: 2147483648 does not divide evenly into 3 nodes"),
        ({**HEADER, "host": {**HOST, "nodes": 8}}, "host.cores: 4 cores do not divide evenly into 8 nodes"),
        ({**HEADER, "host": {**HOST, "memory_bytes": 0}}, "host.memory_bytes: 0 is not positive"),
        ({**HEADER, "host": {**HOST, "window": "local"}}, 'host.window: "local" is unknown; write "global" or "node"'),
    ],
)
def test_header_faults_are_named(tmp_path: Path, header: object, message: str) -> None:
    assert message in "\n".join(problems_of(write_parquet(tmp_path / "t.parquet", columns(), header)))


def test_csv_without_its_toml(tmp_path: Path) -> None:
    (problem,) = problems_of(write_csv(tmp_path / "t.csv", CSV, toml=None))
    assert problem.startswith("t.toml: is missing; a CSV trace has its host and horizon there")


def test_a_toml_that_is_none(tmp_path: Path) -> None:
    (problem,) = problems_of(write_csv(tmp_path / "t.csv", CSV, "horizon_ns = = 1"))
    assert problem.startswith("t.toml: is no valid TOML")


# Rows and columns -----------------------------------------------------------------------------------------------


def test_missing_unknown_and_repeated_columns_at_once(tmp_path: Path) -> None:
    text = "t_ns,knid,pfn,pfn,npages,vm,inode,colour\n1,assign,0,0,1,1,1,red\n"
    assert problems_of(write_csv(tmp_path / "t.csv", text)) == [
        't.csv: column knid: unknown column; did you mean "kind"?',
        "t.csv: column pfn: is there 2 times; keep one",
        "t.csv: column colour: unknown column; known: t_ns, kind, pfn, npages, vm, inode, folio_pages",
        "t.csv: lacks the columns kind, folio_pages; it needs t_ns, kind, pfn, npages, vm, inode, folio_pages",
    ]


def test_a_parquet_file_of_something_else(tmp_path: Path) -> None:
    problems = problems_of(write_parquet(tmp_path / "t.parquet", {"x": [1.5]}, header=None))
    assert [problem.split("; ")[0] for problem in problems] == [
        "t.parquet: metadata gmemgpu: is missing",
        "t.parquet: column x: unknown column",
        "t.parquet: lacks the columns t_ns, kind, pfn, npages, vm, inode, folio_pages",
    ]


def test_columns_of_the_wrong_type(tmp_path: Path) -> None:
    table = {**columns(), "pfn": [0.5, 1.0], "kind": [1, 2]}
    assert problems_of(write_parquet(tmp_path / "t.parquet", table)) == [
        f"t.parquet: column kind: holds int64; write text, one of {', '.join(KIND_BY_NAME)}",
        "t.parquet: column pfn: holds double; write integers",
    ]


def test_nulls_unknown_kinds_and_numbers_that_do_not_fit_at_once(tmp_path: Path) -> None:
    table = {
        "t_ns": pa.array([0, 1, None, 3, 4, 5], pa.int64()),
        "kind": ["asign", None, "use", "use", "use", "use"],
        "pfn": pa.array([0, 0, 0, 2**63, 0, 0], pa.uint64()),
        "npages": [1] * 6,
        "vm": [1, 1, 1, 1, 2**31, 1],
        "inode": [1, 1, 1, 1, 1, -(2**31) - 1],
        "folio_pages": [1] * 6,
    }
    assert problems_of(write_parquet(tmp_path / "t.parquet", table)) == [
        "t.parquet: row 3, column t_ns: is empty; every row has every column",
        "t.parquet: row 1, column kind: 'asign' is unknown; did you mean \"assign\"?",
        "t.parquet: row 2, column kind: is empty; every row has every column",
        f"t.parquet: row 4, column pfn: 9223372036854775808 is outside {-(2**63)} to {2**63 - 1}",
        "t.parquet: row 5, column vm: 2147483648 is outside -2147483648 to 2147483647",
        "t.parquet: row 6, column inode: -2147483649 is outside -2147483648 to 2147483647",
    ]


def test_rows_after_a_faulty_one_keep_their_numbers(tmp_path: Path) -> None:
    rows = ["0,assign,0,1,1,1,1", "1,bogus,0,1,1,1,1", "0,use,0,1,1,1,1", "5,use,0,-1,1,1,1"]
    text = "\n".join([CSV.splitlines()[0], *rows])
    assert [problem.split(";")[0] for problem in problems_of(write_csv(tmp_path / "t.csv", text))] == [
        "t.csv: row 2, column kind: 'bogus' is unknown",
        "t.csv: row 4, column npages: -1 is negative",
    ]


def test_csv_that_does_not_parse_is_named_row_by_row(tmp_path: Path) -> None:
    rows = [
        "0,assign,0,1,1,1,1",
        "1,assign,99999999999999999999,1,1,1,1",
        "2,assign,x,,1,1,1",
        "3,assign,0,1",
        "4,assign,1.5,1,1,1,1",
        "5,use,0,1,1,1,1,9",
        "6,wrong,0,1,1,1,1",
        f"7,use,{'9' * 5000},1,1,1,1",
        "2,use,0,1,1,1,1",
        "8,use,524288,1,1,1,1",
    ]
    text = "\n".join([CSV.splitlines()[0], *rows])
    assert sorted(problem.split(";")[0] for problem in problems_of(write_csv(tmp_path / "t.csv", text))) == sorted(
        [
            f"t.csv: row 2, column pfn: 99999999999999999999 is outside {-(2**63)} to {2**63 - 1}",
            "t.csv: row 3, column pfn: 'x' is not an integer",
            "t.csv: row 3, column npages: is empty",
            "t.csv: row 4: has 4 fields, not 7 as the first line",
            "t.csv: row 5, column pfn: '1.5' is not an integer",
            "t.csv: row 6: has 8 fields, not 7 as the first line",
            "t.csv: row 7, column kind: 'wrong' is unknown",
            f"t.csv: row 8, column pfn: '{'9' * 39}…' is outside {-(2**63)} to {2**63 - 1}",
            # Row 9 is before row 7, but that one has no meaning; the last sound row above is row 1.
            "t.csv: row 10, column pfn: 1 pages from 524288 are not inside the host of 524288 pages",
        ]
    )


def test_a_broken_header_does_not_hide_broken_rows(tmp_path: Path) -> None:
    problems = problems_of(write_csv(tmp_path / "t.csv", CSV + "4,use,0,1,1,1,7\n", toml="horizon_ns = 0\n"))
    assert [problem.split(":")[0] for problem in problems] == ["t.toml", "t.toml", "t.csv", "t.csv"]


def test_many_faults_of_one_kind_are_counted(tmp_path: Path) -> None:
    problems = problems_of(write_csv(tmp_path / "t.csv", CSV + "9,nope,0,0,1,1,0\n" * 1020))
    assert len(problems) == 21
    assert problems[-1] == "t.csv: column kind: … and 1000 more rows where the kind is unknown"


def test_one_spoiled_row_does_not_spoil_the_others(tmp_path: Path) -> None:
    rows = ["1,assign,0x493e0,512,1,10,1", "2,assign,400000,512,1,10,1", "3,asign,300512,x,1,10,1"]
    text = "\n".join([CSV.splitlines()[0], *rows])
    assert problems_of(write_csv(tmp_path / "t.csv", text)) == [
        "t.csv: row 3, column kind: 'asign' is unknown; did you mean \"assign\"?",
        "t.csv: row 3, column npages: 'x' is not an integer; write it as in 42 or 0x2a",
    ]
    assert read_trace(write_csv(tmp_path / "t.csv", "\n".join(text.splitlines()[:3]))).pfn.tolist() == [
        300_000,
        400_000,
    ]
