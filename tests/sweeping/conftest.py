"""Two sweeps: one that tests disturb, and a tiny one; and Dask processes that a test may kill."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from sweep_processes import DaskProcesses, Hold

from gmemgpu.sweeping.run.share import compute_share

N_PARTS = 16

SPEC = f"""
name = "disturbed"
seeds = 2
policies = ["never", "v10", "refcount"]
backend = "numpy"

[workload]
preset = "mixed-pods"
host = {{ name = "pod", memory_bytes = "16 GiB", cores = 4 }}
horizon_ns = "5 min"
warmup_ns = "1 min"
stock.vms = 20
arrivals = {{ vms_per_s = 0.3 }}
sizes.scale = 0.125
snp.share = {[round(0.02 * (i + 1), 2) for i in range(N_PARTS)]}
memory = {{ rmp_segment_bytes = "8 GiB", convert_4k_ns = "12208 ns", shared_min_bytes = "8 MiB" }}
"""
TINY = """
name = "tiny"
policies = ["v10"]

[workload]
preset = "idle-snp"
horizon_ns = "10 min"
warmup_ns = "1 s"
sizes.scale = 0.25
snp.share = [0.2, 0.4, 0.6, 0.8, 1.0]
"""


@pytest.fixture(scope="session")
def spec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the sweep that is disturbed: 16 parts."""
    path = tmp_path_factory.mktemp("spec") / "disturbed.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="session")
def undisturbed(spec_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a directory with its results, without Dask, which tests must leave as it is."""
    directory = tmp_path_factory.mktemp("undisturbed") / "out"
    assert compute_share(spec_file, directory, index=0, of=1).is_merged
    return directory


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny sweep: five parts of milliseconds."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_whole(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a directory with its results, which tests must leave as it is."""
    directory = tmp_path_factory.mktemp("tiny-whole") / "out"
    assert compute_share(tiny_file, directory, index=0, of=1, backend="numpy").is_merged
    return directory


@pytest.fixture
def tiny(tiny_whole: Path, tmp_path: Path) -> Path:
    """Copy that directory, for a test to spoil."""
    return Path(shutil.copytree(tiny_whole, tmp_path / "tiny"))


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hold:
    """Hold what sweeps into `tmp_path / "out"` on Dask workers of other processes at two parts."""
    hold = Hold(tmp_path / "hold", tmp_path / "out", 2)
    for name, value in hold.environment.items():
        monkeypatch.setenv(name, value)
    return hold


@pytest.fixture(scope="session")
def threads() -> Iterator[Client]:
    """Start a Dask cluster in this process, which is up at once and does what this process's patches say."""
    options: dict[str, Any] = {"processes": False, "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, str]]:
    """Return a function for the hash of every file of a results directory, by name."""

    def of(directory: Path) -> dict[str, str]:
        files = (path for path in sorted(directory.rglob("*")) if path.is_file())
        return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return of


@pytest.fixture
def dask_processes(tmp_path: Path) -> Iterator[Callable[..., DaskProcesses]]:
    """Return a function that starts a scheduler; all that it and its workers are is killed in the end."""
    made: list[DaskProcesses] = []

    def start(*options: str, environment: dict[str, str] | None = None) -> DaskProcesses:
        folder = tmp_path / f"dask-{len(made)}"
        folder.mkdir()
        made.append(DaskProcesses(folder, environment or {}))
        made[-1].start_scheduler(*options)
        return made[-1]

    yield start
    for one in made:
        one.end()
