"""A warning for each scenario of a sweep whose VMs found no room, or none of whose guests goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gmemgpu.cli.rejected import warn_of_nothing_freed_in, warn_of_rejected_in
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


def test_scenarios_in_which_no_guest_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vms.csv").write_text("start,lifetime,vcpus,memory\n0,3600,4,16GiB\n30,,4,16GiB\n")
    workload = {
        "vm_table": {"path": str(tmp_path / "vms.csv")},
        "host": "lab",
        "horizon_ns": "10 min",
        "warmup_ns": 0,
        "snp": {"share": 1.0},
    }
    ends = {"name": "2 h", "horizon_ns": "2 h"}
    short = [{"name": f"{minutes} min", "horizon_ns": f"{minutes} min"} for minutes in range(1, 13)]
    spec = {"seeds": 2, "policies": ["never", "v10"], "workload": workload, "scenario": [*short, ends]}
    assert compute_share(spec, tmp_path / "out", index=0, of=1, backend="numpy").is_merged
    warn_of_nothing_freed_in(tmp_path / "out")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        'gmemgpu: warning: 12 scenarios ("1 min", "2 min", "3 min" and 9 more): no guest that went left a region free '
        "in any of 2 seeds, so there is nothing for a policy to win back; take a longer horizon_ns, shorter lifetimes "
        "or larger guests"
    )
