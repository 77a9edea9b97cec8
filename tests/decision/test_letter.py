"""Mails and Markdown against files that people have read: tests/decision/golden."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from decision_rows import Figures, decided, rows, stored

from gmemgpu.cli.main import main
from gmemgpu.decision import decision as deciding
from gmemgpu.decision.letter import QUANTITIES, WIDTH, mail_lines, markdown_lines
from gmemgpu.report import comparison
from gmemgpu.report.comparison import comparison_table

GOLDEN = Path(__file__).parent / "golden"
COMMAND = "gmemgpu sweep SPEC -o DIR && gmemgpu report DIR --mail"

KEPT = ([20, 40, 60, 80], [0, 0, 0, 0])
MORE = ([30, 50, 70.5, 89.5], [8, 9, 7, 8])
WASTE = ([29, 49, 70.5, 88.5], [9, 9, 8, 9])
BOUND = ([90, 91, 92, 93], [0, 0, 0, 0])
LESS = ([19, 38, 57, 70], [5, 6, 7, 8])
FIGURES: Figures = {"merged": KEPT, "more": MORE, "waste": WASTE, "less": LESS, "oracle": BOUND}
MADE = [*rows("a", FIGURES, updates={"more": 10**9}), *rows("bé", {**FIGURES, "more": (KEPT[0], MORE[1])})]


def letter(form: Any, made: list[dict[str, Any]], n_parts: int = 1, **options: Any) -> str:
    found = decided(made, n_parts=n_parts, **options)
    return "".join(f"{line}\n" for line in form(found, comparison_table(stored(made), quantities=QUANTITIES), COMMAND))


@pytest.mark.parametrize(("form", "name"), [(mail_lines, "mail.txt"), (markdown_lines, "page.md")])
def test_golden(form: Any, name: str) -> None:
    told = letter(form, MADE, n_parts=4, share=0.01)
    path = GOLDEN / name
    assert told == path.read_text(encoding="utf-8"), f"write what is told into {path} if it is right"


def test_a_mail_is_narrow_ascii_without_trailing_blanks() -> None:
    long = {f"policy_of_a_long_name_{name}": figures for name, figures in FIGURES.items() if name != "oracle"}
    for made in (MADE, rows("ü", {**long, "oracle": BOUND})):
        told = letter(mail_lines, made)
        assert told.isascii()
        assert all(line == line.rstrip() and len(line) <= WIDTH for line in told.splitlines())


def test_columns_that_have_no_room_are_named() -> None:
    long = {f"policy_of_a_very_long_name_indeed_{name}": figures for name, figures in FIGURES.items()}
    assert "(left out for want of room: core_s, coverage)" in letter(mail_lines, rows("a", long))


def test_tables_of_many_policies_hold_what_some_worth_makes_best() -> None:
    many = {**FIGURES, **{f"less{i}": ([x - i for x in LESS[0]], LESS[1]) for i in range(1, 4)}}
    told = letter(mail_lines, rows("a", many))
    assert re.search(r"^more ", told, re.MULTILINE)
    assert not re.search(r"^(less\d?|waste) ", told, re.MULTILINE)
    assert "of 6 that were held against merged" in told.replace("\n", " ")
    # Without any, all are shown.
    none = {"merged": BOUND, **{f"less{i}": LESS for i in range(6)}}
    assert len(re.findall(r"^less\d ", letter(mail_lines, rows("a", none), worth=10), re.MULTILINE)) == 6


def test_markdown_escapes_what_would_break_a_table() -> None:
    assert r"| `a\|b` |" in letter(markdown_lines, rows("a", {"merged": KEPT, "a|b": MORE}))


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from decision_rows import PROVENANCE

    for module in (deciding, comparison):
        monkeypatch.setattr(module, "read_rows", lambda directory, columns: stored(MADE))
    monkeypatch.setattr(deciding, "provenance_of", lambda directory: PROVENANCE)
    assert main(["report", "results", "--mail", "--worth", "1 %"]) == 0
    told = capsys.readouterr().out
    assert told.isascii()
    assert told.splitlines()[-1] == "  gmemgpu sweep SPEC -o DIR && gmemgpu report DIR --mail --worth '1 %'"
    known = replace(PROVENANCE, command="gmemgpu sweep 'my host.toml' -o DIR")
    monkeypatch.setattr(deciding, "provenance_of", lambda directory: known)
    assert main(["report", "results", "--mail"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "  gmemgpu sweep 'my host.toml' -o DIR && gmemgpu report DIR --mail"
    assert main(["report", "results", "--markdown", "--policy", "more", "merged"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[-2].endswith("gmemgpu report DIR --markdown --policy more merged")
    assert "| benefit [%] | never | core-s [s] | coverage [%] |" in told
    # Without an oracle there is no benefit.
    for module in (deciding, comparison):
        monkeypatch.setattr(
            module, "read_rows", lambda directory, columns: stored([r for r in MADE if r["policy"] != "oracle"])
        )
    assert main(["report", "results", "--markdown"]) == 0
    assert "benefit" not in capsys.readouterr().out
