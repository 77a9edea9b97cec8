from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gmemgpu.columns.message import MAX_ROWS_NAMED
from gmemgpu.columns.table import Columns
from gmemgpu.columns.text_file import read_text_columns
from gmemgpu.errors import TraceError
from gmemgpu.units import INT64_MAX

LEAST = -INT64_MAX - 1


def columns_of(**cells: list[Any] | pa.Array) -> Columns:
    return Columns(pa.table(cells), "t")


def problems_of(columns: Columns) -> list[str]:
    return [str(problem).removeprefix("t: ") for problem in columns.problems]


# The grammar -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("007", 7),
        ("+5", 5),
        (" \t5 ", 5),
        ("\u00a05", 5),
        ("0" * 40 + "12", 12),
        (str(INT64_MAX), INT64_MAX),
        (str(LEAST), LEAST),
        ("0x0", 0),
        ("0X1f", 31),
        ("0x493E0", 300_000),
        ("0x7fffffffffffffff", INT64_MAX),
        ("0x8000000000000000", LEAST),
        ("0xffffffffffffffff", -1),
    ],
)
def test_integers(cell: str, value: int) -> None:
    columns = columns_of(a=[cell])
    assert columns.integers("a", LEAST).tolist() == [value]
    assert columns.problems == []


@pytest.mark.parametrize(
    "cell", ["x", "1.0", "1e3", "1_000", "1,000", "--1", "+", "0x", "-0x1", "0x00000000000000001", "١", "1 2", "0b1"]
)
def test_what_is_no_integer(cell: str) -> None:
    columns = columns_of(a=[cell, "8"])
    assert columns.integers("a", 3).tolist() == [3, 8]
    assert problems_of(columns) == [f"row 1, column a: {cell!r} is not an integer; write it as in 42 or 0x2a"]


@pytest.mark.parametrize("cell", [str(INT64_MAX + 1), str(LEAST - 1), "-" + "9" * 30, "9" * 5000])
def test_integers_past_64_bits(cell: str) -> None:
    columns = columns_of(a=[cell])
    assert columns.integers("a", 3).tolist() == [3]
    (problem,) = problems_of(columns)
    assert problem.startswith(f"row 1, column a: {cell}" if len(cell) <= 20 else f"row 1, column a: {cell[:20]!r}"[:-1])
    assert problem.endswith(f"is outside 3 to {INT64_MAX}")
    assert len(problem) < 120


@pytest.mark.parametrize(
    ("cell", "value"), [("1", 1.0), ("+5", 5.0), (".5", 0.5), ("5.", 5.0), ("-1.5E+2", -150.0), (" 1e-3 ", 0.001)]
)
def test_decimals(cell: str, value: float) -> None:
    columns = columns_of(a=[cell])
    assert columns.decimals("a", -1e9).tolist() == [value]
    assert columns.problems == []


@pytest.mark.parametrize("cell", ["x", "0,5", "86,400", "1_0", "0x1p3", "nan", "-inf", "infinity", ".", "1e", "١"])
def test_what_is_no_decimal(cell: str) -> None:
    columns = columns_of(a=[cell, "8"])
    assert columns.decimals("a", 3).tolist() == [3, 8]
    assert problems_of(columns) == [f"row 1, column a: {cell!r} is not a number; write it as in 0.5 or 1e3"]


def test_a_decimal_past_every_float_is_outside() -> None:
    columns = columns_of(a=["1e999"])
    columns.decimals("a")
    assert problems_of(columns) == ["row 1, column a: inf is outside 0 to 1.09951e+12"]


def test_words_among_decimals() -> None:
    columns = columns_of(a=["2", ">24", ">25", "inf"])
    assert columns.decimals("a", words={">24": 32}).tolist() == [2, 32, 0, 0]
    assert columns.holds("a", ">24")
    assert not columns.holds("a", ">")
    assert problems_of(columns)[0] == ("row 3, column a: '>25' is not a number; write it as in 0.5 or 1e3 or \">24\"")


cells = st.one_of(
    st.integers(-(2**66), 2**66).map(str),
    st.integers(0, 2**66).map(hex),
    st.text("0123456789abcxXeE+-. _", max_size=20),
).filter(str.strip)


