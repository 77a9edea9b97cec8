"""Workers on devices: each sees one device, and those that share one share its memory."""

from __future__ import annotations

from typing import Any

import pytest

from gmemgpu.sweeping.cluster import local


def seen() -> Any:
    import os

    names = ("CUDA_VISIBLE_DEVICES", "CUPY_GPU_MEMORY_LIMIT", "OMP_NUM_THREADS")
    return *(os.environ.get(name) for name in names), os.getpid()


def what_workers_see(workers: int, n_devices: int) -> list[tuple[str | None, ...]]:
    with local.local_client(workers, n_devices=n_devices) as client:
        client.wait_for_workers(workers, timeout=60)
        found = list(client.run(seen).values())
        listening = {address.split("//")[1].split(":")[0] for address in client.scheduler_info()["workers"]}
    assert listening == {"127.0.0.1"}
    assert {threads for _, _, threads, _ in found} == {"1"}
    assert len({process for *_, process in found}) == workers
    return sorted((device, limit) for device, limit, _, _ in found)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (None, [("0", None), ("1", None)]),
        ("GPU-5f1c, GPU-77aa", [("GPU-5f1c", None), ("GPU-77aa", None)]),
    ],
)
def test_each_worker_has_a_device_of_its_own(
    environ: str | None, expected: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUPY_GPU_MEMORY_LIMIT", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if environ is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", environ)
    assert what_workers_see(2, 2) == expected


def test_workers_that_share_a_device_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert what_workers_see(2, 1) == [("3", "45.00%")] * 2
