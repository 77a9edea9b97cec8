"""A sweep of some seconds in many parts, for tests that disturb it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gmemgpu.sweeping.run import sweep

N_PARTS = 24

SPEC = f"""
name = "disturbed"
seeds = 2
policies = ["never", "v10", "dirty_10s", "refcount"]

[workload]
preset = "mixed-pods"
host = {{ name = "pod", memory_bytes = "16 GiB", cores = 4 }}
horizon_ns = "15 min"
warmup_ns = "1 min"
stock.vms = 20
arrivals = {{ vms_per_s = 0.3 }}
sizes.scale = 0.125
snp.share = {[round(0.02 * (i + 1), 2) for i in range(N_PARTS)]}
memory = {{ rmp_segment_bytes = "8 GiB", convert_4k_ns = "12208 ns", shared_min_bytes = "8 MiB" }}
"""


@pytest.fixture(scope="session")
def spec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spec."""
    path = tmp_path_factory.mktemp("spec") / "disturbed.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="session")
def undisturbed(spec_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with its results, which tests must leave as it is."""
    directory = tmp_path_factory.mktemp("undisturbed") / "out"
    result = sweep(spec_file, directory, workers=2)
    assert result.n_computed == result.n_rows == N_PARTS * 2 * 5
    return directory


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, str]]:
    """Give the hash of every file of a results directory, by name."""

    def of(directory: Path) -> dict[str, str]:
        files = (path for path in sorted(directory.rglob("*")) if path.is_file())
        return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return of
