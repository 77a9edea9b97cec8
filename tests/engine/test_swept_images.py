"""A sweep whose rows tell of images of the RMP: the same bytes whoever makes and scans them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gmemgpu.engine import fallback
from gmemgpu.engine.array import NumpyEngine
from gmemgpu.engine.registry import available_engines
from gmemgpu.errors import DeviceLost
from gmemgpu.generator import generate
from gmemgpu.model.rmp_figure import RMP_FIGURE_NAMES
from gmemgpu.rmp.image import rmp_image
from gmemgpu.sweeping.run.share import compute_share
from gmemgpu.sweeping.spec import read_spec

SPEC: dict[str, Any] = {
    "seeds": 2,
    "policies": ["merged", "refcount"],
    "rmp_every": "20 s",
    "rmp_at": ["61 s"],
    "workload": {
        "preset": "mixed-pods",
        "host": {"name": "pod", "memory_bytes": "8 GiB", "cores": 4},
        "horizon_ns": "2 min",
        "warmup_ns": "10 s",
        "running": 8,
        "sizes": {"scale": 0.125},
        "memory": {"placement": ["lifo", "scatter"]},
    },
}


def swept(directory: Path, backend: str) -> dict[str, bytes]:
    """Sweep in this process and return every part and the merged rows."""
    found = compute_share(SPEC, directory, index=0, of=1, backend=backend)
    assert (found.failures, found.is_merged) == ((), True)
    files = [directory / "results.parquet", *(directory / "parts").iterdir()]
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return swept(tmp_path_factory.mktemp("numpy") / "out", "numpy")


@pytest.mark.parametrize("backend", [one.name for one in available_engines() if one.name != "numpy"])
def test_all_engines_write_the_same_bytes(backend: str, expected: dict[str, bytes], tmp_path: Path) -> None:
    cupy = sys.modules.get("cupy")
    emulated = backend == "cupy" and hasattr(cupy, "is_emulated")
    if emulated:
        from strict_cupy import device

        device.launches.clear()
    assert swept(tmp_path / "out", backend) == expected
    if emulated:
        assert device.launches.count("rmp_image") == device.launches.count("rmp_scan") == 4  # traces


def test_rows_say_what_images_hold(tmp_path: Path) -> None:
    swept(tmp_path / "out", "numpy")
    rows = pq.read_table(tmp_path / "out" / "results.parquet", columns=["label", "seed", *RMP_FIGURE_NAMES]).to_pylist()
    assert len({(row["label"], row["seed"]) for row in rows}) == 4
    times = [20, 40, 60, 61, 80, 100]
    for scenario in read_spec(SPEC).scenarios:
        for seed in range(2):
            trace = generate(scenario.workload, seed).trace
            free = [int((~rmp_image(trace, t * 10**9).any(axis=1)).sum()) for t in times]
            mine = [row for row in rows if (row["label"], row["seed"]) == (scenario.label, seed)]
            assert len(mine) == 3  # policies
            for row in mine:
                assert (row["rmp_images"], row["rmp_regions"]) == (6, 6 * 8)
                assert (row["rmp_free_regions"], row["rmp_free_regions_least"]) == (sum(free), min(free))


def test_a_device_that_is_lost_at_an_image_is_replaced(
    expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(NumpyEngine):
        name = "failing"

        def scan_rmp(self, *arguments: Any) -> Any:
            raise DeviceLost("cudaErrorLaunchFailure: unspecified launch failure")

    monkeypatch.setattr(fallback, "_lost", {})
    monkeypatch.setattr(fallback, "engine", lambda name: NumpyEngine() if name in ("numba", "numpy") else Failing())
    assert swept(tmp_path / "out", "reference") == expected
