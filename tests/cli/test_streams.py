"""Standard streams that are closed or know few characters, and words of others that a terminal would obey."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gmemgpu.cli.main import main

CLOSED = "exec >&-; exec 2>&-; "


def run(*arguments: str, before: str = "", **environment: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        ["sh", "-c", f'{before}exec "$@"', "sh", sys.executable, "-m", "gmemgpu", *arguments],
        capture_output=True,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_an_encoding_of_few_characters_gets_their_likes(tmp_path: Path) -> None:
    trace = str(tmp_path / "t.parquet")
    assert run("generate", "--preset", "mixed-pods", "--small", "-o", trace)[0] == 0
    arguments = ("evaluate", trace, "--policy", "v10", "never")
    assert "–" in run(*arguments, PYTHONIOENCODING="utf-8")[1].decode()
    for encoding in ("ascii", "latin-1"):
        code, out, err = run(*arguments, PYTHONIOENCODING=encoding)
        assert code == 0, err
        assert " - " in out.decode(encoding)
        assert "?" not in out.decode(encoding)


def test_closed_streams_change_no_exit_code(tmp_path: Path) -> None:
    assert run("policies", before="exec >&-; ") == (0, b"", b"")
    assert run("policies", before="exec <&-; ")[0] == 0
    code, _, err = run("trace", "info", str(tmp_path / "no.csv"), before="exec >&-; ")
    assert code == 2
    assert b"no.csv: cannot be read" in err
    assert run("trace", "info", str(tmp_path / "no.csv"), before=CLOSED)[0] == 2


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    made = tmp_path / "t.parquet"
    arguments = ("generate", "--preset", "mixed-pods", "--small", "-o", str(made))
    assert run(*arguments, before=CLOSED) == (0, b"", b"")
    closed = made.read_bytes()
    assert run(*arguments)[0] == 0
    assert made.read_bytes() == closed


def test_no_control_character_of_a_name_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "info", "\x1b[2J\u202e.csv"]) == 2
    err = capsys.readouterr().err
    assert "\\x1b[2J\\u202e.csv" in err
    assert err.replace("\n", "").isprintable()


def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    code, _, err = run("trace", "info", os.fsdecode(os.fsencode(tmp_path) + b"/t\xff.csv"))
    assert code == 2
    assert b"t\\xff.csv: cannot be read" in err


def test_a_broken_configuration_of_dask_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("distributed: [unclosed\n")
    (tmp_path / "s.toml").write_text('policies = ["v10"]\n[workload]\npreset = "mixed-pods"\n')
    for command in (["--dry-run"], ["-o", str(tmp_path / "out")]):
        code, _, err = run(
            "sweep", str(tmp_path / "s.toml"), "-o", str(tmp_path / "out"), *command, DASK_CONFIG=str(tmp_path)
        )
        assert code == 2
        assert b"Traceback" not in err
        assert b"broken.yaml' is malformed; repair or remove that file" in err
    code, out, err = run("doctor", DASK_CONFIG=str(tmp_path), NUMBA_DISABLE_JIT="1")
    assert code == 0, err
    assert b"sweeps cannot run" in out
    assert b"broken.yaml" in out
