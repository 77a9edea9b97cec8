from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gmemgpu.cli.main import main
from gmemgpu.measuring import machine
from gmemgpu.measuring.machine import describe_machine, memory_bytes

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
MIB = 1 << 20


class Cgroups:
    """Cgroups of a machine in a folder: the process's own, and the limits of any."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def own(self, *lines: str) -> None:
        (self.folder / "own").write_text("".join(f"{line}\n" for line in lines))

    def limit(self, path: str, value: object) -> None:
        file = self.folder / "cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroups:
    """No cgroups at all until a test writes some."""
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_OWN_CGROUPS", tmp_path / "own")
    return Cgroups(tmp_path)


def test_without_cgroups_all_memory_counts(cgroups: Cgroups) -> None:
    assert memory_bytes() == PHYSICAL
    cgroups.own("0::/")
    assert memory_bytes() == PHYSICAL


def test_version_2_limits_a_container_at_its_top(cgroups: Cgroups) -> None:
    cgroups.own("0::/")
    cgroups.limit("memory.max", 96 * MIB)
    assert memory_bytes() == 96 * MIB


def test_version_2_limits_a_task_by_the_job_above_it(cgroups: Cgroups) -> None:
    cgroups.own("0::/system.slice/job_7/step_0/task_0")
    cgroups.limit("system.slice/memory.max", "max")
    cgroups.limit("system.slice/job_7/memory.max", 64 * MIB)
    cgroups.limit("system.slice/job_7/step_0/memory.max", 80 * MIB)
    cgroups.limit("system.slice/job_7/step_0/task_0/memory.max", "max")
    cgroups.limit("system.slice/job_8/memory.max", MIB)
    assert memory_bytes() == 64 * MIB


def test_version_1_has_a_folder_for_memory(cgroups: Cgroups) -> None:
    cgroups.own("5:cpuset:/jobs/7", "4:cpu,memory:/jobs/7", "0::/jobs/7")
    cgroups.limit("memory/memory.limit_in_bytes", 9223372036854771712)
    cgroups.limit("memory/jobs/7/memory.limit_in_bytes", 48 * MIB)
    cgroups.limit("jobs/7/cpu.max", MIB)
    assert memory_bytes() == 48 * MIB


def test_version_1_in_a_container_shows_the_top_only(cgroups: Cgroups) -> None:
    # The path is the host's, and not to be seen from here.
    cgroups.own("4:memory:/docker/0123abcd", "1:name=systemd:/docker/0123abcd")
    cgroups.limit("memory/memory.limit_in_bytes", 32 * MIB)
    assert memory_bytes() == 32 * MIB


def test_a_path_that_leads_out_of_the_mount_is_not_followed(cgroups: Cgroups) -> None:
    cgroups.own("0::/../../job_7")
    (cgroups.folder / "memory.max").write_text("1\n")
    cgroups.limit("memory.max", 16 * MIB)
    assert memory_bytes() == 16 * MIB


def test_a_limit_above_the_machine_s_memory_is_none(cgroups: Cgroups) -> None:
    cgroups.own("0::/")
    cgroups.limit("memory.max", PHYSICAL + 1)
    assert memory_bytes() == PHYSICAL


@pytest.mark.parametrize(
    ("own", "file"),
    [("0::/job", "job/memory.max"), ("9:memory:/job", "memory/job/memory.limit_in_bytes")],
    ids=["v2", "v1"],
)
def test_doctor_shows_the_limit(cgroups: Cgroups, capsys: pytest.CaptureFixture[str], own: str, file: str) -> None:
    cgroups.own(own)
    cgroups.limit(file, 512 * MIB)
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["memory_bytes"] == 512 * MIB
    assert main(["doctor"]) == 0
    assert "memory 0.5 GiB" in [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_figures_name_the_limit_as_well(cgroups: Cgroups) -> None:
    cgroups.own("0::/")
    cgroups.limit("memory.max", 512 * MIB)
    assert describe_machine()["memory_gib"] == 0.5
