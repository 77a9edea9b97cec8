from __future__ import annotations

from pathlib import Path

import pytest

from gmemgpu.errors import TraceError
from gmemgpu.vmtable.cdf_file import read_cdf


def table(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "cdf.csv"
    path.write_text("\n".join(["lifetime_s,cdf", *rows]))
    return path


def test_a_cdf_with_and_without_its_beginning(tmp_path: Path) -> None:
    assert read_cdf(table(tmp_path, "5,0", "60,0.5", "600,1")) == ([5, 60, 600], [0, 0.5, 1])
    assert read_cdf(table(tmp_path, "60,0.5", "600,1")) == ([1, 60, 600], [0, 0.5, 1])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "give at least one point"),
        (("60,0.5", "50,1"), "row 2, column lifetime_s: is not longer"),
        (("60,0.5", "70,0.4", "80,1"), "row 2, column cdf: is smaller"),
        (("60,0.5", "70,0.9"), "row 2, column cdf: does not reach 1"),
        (("0.5,0.5", "70,1"), "row 1, column lifetime_s: is not longer"),
        (("60,1.5",), "row 1, column cdf: 1.5 is outside 0 to 1"),
    ],
)
def test_what_is_no_cdf(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(TraceError, match=message):
        read_cdf(table(tmp_path, *rows))
