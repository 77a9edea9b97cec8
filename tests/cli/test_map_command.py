from __future__ import annotations

import io
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


def drawn(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["map", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_map(trace: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = drawn(capsys, trace, "--policy", "v10")
    assert lines[:2] == [
        f"{trace} under v10: 4 regions of 1 GiB, 60 s",
        "5 free episodes after guests: 4 optimized, 1 overtaken, 0 never",
    ]
    # 2 s a column: 30 of them, and 10 columns of labels.
    (zero,) = (line for line in lines if line.startswith("        0 "))
    assert zero == "        0 ░░░█████··░░░░░░░░█████·······"


@pytest.mark.parametrize("columns", [20, 60, 80, 120])
@pytest.mark.parametrize("lines", [10, 24, 50])
def test_it_fits_the_terminal(
    trace: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, lines: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    found = drawn(capsys, trace, "--policy", "v10")
    assert max(len(line) for line in found[3:9]) <= columns
    assert len(found) <= max(lines, 18)


def test_an_encoding_without_blocks_gets_ascii(trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, is_ascii in (("ascii", True), ("latin-1", True), ("utf-8", False)):
        out = io.TextIOWrapper(io.BytesIO(), encoding)
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", out)
            assert main(["map", trace, "--policy", "v10"]) == 0
        out.seek(0)
        assert out.read().isascii() == is_ascii


def test_ascii_on_request(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\n".join(drawn(capsys, trace, "--policy", "v10", "--ascii")).isascii()


def test_some_regions_for_some_time(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = drawn(capsys, trace, "--policy", "v10", "--region", "1-2", "--from", "10 s", "--until", "45 s")
    assert [line.split()[0] for line in lines[5:7]] == ["2", "1"]
    assert set(lines[6][10:]) == {"░", "█"}
    assert lines[7].startswith("          |")
    assert lines[8].startswith("          10 s")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--policy: is missing; name one policy, as in --policy v10; `gmemgpu policies` lists them"),
        (["--policy", "v10", "v3"], "--policy: gives 2 (v10, v3); name one policy"),
        (["--policy", "v11"], '--policy[0]: "v11" is no policy; did you mean "v10"?'),
        (["--policy", "v10", "--region", "4"], "--region: 4 is beyond the host, which has regions 0 to 3"),
        (["--policy", "v10", "--region", "2-1"], "--region: 2-1 ends before it begins; write 1-2"),
        (["--policy", "v10", "--region", "all"], '--region: "all" is no region; write its number, or two as in 0-63'),
        (["--policy", "v10", "--from", "61 s"], '--from: "61 s" is past the horizon; the trace ends at 60 s'),
        (["--policy", "v10", "--from", "5 s", "--until", "5 s"], "--until: is not after --from"),
        (["--policy", "v10", "--until", "soon"], '--until: "soon" is not a time'),
    ],
)
def test_wrong_input(trace: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["map", trace, *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"gmemgpu: {message}")


def test_a_trace_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", str(tmp_path / "no.parquet"), "--policy", "v10"]) == 2
    assert "no.parquet: cannot be read" in capsys.readouterr().err
