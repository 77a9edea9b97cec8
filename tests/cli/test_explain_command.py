from __future__ import annotations

import io
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


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["explain", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_run(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, trace, "--policy", "v10")
    assert lines[1] == "5 free episodes after guests: 4 optimized, 1 overtaken, 0 never"
    assert "pass 2 at 45.000 s, for 2 requests" in lines


def test_a_region_and_a_time(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "region 2, covered by 4 cores" in told(capsys, trace, "--policy", "v10", "--region", "2")
    assert "At 36.000 s regions are: 4 free and not optimized." in told(
        capsys, trace, "--policy", "v10", "--time", "36 s"
    )
    # The horizon itself is after the last instant.
    assert told(capsys, trace, "--policy", "v10", "--time", "60 s")[3].startswith("At 60.000 s regions are: 1 busy")


def test_a_policy_of_ones_own(trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "p.toml"
    own.write_text('[[policy]]\nname = "mine"\nhook = "vm_destroy"\ntimer = "fixed(10 s)"\n')
    assert told(capsys, trace, "--policies", str(own))[1].endswith("5 optimized, 0 overtaken, 0 never")


def test_an_encoding_that_lacks_characters_of_a_name(
    trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "p.toml"
    own.write_text('[[policy]]\nname = "später"\nhook = "vm_destroy"\n', encoding="utf-8")
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", out)
        assert main(["explain", trace, "--policies", str(own)]) == 0
    out.seek(0)
    assert "under sp\\xe4ter: 4 regions" in out.read()


def test_json(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads("\n".join(told(capsys, trace, "--policy", "v10", "--json")))
    assert (found["policy"], len(found["passes"]), len(found["requests"])) == ("v10", 3, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "v11"], '--policy[0]: "v11" is no policy; did you mean "v10"?'),
        (["--policy", "oracle"], "--policy: the oracle is a bound"),
        (["--policy", "v10", "--region", "4"], "--region: 4 is beyond the host, which has regions 0 to 3"),
        (["--policy", "v10", "--region", "0-1"], '--region: "0-1" are several; explain tells the life of one'),
        (["--policy", "v10", "--time", "2 min"], '--time: "2 min" is past the horizon; the trace ends at 60 s'),
        (["--policy", "v10", "--time", "late"], '--time: "late" is not a time'),
    ],
)
def test_wrong_input(trace: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["explain", trace, *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"gmemgpu: {message}")


def test_a_trace_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.parquet").write_text("no trace")
    assert main(["explain", str(tmp_path / "t.parquet"), "--policy", "v10"]) == 2
    assert "t.parquet" in capsys.readouterr().err
