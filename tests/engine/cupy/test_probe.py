"""What is missing is said with its remedy; what fails in mid-work is told apart from what never worked."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from gmemgpu.engine.cupy import CupyEngine, kernel
from gmemgpu.engine.cupy.trial_kernel import probe
from gmemgpu.engine.registry import engine
from gmemgpu.errors import BackendError, DeviceLost
from gmemgpu.model.catalogue import default_costs, named_policies
from gmemgpu.workload.generate import generate
from gmemgpu.workload.preset import preset, small_variant

cupy = pytest.importorskip("cupy", reason="no device, and no g++ to emulate one")
if not hasattr(cupy, "is_emulated"):
    pytest.skip("a real device cannot be made to fail", allow_module_level=True)

from strict_cupy import device  # noqa: E402  # only where the stand-in is installed

POLICIES = named_policies()


@pytest.fixture(autouse=True)
def a_new_device() -> Iterator[None]:
    yield
    gc.collect()  # what a failed batch had queued dies here, not in another test
    device.reset(1 << 30)


@pytest.fixture(scope="module")
def trace():  # type: ignore[no-untyped-def]
    return generate(small_variant(preset("mixed-pods")), 1).trace


def test_a_working_device() -> None:
    assert probe() is None


def test_no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.setattr("gmemgpu.engine.cupy.trial_kernel.find_spec", lambda name: None)
    assert probe() == "CuPy is not installed; pip install 'gmemgpu[cuda13]' (or cuda12, as the driver allows)"


def test_a_broken_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)  # importing it raises ImportError
    reason = probe()
    assert reason is not None
    assert reason.startswith("CuPy cannot be loaded (")


def test_no_driver() -> None:
    with device.no_driver():
        reason = probe()
    assert reason is not None
    assert "no usable NVIDIA driver (cudaErrorInsufficientDriver" in reason
    assert "--backend numpy" in reason


def test_a_driver_without_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with device.no_driver(100):
        assert "cudaErrorNoDevice" in (probe() or "")
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 0)
    assert "there is no CUDA device; check nvidia-smi and CUDA_VISIBLE_DEVICES" in (probe() or "")


def test_no_nvrtc() -> None:
    with device.no_nvrtc():
        reason = probe()
    assert reason is not None
    assert "kernels cannot be compiled" in reason
    assert "NVRTC comes with pip install 'gmemgpu[cuda13]'" in reason


def test_an_old_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(cupy.cuda.Device()), "compute_capability", "75")
    assert probe() == "the device has compute capability 7.5, and 8.0 is the least; take numpy"


def test_a_device_with_no_memory_left() -> None:
    device.reset(1 << 12, reserved_bytes=1 << 12)
    assert "the device has no memory left (Out of memory allocating" in (probe() or "")


def test_a_device_that_fails() -> None:
    device.fail_launch_after(0, late=True)
    reason = probe()
    assert reason is not None
    assert "a trial kernel failed on the device (" in reason


def test_a_device_that_miscounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmemgpu.engine.cupy.trial_kernel._TRIAL", _NOTHING)
    assert "wrong answer" in (probe() or "")


_NOTHING = """
extern "C" __global__ void trial(const unsigned int* in, unsigned int* out) { out[threadIdx.x] = in[threadIdx.x]; }
"""


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("launches", range(7))
def test_a_device_lost_in_mid_work(launches: int, late: bool, trace) -> None:  # type: ignore[no-untyped-def]
    kernel._function.cache_clear()
    device.fail_launch_after(launches, late=late)
    with pytest.raises(DeviceLost, match=r'backend "cupy": the device failed \(.*illegal memory access'):
        CupyEngine().evaluate([trace, trace], POLICIES, default_costs())
    # It stays lost: whoever asks again is told so, and gets no rows made of rubbish.
    with pytest.raises(DeviceLost):
        CupyEngine().evaluate([trace], POLICIES, default_costs())
    device.reset(1 << 30)
    assert CupyEngine().evaluate([trace], POLICIES, default_costs()) == engine("numpy").evaluate(
        [trace], POLICIES, default_costs()
    )


def test_seven_launches_serve_a_batch(trace) -> None:  # type: ignore[no-untyped-def]
    # So that the test above loses the device at each of them.
    device.launches.clear()
    CupyEngine().evaluate([trace, trace], POLICIES, default_costs())
    timelines = ["region_timeline", "region_states", "region_states", "region_totals"]
    assert sorted(device.launches) == sorted([*timelines, "evaluate_few", "evaluate_window", "latency_ranks"])


def test_memory_that_others_take_meanwhile(trace, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("gmemgpu.engine.cupy.batch.budget_bytes", lambda: 1 << 29)
    device.reset(1 << 30, reserved_bytes=(1 << 30) - (1 << 20))
    with pytest.raises(BackendError, match=r"ran out of memory .*does something else use it"):
        CupyEngine().evaluate([trace], POLICIES, default_costs())
