from __future__ import annotations

import json
from pathlib import Path

import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.cli import terminal
from gmemgpu.cli.main import main
from gmemgpu.model.policy import Timer

NAMES = [policy.name for policy in named_policies()]


def test_a_table_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["policy", *NAMES]
    assert "debounce(10 s, 60 s)" in next(line for line in lines if line.startswith("capped"))


@pytest.mark.parametrize(
    ("width", "left_out"),
    [
        (80, "busy, gate, executor, boot, origin"),
        (105, "busy, gate, boot, origin"),
        (130, "origin"),
        (160, ""),
    ],
)
def test_a_narrow_terminal_has_the_most_telling_columns(
    width: int, left_out: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "text_width", lambda: width)
    assert main(["policies"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    if left_out:
        assert lines.pop() == f"{left_out}: in a wider terminal, or with --json"
        # A terminal's table has a blank more at each side, and none is folded.
        assert all(len(line.rstrip()) + 2 <= width for line in lines)
    assert [line.split()[0] for line in lines] == NAMES
    assert not set(heading.split()) & set(left_out.split(", "))


def test_json_gives_every_choice_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    for row, policy in zip(rows, named_policies(), strict=True):
        assert Timer.parse(row.pop("timer")) == policy.timer
        assert row == {name: getattr(policy, name) for name in row}
        assert set(row) == {"name", "hook", "busy", "scope", "gate", "executor", "boot", "origin"}


def test_markdown_has_one_line_a_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "--markdown", "v10", "oracle"]) == 0
    heading, rule, v10, oracle = capsys.readouterr().out.splitlines()
    assert heading == "| policy | hook | timer | busy | scope | gate | executor | boot | origin |"
    assert rule == "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    assert v10.startswith("| `v10` | vm_destroy | debounce(10 s) | rerun | window | all | leader_followers | yes | ")
    assert oracle.startswith("| `oracle` | – |")


def test_those_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.toml"
    path.write_text('[[policy]]\nname = "mine"\nhook = "free_folio"\n')
    assert main(["policies", "--policies", str(path), "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["mine"]


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "refcont"]) == 2
    assert capsys.readouterr().err == 'gmemgpu: NAME[0]: "refcont" is no policy; did you mean "refcount"?\n'
