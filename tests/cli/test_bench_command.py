from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from gmemgpu.cli.main import main
from gmemgpu.compiled import cache_folder
from gmemgpu.engine.crossover import read_crossovers, store_file
from gmemgpu.engine.registry import cpu_engine_name
from gmemgpu.measuring import rates
from gmemgpu.measuring.rates import Rate, Rates


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rates:
    """What a machine with a GPU would measure, and a cache of its own."""
    found = Rates(
        (
            Rate("all", 27, 1, 20_000.4, 1_500.0),
            Rate("all", 27, 64, 20_000.4, 1_000_000.0),
            Rate("window", 8, 1, 30_000.0, 2_000.0),
            Rate("window", 8, 64, 30_000.0, 3_000.0),
        ),
        cpu_engine="numba",
        cores=16,
        missing=None,
    )
    monkeypatch.setattr(rates, "measure_rates", lambda plan, report: found)
    monkeypatch.setattr("gmemgpu.engine.crossover.gpu_key", lambda: "NVIDIA H200, driver 580.65.06")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def test_the_table_and_what_auto_goes_by(measured: Rates, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    out, err = capsys.readouterr()
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "16 cores" in lines[0]
    assert "NVIDIA H200, driver 580.65.06" in lines[0]
    assert any(line.endswith("numba, 16 cores cupy cupy / numba") for line in lines)
    assert "all (27) 64 1,728 20,000/s 1,000,000/s 50.00 ×" in lines
    assert "window (8) 1 8 30,000/s 2,000/s 0.07 ×" in lines
    assert "all: the GPU pays from 1,728 evaluations at once" in lines
    assert "window: the GPU never pays" in lines
    assert lines[-1] == f"`--backend auto` goes by this: {store_file()}"
    assert read_crossovers().by_gpu["NVIDIA H200, driver 580.65.06"].n_pairs == 1728
    assert err == ""


def test_json_is_json_and_a_damaged_cache_is_told(measured: Rates, capsys: pytest.CaptureFixture[str]) -> None:
    store_file().parent.mkdir(parents=True)
    store_file().write_text("torn {")
    assert main(["bench", "--quick", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["crossover_pairs"] == 1728
    assert (found["gpu_missing"], found["cpu_engine"]) == (None, "numba")
    assert found["machine"]["gpu"] == "NVIDIA H200, driver 580.65.06"
    assert found["rates"][1] == {
        "policies": "all",
        "n_policies": 27,
        "n_traces": 64,
        "n_pairs": 1728,
        "cpu_per_s": 20000.4,
        "cupy_per_s": 1000000.0,
    }
    assert err.startswith(f"gmemgpu: warning: {store_file()}: is damaged (")
    assert err.endswith("; it is replaced\n")
    assert read_crossovers().problem is None


def test_without_a_gpu_it_says_why_and_stores_nothing(
    without_cupy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keep_what_is_compiled(tmp_path / "numba", monkeypatch)
    monkeypatch.setattr(rates, "core_count", lambda: 1)
    assert main(["bench", "--quick"]) == 0
    out = capsys.readouterr().out
    assert f"{cpu_engine_name()}, 1 core\n" in out
    assert out.splitlines()[-1].startswith("cupy: CuPy is not installed; pip install")
    assert not store_file().exists()


def keep_what_is_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = cache_folder()
    if kept is not None:
        folder.mkdir()
        (folder / "gmemgpu").symlink_to(kept.parent)
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal(measured: Rates, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(rates, "measure_rates", lambda plan, report: report("numpy on 16 cores, window") or measured)
    assert main(["bench", "--json"]) == 0
    assert "numpy on 16 cores, window" in screen.getvalue()
