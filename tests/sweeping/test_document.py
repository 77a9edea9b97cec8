from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gmemgpu.errors import SpecError
from gmemgpu.sweeping.document import read_document


def unchanged(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    return values


def test_the_including_file_wins_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('seeds = 3\nname = "base"\n[workload]\nsnp.share = 0.5\nstock.vms = 7\n')
    (tmp_path / "top.toml").write_text('include = "base.toml"\nname = "top"\n[workload.stock]\nvms = [1, 2]\n')
    document = read_document(tmp_path / "top.toml", unchanged)
    assert document.values == {
        "seeds": 3,
        "name": "top",
        "workload": {"snp": {"share": 0.5}, "stock": {"vms": [1, 2]}},
    }


def test_includes_start_at_the_including_file_and_nest(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.toml").write_text('include = "b.toml"\nseeds = 2\n')
    (tmp_path / "deep" / "b.toml").write_text('backend = "numpy"\nseeds = 9\n')
    (tmp_path / "top.toml").write_text('include = "deep/a.toml"\n')
    assert read_document(tmp_path / "top.toml", unchanged).values == {"backend": "numpy", "seeds": 2}


def test_a_problem_is_placed_in_the_file_that_said_it(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("[workload]\nsnp.share = 2.0\nstock.vms = 7\n")
    top = tmp_path / "top.toml"
    top.write_text('include = "base.toml"\n[workload]\nstock.vms = -1\n')
    document = read_document(top, unchanged)
    assert document.where("workload.snp.share") == f"{tmp_path / 'base.toml'}: workload.snp.share"
    assert document.where("workload.stock.vms") == f"{top}: workload.stock.vms"
    assert document.where("policy[3].hook") == f"{top}: policy[3].hook"


def test_a_circle_of_includes_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('include = "b.toml"\n')
    (tmp_path / "b.toml").write_text('include = "a.toml"\n')
    with pytest.raises(SpecError) as caught:
        read_document(tmp_path / "a.toml", unchanged)
    assert "b.toml: include: goes round in a circle" in str(caught.value)
    assert str(caught.value).count("a.toml includes") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("include = 3\n", "include: 3 is no file name"),
        ('include = "gone.toml"\n', "gone.toml: cannot be read: No such file"),
        ("seeds = \n", "is no valid TOML"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(SpecError, match=message):
        read_document(tmp_path / "s.toml", unchanged)


@pytest.mark.parametrize(("text", "message"), [(None, "cannot be read: No such file"), ("x = \n", "is no valid TOML")])
def test_what_cannot_be_included_is_placed_where_it_is_asked_for(
    tmp_path: Path, text: str | None, message: str
) -> None:
    (tmp_path / "top.toml").write_text('include = "middle.toml"\n')
    (tmp_path / "middle.toml").write_text('include = "last.toml"\n')
    if text is not None:
        (tmp_path / "last.toml").write_text(text)
    with pytest.raises(SpecError) as caught:
        read_document(tmp_path / "top.toml", unchanged)
    (problem,) = caught.value.problems
    assert problem.where == f"{tmp_path / 'middle.toml'}: include"
    assert problem.message.startswith(f"{tmp_path / 'last.toml'}: {message}")
