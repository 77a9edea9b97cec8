from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gmemgpu.errors import TraceError
from gmemgpu.vmtable.csv_columns import MAX_ROWS_NAMED, CsvColumns


def write(path: Path, text: str, **how: str) -> Path:
    path.write_bytes(text.encode(**how))
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("packed", [False, True])
def test_line_ends_marks_and_gzip_are_all_one(tmp_path: Path, end: str, mark: str, packed: bool) -> None:
    data = f"{mark}a,b{end}1,2.5{end} -3 ,4{end}".encode()
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    file = CsvColumns(path)
    assert file.names == ("a", "b")
    assert file.integers("a", low=-5).tolist() == [1, -3]
    assert file.decimals("b").tolist() == [2.5, 4.0]
    assert file.problems == []


def test_every_bad_cell_is_named_with_row_and_column(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a,b\n1,x\n1.5,2\n,nan\n99999999999999999999,1e99\n7,7\n")
    file = CsvColumns(path)
    file.integers("a", high=6)
    file.decimals("b")
    with pytest.raises(TraceError) as caught:
        file.raise_problems()
    lines = [str(problem).removeprefix(f"{path}: ") for problem in caught.value.problems]
    assert lines == [
        'row 2, column a: "1.5" is not an integer',
        'row 3, column a: "" is not an integer',
        'row 4, column a: "99999999999999999999" is not an integer',
        "row 5, column a: 7 is outside 0 to 6",
        'row 1, column b: "x" is not a number',
        "row 3, column b: nan is outside 0 to 1.09951e+12",
        "row 4, column b: 1e+99 is outside 0 to 1.09951e+12",
    ]


def test_many_bad_cells_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a\n" + "x\n" * 50)
    file = CsvColumns(path)
    file.integers("a")
    assert len(file.problems) == MAX_ROWS_NAMED + 1
    assert "30 more rows" in file.problems[-1].message


def test_rows_of_another_length(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n")
    file = CsvColumns(path)
    assert [str(p).removeprefix(f"{path}: ") for p in file.problems] == [
        "row 2: has 1 fields, not 2; repair or remove the row",
        "row 3: has 3 fields, not 2; repair or remove the row",
    ]
    path = write(tmp_path / "bare.csv", "1,2\n3\n")
    assert "row 2:" in str(CsvColumns(path, ("a", "b")).problems[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"a,a\n1,2\n", "names column a twice"),
        (b"a\n\xff\xfe\n", "is no CSV text"),
    ],
)
def test_files_that_are_no_csv(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    with pytest.raises(TraceError, match=message):
        CsvColumns(path)


def test_broken_gzip_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"123456789\n" * 100_000)[:-500])
    with pytest.raises(TraceError, match="cannot be read"):
        CsvColumns(path)
    with pytest.raises(TraceError, match="No such file"):
        CsvColumns(tmp_path / "absent.csv")


def test_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    file = CsvColumns(write(tmp_path / "t.csv", "a,b\n"))
    assert len(file) == 0
    assert file.integers("a").tolist() == []


def test_missing_and_unknown_columns(tmp_path: Path) -> None:
    file = CsvColumns(write(tmp_path / "t.csv", "arival_s,x\n1,2\n"))
    with pytest.raises(TraceError) as caught:
        file.check_names(("arrival_s",), ("node",))
    text = str(caught.value)
    assert 'column arival_s: unknown column; did you mean "arrival_s"?' in text
    assert "column arrival_s: is missing" in text
    assert "column x: unknown column" in text
