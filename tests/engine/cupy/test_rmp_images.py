"""Images made on the device are the CPU's, however few regions and times there is room for at once."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from gmemgpu.engine.cupy.rmp_images import scan_images
from gmemgpu.errors import BackendError
from gmemgpu.generator import generate
from gmemgpu.model.trace import Trace
from gmemgpu.rmp.timed_scan import scan_at
from gmemgpu.sweeping.spec import read_spec
from gmemgpu.units import GIB

GIBS = 12
HELD = 32768 + 6


@pytest.fixture(scope="module")
def trace() -> Trace:
    found = {
        "preset": "mixed-pods",
        "host": {"memory_bytes": GIBS * GIB, "nodes": 1, "cores": 4},
        "horizon_ns": "3 min",
        "warmup_ns": "1 s",
        "running": 12,
    }
    return generate(read_spec({"workload": found}).scenarios[0].workload, 3).trace


def times_of(trace: Trace, n: int) -> list[int]:
    return np.linspace(0, trace.horizon_ns - 1, n, dtype=np.int64).tolist()


def fixed_bytes(trace: Trace) -> int:
    """Return what is needed beside images, by the message that says so."""
    with pytest.raises(BackendError, match=r"need \d+ bytes on the device, and 0 are free") as caught:
        scan_images(trace, times_of(trace, 9), budget=0)
    return int(str(caught.value).split(" need ")[1].split(" ")[0]) - HELD


@pytest.mark.parametrize("n_held", [1, 80, 16 * GIBS, 16 * (2 * GIBS + 1), 16 * 9 * GIBS, 5000])
def test_images_go_as_many_at_a_time_as_there_is_room_for(device_cupy: Any, trace: Trace, n_held: int) -> None:
    times = times_of(trace, 9)
    expected = scan_at(trace, times)
    assert 0 < np.count_nonzero(expected.assigned) < expected.assigned.size
    found = scan_images(trace, times, budget=fixed_bytes(trace) + n_held * HELD)
    assert np.array_equal(found.assigned, expected.assigned)
    assert np.array_equal(found.first, expected.first)


def test_no_time_gives_no_row(device_cupy: Any, trace: Trace) -> None:
    assert scan_images(trace, []).assigned.shape == (0, trace.host.n_regions)


def test_a_part_of_the_memory_is_taken(device_cupy: Any, trace: Trace) -> None:
    if not hasattr(device_cupy, "is_emulated"):
        pytest.skip("memory is counted by the emulator")
    from strict_cupy import device, installed

    gc.collect()
    held = device.used_bytes  # by errors of other tests, whose tracebacks live on
    fixed = fixed_bytes(trace)
    room = 16 * (3 * GIBS * HELD + fixed)
    with installed(device_bytes=held + room):
        scan_images(trace, times_of(trace, 9))
        taken = device.peak_bytes - held
    assert 2 * GIBS * HELD < taken <= room // 16
    # Of a device that is nearly full, what is needed.
    with installed(device_bytes=held + (fixed + HELD) * 10 // 9 + 100):
        scan_images(trace, times_of(trace, 9))
