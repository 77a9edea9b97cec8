"""``gmemgpu status`` and ``check`` on a small sweep, whole and disturbed."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.cli.main import main
from gmemgpu.sweeping.run.share import compute_share

SPEC = {
    "name": "small",
    "policies": ["v10"],
    "workload": {
        "preset": "idle-snp",
        "horizon_ns": "10 min",
        "warmup_ns": "1 s",
        "snp": {"share": [0.2, 0.5, 0.8]},
    },
}
N_PARTS, N_ROWS = 3, 6


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("finished") / "out"
    assert compute_share(SPEC, directory, index=0, of=1, backend="numpy").is_merged
    return directory


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def parts(store: Path) -> list[Path]:
    return sorted((store / "parts").glob("*.arrow"))


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main([*arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def fail(store: Path, path: Path) -> None:
    """Have a part fail, as a sweep writes it down."""
    path.unlink()
    part_id = path.name.split("-")[0]
    told = {"part_id": part_id, "label": "x", "seeds": [0], "kind": "error", "message": "x: no luck\nand no time"}
    (store / "failures").mkdir(exist_ok=True)
    (store / "failures" / f"{part_id}.json").write_text(json.dumps(told))


def test_status_of_a_finished_sweep(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = report(capsys, "status", str(store))
    assert status == 0
    assert (found["name"], found["n_parts"], found["n_done"], found["n_rows"]) == ("small", N_PARTS, N_PARTS, N_ROWS)
    assert (found["failures"], found["holder"], found["is_merged"], found["left_s"]) == ([], None, True, None)
    assert main(["status", str(store)]) == 0
    told = capsys.readouterr().out
    assert "3 of 3 parts, of 6 evaluations in all" in told
    assert "held by" not in told


def test_status_of_a_sweep_that_runs(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "results.parquet").unlink()
    first, second, third = parts(store)
    fail(store, first)
    # Two parts within ten seconds: 0.1 a second, so that the last one takes ten more.
    for path, age_s in ((second, 10), (third, 0)):
        written_s = third.stat().st_mtime - age_s
        os.utime(path, (written_s, written_s))
    # Process 1 of another machine: nobody can tell from here whether it lives.
    (store / "lock").write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": 1, "token": "0"}))
    _, found = report(capsys, "status", str(store))
    assert (found["n_done"], found["is_merged"]) == (2, False)
    assert [(failure["label"], failure["kind"]) for failure in found["failures"]] == [("x", "error")]
    assert (found["holder"]["host"], found["holder"]["pid"]) == ("elsewhere", 1)
    assert found["parts_per_s"] == pytest.approx(0.1, rel=0.01)
    assert found["left_s"] == pytest.approx(10, rel=0.01)
    assert main(["status", str(store)]) == 0
    told = capsys.readouterr().out
    assert "elsewhere, process 1: works on it, last sign of life" in told
    assert "failed: x: no luck\n        and no time\n" in told
    assert "the same `gmemgpu sweep` tries them again" in told


def test_status_tells_a_dead_holder(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = {"host": socket.gethostname(), "pid": os.getpid(), "started": 1, "token": "0"}
    (store / "lock").write_text(json.dumps(lock))
    assert main(["status", str(store)]) == 0
    assert "has ended; the next sweep takes over" in capsys.readouterr().out


def test_a_failure_whose_part_is_there_or_that_cannot_be_read_counts_no_more(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *_ = parts(store)
    content = first.read_bytes()
    fail(store, first)
    first.write_bytes(content)
    (store / "failures" / f"{'0' * 32}.json").write_text("torn")
    assert report(capsys, "status", str(store))[1]["failures"] == []


def test_status_does_not_count_parts_of_another_sweep(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {**SPEC, "workload": {**SPEC["workload"], "snp": {"share": [0.2, 0.5, 0.9]}}}
    compute_share(other, tmp_path / "other", index=0, of=1, backend="numpy")
    (store / "results.parquet").unlink()
    ours = {path.name[:32] for path in parts(store)}
    (theirs,) = (path for path in parts(tmp_path / "other") if path.name[:32] not in ours)
    parts(store)[0].unlink()
    shutil.copyfile(theirs, store / "parts" / theirs.name)
    _, found = report(capsys, "status", str(store))
    assert (found["n_done"], len(parts(store))) == (N_PARTS - 1, N_PARTS)


def test_status_does_not_take_any_file_for_merged_rows(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "results.parquet").write_text("garbage")
    assert not report(capsys, "status", str(store))[1]["is_merged"]


def test_check_of_a_whole_and_of_an_unfinished_sweep(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = {"parts": N_PARTS, "whole": N_PARTS, "missing": 0, "merged": True, "faults": []}
    assert report(capsys, "check", str(store)) == (0, whole)
    assert main(["check", str(store)]) == 0
    assert capsys.readouterr().out == f"{store}: 3 of 3 parts whole, 0 to compute, 0 faults; merged rows agree\n"
    parts(store)[0].unlink()
    (store / "results.parquet").unlink()
    assert main(["check", str(store)]) == 0
    assert capsys.readouterr().out == f"{store}: 2 of 3 parts whole, 1 to compute, 0 faults; not merged\n"


def test_check_names_every_fault_and_removes_those_of_a_sweep(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "results.parquet").unlink()
    damaged, *_ = parts(store)
    damaged.write_bytes(damaged.read_bytes()[:-5])
    foreign = store / "parts" / "notes.txt"
    foreign.write_text("mine")
    what = "is damaged: its bytes are not those that its name tells of"
    status, found = report(capsys, "check", str(store))
    assert (status, found["whole"], found["missing"]) == (1, 2, 1)
    assert found["faults"] == [
        {"path": str(damaged), "what": what, "removed": False},
        {"path": str(foreign), "what": "no sweep wrote this: move it away", "removed": False},
    ]
    # What is not ours is left, and told for as long as it is there.
    assert main(["check", str(store), "--repair"]) == 1
    assert f"{damaged}: {what}; removed\n" in capsys.readouterr().out
    assert not damaged.exists()
    foreign.unlink()
    assert main(["check", str(store), "--repair"]) == 0


@pytest.mark.parametrize("command", ["status", "check", "show", "show --json", "show --csv", "report"])
def test_a_directory_whose_name_is_no_utf_8(command: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.parent)  # where a page is written
    named = store.rename(store.with_name("d\udcff"))
    assert main([*command.split(), str(named)]) == 0


@pytest.mark.parametrize("command", ["status", "check", "show"])
def test_no_sweep_there(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for directory in (tmp_path, tmp_path / "gone"):
        assert main([command, str(directory)]) == 2
        assert f"{directory}: holds no sweep (manifest.json is missing)" in capsys.readouterr().err
