"""The entry point itself: a command that is missing, and memory that does not suffice."""

from __future__ import annotations

import numpy as np
import pytest

from gmemgpu.cli import policies
from gmemgpu.cli.main import main


def test_too_little_memory_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "run", lambda arguments: np.zeros(1 << 58, np.int8))
    assert main(["policies"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gmemgpu: out of memory: Unable to allocate 256. PiB")
    assert line.endswith("; use a shorter horizon, fewer VMs or a larger machine")


def test_memory_that_ran_out_without_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(arguments: object) -> int:
        raise MemoryError

    monkeypatch.setattr(policies, "run", run)
    assert main(["policies"]) == 1
    assert capsys.readouterr().err.startswith("gmemgpu: out of memory; use a shorter horizon")
