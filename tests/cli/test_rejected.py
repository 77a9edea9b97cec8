"""A warning for each scenario of a sweep whose VMs found no room."""

from __future__ import annotations

from pathlib import Path

import pytest

from gmemgpu.cli.rejected import warn_of_rejected_in
from gmemgpu.sweeping.run.share import compute_share


def test_scenarios_whose_host_is_too_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = {
        "seeds": 2,
        "policies": ["never", "v10"],
        "workload": {"preset": "idle-snp", "horizon_ns": "10 min", "warmup_ns": "1 s", "running": [100, 1000]},
    }
    assert compute_share(spec, tmp_path / "out", index=0, of=1, backend="numpy").is_merged
    warn_of_rejected_in(tmp_path / "out")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('gmemgpu: warning: scenario "')
    # Two seeds of a thousand and a few, however many policies.
    assert " of 2,0" in line
    assert "1000" in line.split(":")[2]
