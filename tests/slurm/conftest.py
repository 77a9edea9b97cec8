"""One Slurm for all tests that need it, and the sweep that they run on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_node import PACKAGES, SlurmNode, missing_programs, running_node
from sweep_processes import Hold

from gmemgpu.sweeping.run.plan import make_plan
from gmemgpu.sweeping.run.share import compute_share
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store.directory import Store, open_store

N_PARTS = 12
SPEC = f"""
name = "on Slurm"
backend = "numpy"
seeds = 2
policies = ["v10", "refcount"]

[workload]
preset = "mixed-pods"
host = {{ name = "pod", memory_bytes = "16 GiB", cores = 4 }}
horizon_ns = "5 min"
warmup_ns = "1 min"
stock.vms = 20
arrivals = {{ vms_per_s = 0.3 }}
sizes.scale = 0.125
snp.share = {[round(0.05 * (i + 1), 2) for i in range(N_PARTS)]}
memory.rmp_segment_bytes = "8 GiB"
"""


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[SlurmNode]:
    """A Slurm that runs until the last test. Without its programs tests are skipped, and fail in CI."""
    if lacking := missing_programs():
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"no Slurm here ({', '.join(lacking)} not found); apt-get install {PACKAGES}")
    with running_node() as node:
        yield node


@pytest.fixture
def slurm(slurm_session: SlurmNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmNode]:
    """The same with nothing running on it, and this process told of it."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_session.conf))
    yield slurm_session
    slurm_session.cancel_all()


@pytest.fixture(scope="session")
def spec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of a dozen parts."""
    path = tmp_path_factory.mktemp("spec") / "slurm.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="session")
def local(spec_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of this process alone, which tests must leave as they are."""
    directory = tmp_path_factory.mktemp("local") / "out"
    assert compute_share(spec_file, directory, index=0, of=1).is_merged
    return directory


@pytest.fixture
def store(spec_file: Path, tmp_path: Path) -> Store:
    """An empty results directory of the same sweep, as another client sees it."""
    spec = read_spec(spec_file)
    return open_store(tmp_path / "out", spec, make_plan(spec, "numpy"))


@pytest.fixture
def hold(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hold:
    """Hold a sweep into that directory at one part, if Dask workers compute it."""
    hold = Hold(tmp_path / "hold", store.directory, 1)
    for name, value in hold.environment.items():
        monkeypatch.setenv(name, value)
    return hold
