from __future__ import annotations

import subprocess
import sys

import pytest
from rich.console import Console

from gmemgpu.cli import help as help_command
from gmemgpu.cli.help import TOPICS, page_text
from gmemgpu.cli.main import COMMANDS, main


def test_no_command_lists_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for command, meaning in COMMANDS.items():
        assert [line for line in lines if line.split(maxsplit=1) == [command, meaning]]


def test_topics_have_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [list(item) for item in TOPICS.items()]


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_on_a_pipe_is_its_text(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", topic]) == 0
    out = capsys.readouterr().out
    assert out == page_text(topic)
    assert out.startswith("# ")
    assert "<!--" not in out


def test_a_page_on_a_terminal_is_rendered(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("rich.console.Console", lambda: Console(force_terminal=True, width=100, file=sys.stdout))
    assert main(["help", "policies"]) == 0
    assert "…" not in capsys.readouterr().out, "cells are cut"
    assert main(["help", "metrics"]) == 0
    out = capsys.readouterr().out
    assert "\x1b[" in out
    assert "optimizable_ns" in out
    assert "| ---" not in out
    assert "## " not in out


@pytest.mark.parametrize(
    ("given", "meant"), [("quickstrat", "quickstart"), ("polices", "policies"), ("sweeps", "sweep")]
)
def test_an_unknown_topic_names_the_near_one(given: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", given]) == 2
    assert capsys.readouterr().err == f'gmemgpu: help {given}: unknown topic; did you mean "{meant}"?\n'


def test_a_command_as_a_topic_gets_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["help", "evaluate"])
    assert ended.value.code == 0
    assert "--policies FILE" in capsys.readouterr().out


def test_topics_load_nothing_heavy() -> None:
    code = (
        "from gmemgpu.cli.main import main; main(['help', 'model']); import sys; print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in ran.stderr.split()}
    assert not loaded & {"numpy", "pyarrow", "dask", "pydantic", "rich"}


def test_pages_come_with_the_package() -> None:
    assert help_command.page_text("quickstart").startswith("# Quickstart")
