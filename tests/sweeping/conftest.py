"""A sweep of some seconds in many parts, for tests that disturb it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gmemgpu.sweeping.part import write_part
from gmemgpu.sweeping.plan import make_plan
from gmemgpu.sweeping.run import sweep
from gmemgpu.sweeping.shard import Shard
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.sweeping.store import Store, open_store

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


MADE_UP_SPEC = {
    "name": "made up",
    "seeds": 10,
    "policies": ["never", "v10"],
    # So large that each seed is a shard.
    "workload": {"preset": "iaas-mixed", "stock": {"vms": 10_000}, "snp": {"share": [0.5, 1.0]}},
}


def made_up_rows(shard: Shard, store: Store) -> list[dict[str, Any]]:
    """Rows of a shard, with numbers that nobody computed."""
    told = {"label": shard.label, "preset": shard.preset, **shard.axes}
    numbers = {field.name: i for i, field in enumerate(store.plan.setting.schema) if field.name not in told}
    return [
        {**numbers, **told, "seed": seed, "policy": policy.name, "passes": seed * 1000 + i}
        for seed in shard.seeds
        for i, policy in enumerate(store.plan.setting.policies)
    ]


@pytest.fixture(scope="session")
def made_up_once(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Give a directory with all parts of 20 shards, not merged, which tests must leave as it is."""
    spec = read_spec(MADE_UP_SPEC)
    store = open_store(tmp_path_factory.mktemp("made-up") / "out", spec, make_plan(spec, "numpy"))
    for shard in store.plan.shards:
        write_part(store.parts, shard.part_id, made_up_rows(shard, store), store.plan.setting.schema)
    return store


@pytest.fixture
def made_up(made_up_once: Store, tmp_path: Path) -> Store:
    """Give a directory with all parts of 20 shards, not merged; nothing in it was computed."""
    shutil.copytree(made_up_once.directory, tmp_path / "made-up")
    return Store(directory=tmp_path / "made-up", plan=made_up_once.plan)


@pytest.fixture
def again(made_up: Store) -> Callable[[], Store]:
    """Open that directory as another client would."""
    return lambda: Store(directory=made_up.directory, plan=made_up.plan)


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
    """Give the hash of every file of a results directory, by name; but for the index, which is of this very copy."""

    def of(directory: Path) -> dict[str, str]:
        files = (path for path in sorted(directory.rglob("*")) if path.is_file() and path.name != "verified.txt")
        return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return of
