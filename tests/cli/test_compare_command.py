from __future__ import annotations

import json
from pathlib import Path

import pytest
from two_teardowns import two_teardowns

from gmemgpu.cli.main import main
from gmemgpu.trace.write import write_trace


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "t.parquet"
    write_trace(two_teardowns(), path)
    return str(path)


def test_words(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", trace, "--policy", "v10", "v3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{trace}: v10 against v3, 60 s"
    assert "optimized                  4           5          -1" in lines


def test_every_episode(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", trace, "--policy", "never", "oracle"]) == 0
    worst = capsys.readouterr().out
    assert main(["compare", trace, "--policy", "never", "oracle", "--all"]) == 0
    whole = capsys.readouterr().out
    assert (worst.count("  region "), whole.count("  region ")) == (2, 5)


def test_json(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", trace, "--policy", "v10", "v3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    v10, v3 = found["runs"]
    assert (v10["policy"], v10["reoptimized"], v10["overtaken"], v10["never"]) == ("v10", 4, 1, 0)
    assert v3["missed_alone"] == []
    (missed,) = v10["missed_alone"]
    assert (missed["region"], missed["reason"], missed["request"]) == (2, "put_off", 2)
    assert missed["lost_ns"] == missed["end_ns"] - missed["set_by_other_ns"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "v10"], "--policy: gives 1 (v10); name 2 policies, as in --policy v10 capped"),
        ([], "--policy: is missing; name 2 policies"),
        (["--policy", "v10", "v10"], '--policy[1]: "v10" comes twice'),
        (["--policy", "v10", "v33"], '--policy[1]: "v33" is no policy; did you mean "v3"?'),
    ],
)
def test_wrong_input(trace: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["compare", trace, *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"gmemgpu: {message}")
