"""``gmemgpu show`` as a terminal shows it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from gmemgpu.cli.main import main
from gmemgpu.sweeping.run.share import compute_share

SPEC = {
    "name": "small",
    "seeds": 3,
    "policies": ["boot_only", "v10", "dirty_10s"],
    "workload": {
        "preset": "idle-snp",
        "horizon_ns": "10 min",
        "warmup_ns": "1 s",
        "snp": {"share": [0.2, 0.5]},
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("show") / "out"
    assert compute_share(SPEC, directory, index=0, of=1, backend="numpy").is_merged
    return directory


def on_terminal(columns: int, *arguments: str, **environment: str) -> bytes:
    """Return what a command writes to a terminal so wide."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "gmemgpu", *arguments]
    with subprocess.Popen(command, stdout=follower, env={**kept, "TERM": "xterm-256color", **environment}) as process:
        os.close(follower)
        written = b""
        while True:
            try:
                piece = os.read(leader, 65_536)
            except OSError:
                # How Linux says that the other side is closed.
                break
            if not piece:
                break
            written += piece
    os.close(leader)
    assert process.returncode == 0
    return written.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_gets_what_fits_in_signs_that_it_has(store: Path, columns: int, encoding: str) -> None:
    written = on_terminal(columns, "show", str(store), NO_COLOR="1", PYTHONIOENCODING=encoding)
    assert b"\x1b" not in written
    lines = written.decode(encoding).splitlines()
    # The path of the directory, in the last lines, is as long as it is.
    assert max(len(line) for line in lines if str(store) not in line) <= columns
    assert (("±" if encoding == "utf-8" else "+-") in "\n".join(lines)) or ("(" in "\n".join(lines))
    assert any(line.startswith("Left out") for line in lines)


def test_no_language_at_all_is_no_error(store: Path) -> None:
    written = on_terminal(
        80, "show", str(store), "--baseline", "v10", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"
    )
    assert written.isascii()
    assert b"less v10" in written


def test_a_pipe_gets_every_column(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(store)]) == 0
    out = capsys.readouterr().out
    assert "longest pass" in out
    assert "Left out" not in out
    assert f"· gmemgpu show {store}\n" in out.replace("'", "")


def test_a_pivot_is_one_table(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(store), "--pivot", "snp.share", "--metric", "core-s", "--policy", "v10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "core-s by snp.share · 3 seeds"
    assert lines[1].split() == ["policy", "0.2", "0.5"]
    assert sum(line.startswith("v10 ") for line in lines) == 1
    assert "--metric core-s --pivot snp.share" in lines[-1]


def test_figures_can_be_chosen_in_every_form(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(store), "--metric", "passes", "core_s_at_10ns", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    line = document["groups"][0]["policies"][0]
    assert set(line) == {"policy", "seeds", "passes", "core_s_at_10ns"}
    assert main(["show", str(store), "--metric", "passes", "--csv"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[0]
        == "label,policy,seeds,passes,passes_low,passes_high,passes_n,passes_kind"
    )


def test_parts_give_what_merged_rows_do(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(store), "--json"]) == 0
    merged = json.loads(capsys.readouterr().out)
    copy = Path(shutil.copytree(store, tmp_path / "out"))
    (copy / "results.parquet").unlink()
    assert main(["show", str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == merged
    next((copy / "parts").iterdir()).unlink()
    assert main(["show", str(copy)]) == 0
    told = capsys.readouterr().out
    assert "Not finished: 1 of 2 parts; run the sweep again to go on." in told
    assert sum(group["group"]["label"] in told for group in merged["groups"]) == 1


def test_options_that_do_not_go_together_are_all_told(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["show", "results", "--pivot", "snp.share", "--csv", "--sort", "never", "--metric", "never", "core_s"]
    assert main(command) == 2
    told = capsys.readouterr().err
    for option in ("--csv: ", "--sort: ", "--metric: a pivot shows one figure, not 2"):
        assert option in told


def test_an_axis_that_is_not_there(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(store), "--pivot", "snp.shar"]) == 2
    assert '"snp.shar": unknown name; did you mean "snp.share"?' in capsys.readouterr().err