@given(cell=cells)
@example(cell="0x493e0")
@example(cell="0xffffffffffffffff")
@example(cell="+5")
def test_a_cell_means_the_same_in_every_file(cell: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "cells.csv"
    found = []
    for others, typed in ((), True), ((), False), (("x",), True), (("x",), False):
        path.write_text("\n".join(["n,d", f"{cell},{cell}", *(f"{other},{other}" for other in others), ""]))
        columns = read_text_columns(path, integers=["n"] if typed else [])
        read = columns.integers("n", LEAST)[0], columns.decimals("d", -1e30, 1e30)[0]
        found.append((read, [problem for problem in problems_of(columns) if "row 1," in problem]))
    assert all(one == found[0] for one in found)


# Cells and columns that cannot be read ---------------------------------------------------------------------------


def test_every_bad_cell_is_named_once_with_row_and_column() -> None:
    columns = columns_of(a=["1", "1.5", "", "7", None], b=["x", "2", "nan", "1e99", "7"])
    columns.integers("a", high=6)
    columns.decimals("b")
    assert problems_of(columns) == [
        "row 2, column a: '1.5' is not an integer; write it as in 42 or 0x2a",
        "row 3, column a: is empty; every row has every column",
        "row 4, column a: 7 is outside 0 to 6",
        "row 5, column a: is empty; every row has every column",
        "row 1, column b: 'x' is not a number; write it as in 0.5 or 1e3",
        "row 3, column b: 'nan' is not a number; write it as in 0.5 or 1e3",
        "row 4, column b: 1e+99 is outside 0 to 1.09951e+12",
    ]
    with pytest.raises(TraceError) as caught:
        columns.raise_problems()
    assert list(caught.value.problems) == columns.problems


def test_many_bad_cells_are_counted() -> None:
    columns = columns_of(a=["x"] * 50)
    columns.integers("a")
    assert len(columns.problems) == MAX_ROWS_NAMED + 1
    assert problems_of(columns)[-1] == "column a: … and 30 more rows where it cannot be read"


def test_rules_judge_only_cells_that_could_be_read() -> None:
    columns = columns_of(begin=["5", "x", "5", "5"], end=["4", "4", "?", "9"])
    begin, end = columns.integers("begin"), columns.integers("end")
    columns.refuse("end", end < begin, "is before begin", "begin")
    # What a rule refused is not judged again, by the same rule or another.
    columns.refuse("end", end < 5, "is below 5")
    assert [problem.split(";")[0] for problem in problems_of(columns)] == [
        "row 2, column begin: 'x' is not an integer",
        "row 3, column end: '?' is not an integer",
        "row 1, column end: is before begin",
        "row 2, column end: is below 5",
    ]
    sound, row_numbers = columns.sound_rows()
    assert sound is not None
    assert row_numbers is not None
    assert (sound.tolist(), row_numbers.tolist()) == ([False, False, False, True], [4])


def test_words() -> None:
    codes = {"plain": 0, "snp": 1}
    text = ["snp", " plain ", "spn", "", None, "snp"]
    for column in (pa.array(text), pa.array(text).dictionary_encode(), pa.array(text, pa.large_string())):
        columns = columns_of(kind=column)
        assert columns.words("kind", codes).tolist() == [1, 0, 0, 0, 0, 1]
        assert problems_of(columns) == [
            "row 3, column kind: 'spn' is unknown; did you mean \"snp\"?",
            "row 4, column kind: is empty; every row has every column",
            "row 5, column kind: is empty; every row has every column",
        ]


def test_a_word_that_is_no_utf8() -> None:
    columns = columns_of(kind=pa.array([b"snp", b"\x1b\xff"]))
    assert columns.words("kind", {"snp": 1}).tolist() == [1, 0]
    assert problems_of(columns) == ["row 2, column kind: b'\\x1b\\xff' is not UTF-8 text; save the file as UTF-8"]


def test_integers_of_any_arrow_type() -> None:
    columns = columns_of(
        a=pa.array([1, None, 2**63], pa.uint64()),
        b=pa.array([1, 5, 1], pa.int8()).dictionary_encode(),
        c=pa.array([0.5, 1, 2]),
        d=pa.nulls(3),
    )
    assert columns.integers("a", -1).tolist() == [1, -1, -1]
    assert columns.integers("b", high=4).tolist() == [1, 0, 1]
    assert columns.integers("c").tolist() == [0, 0, 0]
    assert columns.integers("d", 1).tolist() == [1, 1, 1]
    assert problems_of(columns)[:4] == [
        "row 2, column a: is empty; every row has every column",
        f"row 3, column a: {2**63} is outside -1 to {INT64_MAX}",
        "row 2, column b: 5 is outside 0 to 4",
        "column c: holds double; write integers",
    ]
    assert len(columns.problems) == 7


def test_control_characters_and_endless_cells_never_reach_the_terminal() -> None:
    evil = "\x1b[2J\x1b[31mx\n\u202e"
    columns = Columns(pa.table({"a": [evil, evil * 1000], "b": [evil, evil * 1000], evil: ["", ""]}), "t")
    columns.check_names(("a", "b"))
    columns.integers("a")
    columns.decimals("b")
    columns.words("a", {"assign": 0})
    assert len(columns.problems) == 5
    for problem in problems_of(columns):
        assert problem.isprintable()
        assert len(problem) < 140


def test_missing_unknown_and_repeated_columns_at_once() -> None:
    table = pa.table([["1"]] * 4, names=["arival_s", "x", "n", "n"])
    with pytest.raises(TraceError) as caught:
        Columns(table, "t").check_names(("arrival_s", "n"), ("node",))
    assert [str(problem) for problem in caught.value.problems] == [
        't: column arival_s: unknown column; did you mean "arrival_s"?',
        "t: column x: unknown column; known: arrival_s, n, node",
        "t: column n: is there 2 times; keep one",
        "t: lacks the column arrival_s; it needs arrival_s, n",
    ]


def test_a_number_is_one_whichever_reader_meets_it() -> None:
    cells = ["42", "-7", "+5", "0x2a", "1_000", "٥", "0x", "", "nan"]
    table = Columns(pa.table({"a": cells, "b": cells}), "t")
    assert table.integers("a", low=-10).tolist()[:4] == [42, -7, 5, 42]
    assert table.decimals("b", low=-10).tolist()[:4] == [42.0, -7.0, 5.0, 42.0]
    rows = [problem.where.partition(",")[0] for problem in table.problems]
    assert rows[:5] == rows[5:] == [f"t: row {i}" for i in range(5, 10)]
