"""A package that is hidden is as one that is not installed, and only for as long."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from gmemgpu.cli.main import main
from gmemgpu.hidden import hidden


def test_what_is_hidden_is_not_installed_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with hidden("wave", "json"):
        with pytest.raises(ModuleNotFoundError, match="No module named 'wave'"):
            import wave
        import json  # was there before
    import wave

    assert wave.__name__ == "wave"
    assert json.loads("1") == 1


def test_arrow_takes_a_hidden_package_for_one_that_is_not_installed() -> None:
    text = (
        "import sys, pyarrow\nfrom gmemgpu.hidden import hidden\n"
        "with hidden('pandas'): print(pyarrow.array([1, 2]).to_pylist(), 'pandas' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert ran.stdout == "[1, 2] False\n"


def test_a_command_leaves_pandas_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("trace")
    text = (
        "import atexit, sys\nfrom gmemgpu.cli.main import main\n"
        "atexit.register(lambda: print('pandas' in sys.modules))\nsys.exit(main())"
    )
    command = [sys.executable, "-c", text, "generate", "--preset", "mixed-pods", "--small", "-o", "t.parquet"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "False"


def test_a_command_called_from_python_leaves_its_process_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    before = gc.get_threshold(), list(sys.meta_path)
    assert main(["policies"]) == 0
    assert (gc.get_threshold(), sys.meta_path) == before
    assert "v10" in capsys.readouterr().out
