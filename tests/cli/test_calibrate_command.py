"""`gmemgpu calibrate`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gmemgpu.catalogue import read_costs
from gmemgpu.cli.main import main
from gmemgpu.model.cost import Costs

MEASURED = """
[[pass]]
name = "all clean"
source = "measured here"
executor = "leader_followers"
clean = 1000
wall = ["180 ms", 190_000_000]

[[pass]]
name = "leader"
executor = "leader_followers"
cached = 10
leader_busy = "30 us"
"""
GOLDEN = """\
cost, ns         fitted            95 %  default  identified
base                 30                       30  only in a sum
block                64                       60  only in a sum
cached            3,000  1,543 to 4,457    2,800  yes
"""
GOLDEN_END = """\
intervals are of the runs beyond those that the fit needs, of which there are 1
costs of which the passes tell only sums, as near the default as these allow:
  base, block, round_clean
costs on which no measured time depends, and which keep the default:
  round_cached, round_fail, busy_clean, busy_cached, busy_fail, cores_clean,
  cores_cached, cores_fail, threads_clean, threads_cached, threads_fail, call

the passes, and by how much the model is longer, with fitted and default costs:
pass       time    runs  measured  fitted  default
all clean  wall       2    185 ms   +0.0%   -18.0%
leader     leader     1     30 us   +0.0%    -6.7%
"""
BAD = """
[[pass]]
name = "a"
executer = "serial"
executor = "serial"
wall = ["-3 ms", -4]
[[pass]]
name = "b"
executor = "leader_folowers"
clean = -1
[[pass]]
name = "c"
executor = "serial"
failed = 3
wall = "3 ms"
[[pass]]
name = "d"
executor = "leader_first"
failed = 3
cores = 3
first_block = 51
follower_busy = "3 ms"
[[pass]]
name = "e"
executor = "all_threads"
cached = 1
cores = 3
follower_busy = "3 ms"
[[pass]]
name = "f"
executor = "all_cores"
[[passes]]
"""
PROBLEMS = """\
pass[0].wall[0]: "-3 ms" is not a time; write a number and one of ns, us, µs, ms, s, min, h, d, as in "10 s"
pass[0].wall[1]: -4 cannot be used: it must be greater than or equal to 0
pass[0].executer: unknown key; did you mean "executor"?
pass[1].executor: "leader_folowers" is unknown; did you mean "leader_followers"?
pass[1].clean: -1 cannot be used: it must be greater than or equal to 0
pass[2]: needs cores: this time grows with them; needs first_block, 0 to 511: how far RMPOPT reads until it fails
pass[3]: has follower_busy, but nobody follows: one core, or none that is asked
pass[4]: needs threads_per_core: the time of followers grows with them
pass[5]: visits no region; say how many were clean, cached and failed; has no time; give wall, leader_busy or \
follower_busy
passes: unknown key; did you mean "pass"?
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "measured.toml"
    found.write_text(MEASURED, encoding="utf-8")
    return found


def test_what_it_prints(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(path)]) == 0
    lines = [line.rstrip() + "\n" for line in capsys.readouterr().out.splitlines()]
    assert "".join(lines[:4]) == GOLDEN
    assert "".join(lines).endswith(GOLDEN_END)
    assert max(map(len, lines)) <= 81


def test_published_passes_are_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measurements"] == "published passes"
    assert [time["name"] for time in found["times"]][:2] == ["all clean", "first page"]
    assert found["freedom"] == 2


def test_the_file_that_it_writes_is_read_as_costs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = path.with_name("costs.toml")
    assert main(["calibrate", str(path), "--json", "-o", str(output)]) == 0
    found = json.loads(capsys.readouterr().out)
    costs = Costs(**{cost["name"]: cost["fitted_ns"] for cost in found["costs"]})
    assert read_costs(output) == costs != Costs()
    text = output.read_text(encoding="utf-8")
    assert 'cached = { ns = 3000, source = "fitted, 95 %: 1,543 to 4,457" }' in text
    assert 'call = { ns = 27000, source = "not identified: the package\'s default" }' in text


def test_every_problem_is_told_at_once(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(BAD, encoding="utf-8")
    assert main(["calibrate", str(path)]) == 2
    assert capsys.readouterr().err == "".join(f"gmemgpu: {path}: {line}\n" for line in PROBLEMS.splitlines())


@pytest.mark.parametrize("text", ["", "pass = []", "pass = 3"])
def test_a_file_without_passes(path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path.write_text(text, encoding="utf-8")
    assert main(["calibrate", str(path)]) == 2
    assert "write a table [[pass]] for each pass that was measured" in capsys.readouterr().err


def test_the_measurements_are_not_overwritten(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(path), "-o", str(path)]) == 2
    assert "give the costs another name" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == MEASURED


def test_a_folder_that_is_not_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(path), "-o", str(path.parent / "no" / "costs.toml")]) == 2
    assert "choose a folder that you may write to" in capsys.readouterr().err
