from __future__ import annotations

import subprocess
import sys

import pytest

import gmemgpu


@pytest.mark.parametrize(
    ("argument", "begins"), [("--version", f"gmemgpu {gmemgpu.__version__}"), ("--help", "usage: gmemgpu ")]
)
def test_python_m_gmemgpu(argument: str, begins: str) -> None:
    ran = subprocess.run([sys.executable, "-m", "gmemgpu", argument], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(begins)
    assert ran.stderr == ""
