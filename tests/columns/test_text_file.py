from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from gmemgpu.columns.message import MAX_ROWS_NAMED
from gmemgpu.columns.table import Columns
from gmemgpu.columns.text_file import read_first_lines, read_text_columns
from gmemgpu.errors import TraceError


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def problems_of(columns: Columns) -> list[str]:
    return [str(problem).removeprefix(f"{columns.where}: ") for problem in columns.problems]


def problem_with(path: Path) -> str:
    with pytest.raises(TraceError) as caught:
        read_text_columns(path)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("packed", [False, True])
def test_line_ends_marks_and_gzip_are_all_one(tmp_path: Path, end: str, mark: str, packed: bool) -> None:
    data = f"{mark}a,b{end}1,2.5{end} -3 ,4{end}".encode()
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    columns = read_text_columns(path)
    assert columns.names == ("a", "b")
    assert columns.integers("a", low=-5).tolist() == [1, -3]
    assert columns.decimals("b").tolist() == [2.5, 4.0]
    assert columns.problems == []


@pytest.mark.parametrize(("header", "names"), [("", ("a", "b")), ("a,b\n", None), ("\n\n\ufeffa,b\n", None)])
def test_rows_of_another_length_are_left_out_and_the_others_keep_their_numbers(
    tmp_path: Path, header: str, names: tuple[str, ...] | None
) -> None:
    path = write(tmp_path / "t.csv", header.replace("\ufeff", "") + "1,2\n3\n\n4,5,6\n7,x\n")
    columns = read_text_columns(path, names)
    assert columns.integers("a").tolist() == [1, 7]
    columns.integers("b")
    as_first = " as the first line" if header else ""
    assert problems_of(columns) == [
        f"row 2: has 1 fields, not 2{as_first}; repair or remove the row",
        f"row 3: has 3 fields, not 2{as_first}; repair or remove the row",
        "row 4, column b: 'x' is not an integer; write it as in 42 or 0x2a",
    ]


def test_many_rows_of_another_length_are_counted(tmp_path: Path) -> None:
    columns = read_text_columns(write(tmp_path / "t.csv", "a,b\n" + "1\n" * 50))
    assert len(columns.problems) == MAX_ROWS_NAMED + 1
    assert problems_of(columns)[-1] == "rows: … and 30 more rows where the number of fields is wrong"


def test_rows_past_the_first_block_are_named_by_their_number(tmp_path: Path) -> None:
    text = "a,b\n" + "1,2\n" * 400_000 + "3\n" + "1,2\n" * 400_000 + "1,x\n"
    columns = read_text_columns(write(tmp_path / "t.csv", text), integers=["a", "b"])
    columns.integers("b")
    assert [problem.split(":")[0] for problem in problems_of(columns)] == ["row 400001", "row 800002, column b"]


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_an_empty_file(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "t.csv", text)
    assert problem_with(path) == "is empty; the first line names the columns"
    with pytest.raises(TraceError, match="is empty"):
        read_first_lines(path, [])


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_header_line_alone_is_an_empty_table(tmp_path: Path, end: str) -> None:
    columns = read_text_columns(write(tmp_path / "t.csv", f"a,b{end}"), integers=["a"])
    assert len(columns) == 0
    assert columns.integers("a").tolist() == []
    assert columns.decimals("b").tolist() == []
    assert columns.words("b", {"x": 1}).tolist() == []


def test_text_that_is_no_utf8_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 100_000 + b"1,M\xfcller\n3\n")
    assert problem_with(path) == "line 100002: is not UTF-8 text; save the file as UTF-8"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_utf16_with_a_mark_or_without(tmp_path: Path, encoding: str, packed: bool) -> None:
    path = tmp_path / "t.csv"
    data = "name,b\nMüller,2\n".encode(encoding)
    path.write_bytes(gzip.compress(data) if packed else data)
    columns = read_text_columns(path)
    assert columns.text("name") == ["Müller"]
    assert columns.integers("b").tolist() == [2]


