"""Dask workers in jobs of a real Slurm, one GPU each, jobs that are lost among them: always the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from slurm_node import SlurmNode, wait_until

from gmemgpu.sweeping.run import sweep

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

N_PARTS = 20

SPEC = f"""
name = "on Slurm"
seeds = 2
policies = ["v10", "dirty_10s", "refcount", "free_folio"]

[workload]
preset = "mixed-pods"
host = {{ name = "pod", memory_bytes = "16 GiB", cores = 4 }}
horizon_ns = "2 h"
warmup_ns = "1 min"
stock.vms = 20
arrivals = {{ vms_per_s = 0.3 }}
sizes.scale = 0.125
snp.share = {[round(0.04 * (i + 1), 2) for i in range(N_PARTS)]}
memory = {{ rmp_segment_bytes = "8 GiB", convert_4k_ns = "12208 ns", shared_min_bytes = "8 MiB" }}
"""
CLUSTER = """
[cluster]
jobs = 2
gpus = 1
memory = "1 GiB"
host = "127.0.0.1"
replace_after = "2 s"
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "spec.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def expected(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What one machine alone makes of it."""
    directory = tmp_path_factory.mktemp("local") / "out"
    sweep(spec, directory, backend="numpy", workers=2)
    return (directory / "results.parquet").read_bytes()


def parts(directory: Path) -> int:
    return len(list((directory / "parts").glob("part-*.parquet")))


def test_workers_with_a_gpu_each(slurm: SlurmNode, spec: Path, expected: bytes, tmp_path: Path) -> None:
    options = tmp_path / "cluster.toml"
    options.write_text(CLUSTER)
    sweep(spec, tmp_path / "out", backend="numpy", cluster="slurm", cluster_options=options)
    assert (tmp_path / "out" / "results.parquet").read_bytes() == expected
    slurm.wait_until_idle(60)


def test_a_cancelled_job_is_replaced(slurm: SlurmNode, spec: Path, expected: bytes, tmp_path: Path) -> None:
    options, out = tmp_path / "cluster.toml", tmp_path / "out"
    options.write_text(CLUSTER)
    command = [sys.executable, "-m", "gmemgpu", "sweep", str(spec), "-o", str(out), "--backend", "numpy", "--quiet"]
    client = subprocess.Popen(
        [*command, "--cluster", "slurm", "--cluster-options", str(options)],
        env=slurm.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: parts(out) > 0 or client.poll() is not None, 90, "the first part")
        first = slurm.active_jobs()
        slurm.call("scancel", "--signal=KILL", "--full", first[0])
        slurm.call("scancel", first[0])
        seen = set(first)

        def another() -> bool:
            seen.update(slurm.active_jobs())
            return len(seen) > 2 or client.poll() is not None

        wait_until(another, 60, "a job in its place")
        assert len(seen) > 2
        _, told = client.communicate(timeout=180)
    finally:
        client.kill()
    assert client.returncode == 0, told
    assert (out / "results.parquet").read_bytes() == expected
