"""Lines of rmpopt-table, as the postings print them."""

from __future__ import annotations

import pytest

from gmemgpu.errors import TraceError
from gmemgpu.rmp.rmpopt_table import read_rmpopt_table

# Regions, widths and lists as in the commit text of v2.
TABLE = """\
Memory @  0GB: CPU(s): none
Memory @  1GB: CPU(s): none
Memory @  2GB: CPU(s): 0-1023
Memory @  4GB: CPU(s): 0,4-7,511

Memory @1037GB: CPU(s): 0-1023
"""


def found(text: str) -> dict[int, int]:
    return read_rmpopt_table(enumerate(text.splitlines(), 1), "t")


def test_lines_of_every_kind() -> None:
    assert found(TABLE) == {0: 0, 1: 0, 2: 1024, 4: 6, 1037: 1024}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Memory @  1GB: CPU(s): none", "comes after a later region"),
        ("Memory @  3GB: CPU(s): 5,4", "is no line of rmpopt-table"),
        ("Memory @  3GB: CPU(s): 5-4", "is no line of rmpopt-table"),
        ("Memory @  3GB: CPU(s): 99999999", "is no line of rmpopt-table"),
        ("Memory @  3GB: CPU(s): 0-70000", "is no line of rmpopt-table"),
        ("Memory @99999999GB: CPU(s): 0", "is no line of rmpopt-table"),
        ("Memory @  ٣GB: CPU(s): 0", "is no line of rmpopt-table"),
        ("\x1b[31mMemory", "is no line of rmpopt-table"),
    ],
)
def test_other_lines_are_refused(line: str, why: str) -> None:
    with pytest.raises(TraceError) as caught:
        found(f"Memory @  2GB: CPU(s): 0\n{line}")
    (problem,) = caught.value.problems
    assert problem.where == "t: line 2"
    assert problem.message == f"{line!r} {why}; save the file of debugfs again"


def test_no_line_at_all() -> None:
    with pytest.raises(TraceError, match="t: has no line of rmpopt-table"):
        found("\n\n")