def test_utf16_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("a,b\n1,2\n".encode("utf-16")[:-1])
    assert problem_with(path) == "is no sound UTF-16 text; save the file as UTF-8"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_line_ends_and_comments(tmp_path: Path, delimiter: str, end: str) -> None:
    lines = ["# made by a tool, 1, 2", "", "a;b", "1;2", "#3;4", "# half a line", "5;6;7", "# more", "x;8", ""]
    columns = read_text_columns(write(tmp_path / "t.csv", end.join(lines).replace(";", delimiter)))
    assert columns.names == ("a", "b")
    assert columns.integers("b").tolist() == [2, 8]
    columns.integers("a")
    assert problems_of(columns) == [
        "row 2: has 3 fields, not 2 as the first line; repair or remove the row",
        "row 3, column a: 'x' is not an integer; write it as in 42 or 0x2a",
    ]


def test_if_every_row_begins_with_a_hash_none_is_a_comment(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "id,b\n#1,2\n#2,3\n")
    # The first lines are looked at before anything is known of columns.
    assert read_text_columns(path).text("id") == ["#1", "#2"]


def test_a_note_of_several_lines_is_one_cell(tmp_path: Path) -> None:
    columns = read_text_columns(write(tmp_path / "t.csv", 'a,note\n1,"two\nlines, one ""cell"""\n2,\n'))
    assert columns.text("note") == ['two\nlines, one "cell"', ""]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_compression_shows_in_the_bytes_not_the_name(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(pack(b"a\n7\n"))
    assert read_text_columns(path).integers("a").tolist() == [7]
    path.write_bytes(pack(b"a\n" + bytes(str(list(range(9000))), "ascii"))[:-20])
    assert "file; copy it again" in problem_with(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PAR1....", "is a Parquet file, not CSV text; save the table as CSV"),
        (b"SQLite format 3\x00....", "is an SQLite file, not CSV text; save the table as CSV"),
        (b"PK\x03\x04....", "is a ZIP or Excel file, not CSV text; save the table as CSV"),
        (b"a,b\n1,\x00\x00\n", "is no text: it holds zero bytes; save the table as CSV or Parquet"),
        (b"a,b\xff\n1,2\n", "line 1: is not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_what_is_no_text_is_said_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    assert problem_with(path) == message


def test_a_gzip_file_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"123456789\n" * 100_000)[:-500])
    assert problem_with(path) == "is no complete gzip file; copy it again"


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    assert problem_with(tmp_path / "absent.csv") == "cannot be read: No such file or directory; check the path"
    assert problem_with(tmp_path) == "cannot be read: Is a directory; check the path"


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = write(tmp_path / "t\udcff.csv", "a\n7\n")
    assert read_text_columns(path).integers("a").tolist() == [7]


def test_an_endless_line(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a,b\n1," + "7" * 3_000_000 + "\n")
    assert (
        problem_with(path)
        == "has a line of more than 1 MiB, or a quote that is not closed; save the table as CSV again"
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_line_without_an_end_is_not_read_to_its_end(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    # As of a bomb: what follows is not even text.
    path = tmp_path / "t.csv"
    path.write_bytes(pack(b"a,b\n" + b"1" * (4 << 20) + b"\xff"))
    assert problem_with(path) == (
        "has a line of more than 1 MiB, or a quote that is not closed; save the table as CSV again"
    )


def test_a_window_that_is_too_large(tmp_path: Path) -> None:
    # The header of `zstd --long=31`.
    path = tmp_path / "t.csv.zst"
    path.write_bytes(bytes.fromhex("28b52ffd04a8") + zstd(b"a,b\n1,2\n")[6:])
    assert "with a window of more than 128 MiB; compress it without --long" in problem_with(path)


def test_a_first_line_without_an_end(tmp_path: Path) -> None:
    # Cut, it would name other columns than the file has.
    names = ",".join(f"column_{i}" for i in range(9000))
    for text in (f"a,b,{names}\n1,2\n", "#" * 70_000, "x" * 70_000):
        assert problem_with(write(tmp_path / "t.csv", text)) == (
            "has no whole line in its first 64 KiB, as every table has; is this the right file?"
        )
