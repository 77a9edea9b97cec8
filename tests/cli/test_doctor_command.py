from __future__ import annotations

import json
import re
import tempfile
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import pytest

from gmemgpu.cli.main import main
from gmemgpu.engine import kernel_runs as records
from gmemgpu.engine.crossover import gpu_key, store_file
from gmemgpu.engine.cupy.device import devices
from gmemgpu.engine.kernel_runs import KernelRun
from gmemgpu.engine.registry import why_missing
from gmemgpu.measuring.rates import save_crossover


def test_what_is_installed_and_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["numpy"] == metadata.version("numpy")
    assert {"gmemgpu", "dask", "distributed", "pyarrow", "pydantic", "rich"} <= set(found["packages"])
    assert {"reference", "numpy"} <= set(found["engines"])
    assert found["engines_missing"].keys().isdisjoint(found["engines"])
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 1 << 28
    assert found["scratch"]["writable"] is True


def test_every_missing_engine_has_its_reason(without_cupy: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "engine numpy runs" in lines
    assert any(line.startswith("engine cupy missing: CuPy is not installed; pip install") for line in lines)


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["doctor"]) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_every_kernel_says_whether_it_ever_ran(
    without_cupy: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = KernelRun(gpu="NVIDIA H200", driver="580.65.06", date="2026-12-01", commit="abc1234", source="0" * 32)
    monkeypatch.setattr(records, "kernel_runs", lambda: {"rmp_scan": None, "region_timeline": run})
    lines = told(capsys)
    assert "kernel rmp_scan never run on a GPU (emulated in tests, compiled for sm_80 to sm_120)" in lines
    line = "kernel region_timeline last run 2026-12-01 on NVIDIA H200 (driver 580.65.06, commit abc1234); its "
    assert any(found.startswith(f"{line}source has") for found in lines)
    assert not any(found.startswith(("gpu ", "driver ", "backend auto ")) for found in lines)
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gpus"] is None
    assert found["kernels"] == {"rmp_scan": None, "region_timeline": {**asdict(run), "has_changed": True}}


def test_gpus_and_what_auto_goes_by(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if why_missing("cupy") is not None:
        pytest.skip("neither a CUDA device nor an emulated one")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lines = told(capsys)
    (first, *_) = devices()
    assert any(
        line.startswith(f"gpu 0 {first.name}, compute capability {first.compute_capability}, ") for line in lines
    )
    assert "engine cupy runs" in lines
    assert any(re.fullmatch(r"driver .+, for CUDA up to \d+\.\d; CuPy runs on \d+\.\d", line) for line in lines)
    assert "backend auto not measured; run gmemgpu bench" in lines
    save_crossover(gpu_key(), 1728)
    assert any(
        line.startswith("backend auto a GPU pays from 1,728 evaluations at once (measured ") for line in told(capsys)
    )
    save_crossover(gpu_key(), None)
    assert any(line.startswith("backend auto a GPU never paid (measured ") for line in told(capsys))
    store_file().write_text("torn {")
    (line,) = (line for line in told(capsys) if line.startswith("backend auto "))
    assert line.startswith(f"backend auto {store_file()}: is damaged (")
    assert line.endswith("; not measured; run gmemgpu bench anew")


def test_a_scratch_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "gone"))
    assert main(["doctor"]) == 1
    assert "No such file or directory; set TMPDIR to a folder that you may write to" in capsys.readouterr().out
