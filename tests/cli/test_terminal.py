from __future__ import annotations

import pytest

from gmemgpu.cli.terminal import print_table


def test_a_narrow_terminal_folds_cells_and_cuts_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    print_table(["policy", "hook", "timer"], [["v10", "inode_free_and_more", "debounce(10 s, 60 s)"]])
    out = capsys.readouterr().out
    assert "…" not in out
    assert len(out.splitlines()) > 3, "the terminal was not narrow"


def test_no_line_breaks_on_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["policy", "origin"], [["v10", "word " * 100]])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_no_line_on_a_pipe_ends_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["policy", "origin"], [["v10", "ten"], ["capped", "a word"], ["none", ""]], title="a title")
    assert capsys.readouterr().out == "a title\npolicy  origin\nv10     ten\ncapped  a word\nnone\n"
