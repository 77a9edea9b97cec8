"""A script that calls `gmemgpu.sweep` with and without its guard, and what else may keep workers from starting."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from gmemgpu.errors import GmemgpuError
from gmemgpu.sweeping.cluster import local
from gmemgpu.sweeping.run import sweep

SPEC = {"policies": [], "workload": {"preset": "idle-snp", "horizon_ns": "1 min", "warmup_ns": "1 s"}}
UNGUARDED = f"""
import gmemgpu
try:
    gmemgpu.sweep({SPEC!r}, "out", workers=2)
except gmemgpu.GmemgpuError as error:
    print(error)
"""
GUARDED = f"""
import gmemgpu
if __name__ == "__main__":
    print(gmemgpu.sweep({SPEC!r}, "out", workers=2).n_computed)
"""


def run_script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )


def test_a_script_without_a_guard_is_told_so_in_one_line(tmp_path: Path) -> None:
    ran = run_script(tmp_path, UNGUARDED)
    assert ran.stdout == (
        'no worker can be started; put the call under `if __name__ == "__main__":`: '
        "worker processes import the script, and would sweep once more\n"
    )
    assert ran.stderr == ""


def test_a_script_with_a_guard_sweeps(tmp_path: Path) -> None:
    ran = run_script(tmp_path, GUARDED)
    assert (ran.stdout, ran.stderr) == ("1\n", "")


def test_another_process_that_is_yet_starting_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(GmemgpuError, match="a process that is yet starting cannot sweep; put the call under `if"):
        sweep(SPEC, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_workers_that_do_not_start_for_another_reason_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("out of processes")

    monkeypatch.setattr(local, "_cluster", fail)
    with pytest.raises(GmemgpuError, match=r"no worker can be started \(out of processes\); try fewer workers"):
        sweep(SPEC, tmp_path / "out", workers=1)
