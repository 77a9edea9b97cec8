from __future__ import annotations

import dataclasses
import importlib
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gmemgpu.engine.cupy import kernel
from gmemgpu.engine.cupy.kernel import KERNELS, kernel_source
from gmemgpu.engine.kernel_runs import KernelRun, describe_run, has_changed, kernel_runs, source_hash

ROOT = Path(__file__).parents[2]
RUN = KernelRun(gpu="NVIDIA H200", driver="580.65.06", date="2026-12-01", commit="abc1234", source="0" * 32)


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that writes what the package ships."""
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("bench.gpu_runs")


def test_what_is_shipped_is_what_was_recorded(records: Any) -> None:
    expected = records.toml_text(records.newest_runs())
    assert records.SHIPPED.read_text(encoding="utf-8") == expected, "run: python -m bench.gpu_runs"


def test_every_kernel_is_told_of_and_no_other(records: Any) -> None:
    assert list(kernel_runs()) == list(KERNELS)
    assert set(records.newest_runs()) <= set(KERNELS)
    for name in KERNELS:
        found = re.findall(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\(", kernel_source(name))
        assert found == [name]


def test_a_source_has_the_text_of_what_its_file_includes(monkeypatch: pytest.MonkeyPatch) -> None:
    source, hashed = kernel_source("rows_at"), source_hash.__wrapped__
    assert "#include" not in "".join(map(kernel_source, KERNELS))
    assert source.startswith('#line 1 "rows_at.cu"\n')
    assert source.count("i64 place(const i64* values") == 1
    # Messages still name the line of the file.
    resumed = re.search(r'#line (\d+) "rows_at.cu"\n\n(.*\n)', source.removeprefix("#line 1"))
    assert resumed is not None
    lines = kernel._text("rows_at.cu").splitlines(keepends=True)
    assert lines[int(resumed[1])] == resumed[2]

    before = {name: hashed(name) for name in ("rows_at", "rmp_scan")}
    plain = kernel._text
    monkeypatch.setattr(kernel, "_text", lambda file: plain(file) + "// new\n" * (file == "place.cuh"))
    assert hashed("rows_at") != before["rows_at"]
    assert hashed("rmp_scan") == before["rmp_scan"]


def result(date: str, gpu: str, kernels: dict[str, str]) -> str:
    hardware = {"gpu": gpu, "driver": "580.65.06", "date": date, "commit": "abc1234", "cpu": "any"}
    return json.dumps({"hardware": hardware, "kernels": kernels, "figures": {}})


def test_the_newest_run_of_each_kernel_counts(records: Any, tmp_path: Path) -> None:
    (tmp_path / "gpu-a.json").write_text(result("2026-12-01", "A", {"region_timeline": "1", "rmp_scan": "1"}))
    (tmp_path / "gpu-b.json").write_text(result("2026-12-24", 'B "x"', {"region_timeline": "2"}))
    (tmp_path / "gpu-c.json").write_text(result("2026-11-30", "C", {"region_timeline": "3", "rmp_scan": "3"}))
    (tmp_path / "engine.json").write_text("{}")
    runs = records.newest_runs(tmp_path)
    assert {name: (run.gpu, run.date, run.source) for name, run in runs.items()} == {
        "region_timeline": ('B "x"', "2026-12-24", "2"),
        "rmp_scan": ("A", "2026-12-01", "1"),
    }
    held = tomllib.loads(records.toml_text(runs))["kernel"]
    assert {name: KernelRun(**table) for name, table in held.items()} == runs


def test_how_it_is_told() -> None:
    assert describe_run("rmp_scan", None) == "never run on a GPU (emulated in tests, compiled for sm_80 to sm_120)"
    line = "last run 2026-12-01 on NVIDIA H200 (driver 580.65.06, commit abc1234)"
    assert describe_run("rmp_scan", RUN) == f"{line}; its source has changed since"
    same = dataclasses.replace(RUN, source=source_hash("rmp_scan"))
    assert describe_run("rmp_scan", same) == line
    assert has_changed("rmp_scan", RUN)
    assert not has_changed("rmp_scan", same)
    assert has_changed("region_timeline", same)
