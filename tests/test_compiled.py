"""What is compiled is kept where it can be, in memory where not, and anew whenever a source changes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gmemgpu import compiled
from gmemgpu.compiled import why_unusable

pytestmark = pytest.mark.skipif(why_unusable() is not None, reason=why_unusable() or "")

PROGRAM = """
import numpy as np
from gmemgpu.compiled import cache_folder, cache_problem, compiled_function, compiled_in_place

@compiled_in_place
def doubled(value):
    return 2 * value

@compiled_function
def total(values):
    found = np.zeros(1, np.int64)
    for value in values:
        found[0] += doubled(value)
    return found[0]

print(total(np.arange(4)), cache_folder(), cache_problem(), sep="|")
"""


def run(tmp_path: Path, **environment: str) -> tuple[str, str, str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    kept = {key: value for key, value in os.environ.items() if key not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    path = os.pathsep.join(filter(None, (str(Path(compiled.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    found = subprocess.run(
        [sys.executable, program],
        env={**kept, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stderr == ""
    total, folder, problem = found.stdout.strip().split("|")
    assert total == "12"
    return total, folder, problem


def compiled_files(folder: str) -> int:
    return len([path for path in Path(folder).rglob("*.nbc") if "program" in path.name])


def test_what_other_versions_compiled_goes_when_nobody_has_used_it_for_a_month(tmp_path: Path) -> None:
    folder = tmp_path / "gmemgpu"
    month_s, now_s = 30 * 86_400, time.time()
    ages_s = {"0123456789abcdef": month_s + 60, "fedcba9876543210": month_s - 60, "mine": 2 * month_s}
    for name, age_s in ages_s.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "kept.nbc").touch()
        os.utime(folder / name, (now_s - age_s,) * 2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "00000000000000ff").symlink_to(elsewhere)
    os.utime(folder / "00000000000000ff", (0, 0), follow_symlinks=False)
    _, found, _ = run(tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    names = {path.name for path in folder.iterdir()}
    assert names == {Path(found).name, "fedcba9876543210", "mine", "00000000000000ff"}
    assert elsewhere.exists()
    # One that is in use is not old.
    os.utime(found, (0, 0))
    run(tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
    assert time.time() - Path(found).stat().st_mtime < month_s


def test_what_is_compiled_lies_in_the_users_cache(tmp_path: Path) -> None:
    _, folder, problem = run(tmp_path, HOME=str(tmp_path))
    assert Path(folder).is_relative_to(tmp_path / ".cache" / "gmemgpu" / "compiled")
    assert (problem, compiled_files(folder)) == ("None", 2)
    assert run(tmp_path, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "x"))[1].startswith(str(tmp_path / "x"))
    named = tmp_path / "named"
    assert run(tmp_path, NUMBA_CACHE_DIR=str(named))[1].startswith(str(named))


def test_without_a_folder_it_is_compiled_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    taken = str(tmp_path / "file")
    _, folder, problem = run(tmp_path, NUMBA_CACHE_DIR=taken, HOME=taken)
    assert folder == "None"
    assert problem.count("Not a directory") == 2


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    run(tmp_path, HOME=str(tmp_path))
    program = tmp_path / "program.py"
    found = subprocess.run(
        # No file may grow: as a full disk, only that every write fails.
        ["bash", "-c", f"ulimit -f 0; trap '' XFSZ; {sys.executable} {program} | cat"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path / "other")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.startswith("12|")


def test_any_change_of_a_source_makes_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = set()
    for text in ("LIMIT = 1\n", "LIMIT = 2\n"):
        (tmp_path / "units.py").write_text(text)
        (tmp_path / "engine").mkdir(exist_ok=True)
        (tmp_path / "engine" / "loop.py").write_text("from gmemgpu.units import LIMIT\n")
        monkeypatch.setattr(compiled.gmemgpu, "__file__", str(tmp_path / "__init__.py"))
        monkeypatch.setattr(compiled, "SOURCES", ("units.py", "engine"))
        hashes.add(compiled._source_hash.__wrapped__())
    assert len(hashes) == 2
