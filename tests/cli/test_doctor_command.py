from __future__ import annotations

import json
import tempfile
from importlib import metadata
from pathlib import Path

import pytest

from gmemgpu.cli.main import main


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


def test_a_scratch_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "gone"))
    assert main(["doctor"]) == 1
    assert "No such file or directory; set TMPDIR to a folder that you may write to" in capsys.readouterr().out
