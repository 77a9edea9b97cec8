"""What is missing is said with its remedy; what fails in mid-work is told apart from what never worked."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator
from itertools import cycle

import pytest

from gmemgpu.catalogue import named_policies
from gmemgpu.engine.cupy import CupyEngine, kernel
from gmemgpu.engine.cupy.batch import forget_arenas
from gmemgpu.engine.cupy.timelines import SHARED_BYTES
from gmemgpu.engine.cupy.trial_kernel import probe
from gmemgpu.engine.registry import engine
from gmemgpu.errors import BackendError, DeviceLost
from gmemgpu.generator import generate
from gmemgpu.model.cost import Costs
from gmemgpu.model.metric import MetricRow
from gmemgpu.model.trace import Trace
from gmemgpu.units import NS_PER_S
from gmemgpu.workload.preset import preset, small_variant

cupy = pytest.importorskip("cupy", reason="no device, and no g++ to emulate one")
if not hasattr(cupy, "is_emulated"):
    pytest.skip("a real device cannot be made to fail", allow_module_level=True)

import strict_cupy  # noqa: E402  # only where the emulation is installed
from strict_cupy import device  # noqa: E402  # only where the emulation is installed

PROBED = ("v10", "dirty_10s", "dirty_retry_10s", "refcount", "merged")
POLICIES = [policy for policy in named_policies() if policy.name in PROBED]
LAUNCHES = (0, 6, 7, 10, 12, 13, 14, 18, 20, 21, 22, *range(25, 29), 30, 32)
LAUNCHES += (57, 58, 59, 60, 94, 153, 154, 156, 157, 159, 160)
"""How many succeed before one fails: of each kernel the first. Four make the timelines, the others evaluate."""


@pytest.fixture(autouse=True)
def a_new_device() -> Iterator[None]:
    yield
    forget_arenas()
    gc.collect()  # what a failed batch had queued dies here, not in another test
    device.reset(1 << 30)


@pytest.fixture(scope="module")
def trace() -> Trace:
    """A minute of a few guests: what launches every kernel is enough here."""
    workload = small_variant(preset("mixed-pods"))
    short = {"horizon_ns": 60 * NS_PER_S, "stock": workload.stock.model_copy(update={"vms": 5})}
    return generate(workload.model_copy(update=short), 1).trace


@pytest.fixture(scope="module")
def expected(trace: Trace) -> list[list[MetricRow]]:
    return engine("numpy").evaluate([trace], POLICIES, Costs())


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


def test_a_device_with_little_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(strict_cupy.ATTRIBUTES, "MaxSharedMemoryPerBlockOptin", 64 * 1024)
    assert probe() == (
        "the device gives a thread block 64 KiB of shared memory, and the kernels need 97 KiB; take numpy"
    )


@pytest.mark.parametrize("capability", ["86", "89", "120"])
def test_devices_other_than_those_of_data_centres(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(cupy.cuda.Device()), "compute_capability", capability)
    monkeypatch.setitem(strict_cupy.ATTRIBUTES, "MaxSharedMemoryPerBlockOptin", 99 * 1024)
    assert probe() is None


def test_a_block_has_all_the_shared_memory_that_was_asked_for(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the largest block, beside what the compiler tells of the static part, for which a KiB is reckoned.
    asked: list[int] = []
    launch_function = strict_cupy.RawKernel.__call__

    def noted(self, *sizes, shared_mem=0):  # type: ignore[no-untyped-def]
        asked.append(shared_mem)
        return launch_function(self, *sizes, shared_mem=shared_mem)

    monkeypatch.setattr(strict_cupy.RawKernel, "__call__", noted)
    CupyEngine().evaluate([trace], POLICIES, Costs())
    assert max(asked) == SHARED_BYTES == 96 * 1024


def test_no_header_files() -> None:
    # The trial kernel includes none; those that CuPy makes of array operations do.
    with device.no_headers():
        reason = probe()
    assert reason is not None
    assert reason.startswith("CuPy cannot compile its own operations, since CUDA's header files are missing (")
    assert "pip install 'gmemgpu[cuda13]'" in reason
    assert "CUDA_PATH" in reason


def test_a_device_with_no_memory_left() -> None:
    device.reset(1 << 12, reserved_bytes=1 << 12)
    assert "the device has no memory left (Out of memory allocating" in (probe() or "")


def test_a_device_that_fails() -> None:
    device.fail_launch_after(0, late=True)
    reason = probe()
    assert reason is not None
    assert "a trial kernel failed on the device (" in reason


REFUSALS = [
    (209, r"a kernel was compiled for another kind of device \(CUDA_ERROR_NO_BINARY_FOR_GPU: .*\); empty CuPy's cache"),
    (218, r"the driver cannot translate a kernel \(CUDA_ERROR_INVALID_PTX: .*\); empty CuPy's cache"),
    (222, r"the driver is older than the compiler that CuPy has \(CUDA_ERROR_UNSUPPORTED_PTX.*\); update the driver"),
    (701, r"a kernel needs more registers or shared memory than the device gives .* \(CUDA_ERROR_LAUNCH_OUT_OF_RES"),
]


@pytest.mark.parametrize(("status", "message"), REFUSALS)
def test_a_kernel_that_cannot_be_loaded_loses_no_device(
    status: int, message: str, trace: Trace, expected: list[list[MetricRow]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel._function.cache_clear()
    with device.refused_load(status):
        assert re.match(message, probe() or "")
        with pytest.raises(BackendError, match=f'backend "cupy": {message}') as caught:
            CupyEngine().evaluate([trace], POLICIES, Costs())
    assert not isinstance(caught.value, DeviceLost)
    # Of the engine's own kernels each is looked at, not the trial alone.
    loaded: list[str] = []

    def refuse_the_last(name: str) -> None:
        loaded.append(name)
        if name == kernel.KERNELS[-1]:
            raise cupy.cuda.driver.CUDADriverError(status)

    monkeypatch.setattr("gmemgpu.engine.cupy.trial_kernel.load_kernel", refuse_the_last)
    assert re.match(f"kernel {kernel.KERNELS[-1]}: {message}", probe() or "")
    assert tuple(loaded) == kernel.KERNELS
    assert CupyEngine().evaluate([trace], POLICIES, Costs()) == expected


def test_a_kernel_that_cannot_be_compiled(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel._function.cache_clear()
    error = r'kernel.cu\(7\): error: identifier "u128" is undefined\)'
    with device.refused_load(None):
        with pytest.raises(BackendError, match=rf'backend "cupy": CUDA code cannot be compiled \({error}; ') as caught:
            CupyEngine().evaluate([trace], POLICIES, Costs())
        assert not isinstance(caught.value, DeviceLost)
    monkeypatch.setattr(kernel, "kernel_source", lambda name: "no C++")
    assert re.match(r"kernel \w+ cannot be compiled \(.*\); update CuPy, or take --backend numpy", probe() or "")
    kernel._function.cache_clear()


def test_a_device_that_miscounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmemgpu.engine.cupy.trial_kernel._TRIAL", _NOTHING)
    assert "wrong answer" in (probe() or "")


_NOTHING = """
extern "C" __global__ void trial(const unsigned int* in, unsigned int* out) { out[threadIdx.x] = in[threadIdx.x]; }
"""


@pytest.mark.parametrize(("launches", "late"), [*zip(LAUNCHES, cycle([False, True]), strict=False)])
def test_a_device_lost_in_mid_work(launches: int, late: bool, trace: Trace, expected: list[list[MetricRow]]) -> None:
    kernel._function.cache_clear()
    device.fail_launch_after(launches, late=late)
    with pytest.raises(DeviceLost, match=r'backend "cupy": the device failed \(.*illegal memory access'):
        CupyEngine().evaluate([trace, trace], POLICIES, Costs())
    # It stays lost: whoever asks again is told so, and gets no rows made of rubbish.
    with pytest.raises(DeviceLost):
        CupyEngine().evaluate([trace], POLICIES, Costs())
    device.reset(1 << 30)
    assert CupyEngine().evaluate([trace], POLICIES, Costs()) == expected


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("launches", [0, 1])
def test_a_device_lost_at_an_image(launches: int, late: bool, trace: Trace) -> None:
    device.fail_launch_after(launches, late=late)
    with pytest.raises(DeviceLost, match=r'backend "cupy": the device failed \(.*illegal memory access'):
        CupyEngine().scan_rmp(trace, [trace.horizon_ns // 2])


REFUSED_LAUNCHES = [
    (1, r"CUDA refused a call \(CUDA_ERROR_INVALID_VALUE: .*; update its driver and CuPy, or take numpy"),
    REFUSALS[-1],
    (2, r"CUDA ran out of memory \(CUDA_ERROR_OUT_OF_MEMORY: .*does something else use them .*or take numpy"),
]


@pytest.mark.parametrize(
    ("launches", "status", "message"),
    [(launches, *refusal) for launches, refusal in zip(LAUNCHES, cycle(REFUSED_LAUNCHES), strict=False)],
)
def test_a_refused_launch_does_not_lose_the_device(
    launches: int, status: int, message: str, trace: Trace, expected: list[list[MetricRow]]
) -> None:
    releases = device.pool_releases
    device.refuse_launch_after(launches, status)
    with pytest.raises(BackendError, match=f'backend "cupy": {message}') as caught:
        CupyEngine().evaluate([trace, trace], POLICIES, Costs())
    assert not isinstance(caught.value, DeviceLost)
    if status == 2:
        # As a batch begins, after its timelines, and now: others may need what the pools keep.
        assert device.pool_releases - releases == (2 if launches < 12 else 3)
        assert cupy.get_default_pinned_memory_pool().n_free_blocks() == 0
    assert CupyEngine().evaluate([trace], POLICIES, Costs()) == expected


def test_pinned_memory_that_runs_out(trace: Trace) -> None:
    forget_arenas()
    gc.collect()  # what errors of other tests hold
    device.pinned_limit_bytes = device.pinned_used_bytes + (1 << 9)
    with pytest.raises(BackendError, match=r"ran out of memory \(cudaErrorMemoryAllocation.*pinned memory") as caught:
        CupyEngine().evaluate([trace], POLICIES, Costs())
    assert not isinstance(caught.value, DeviceLost)


@pytest.mark.parametrize("lost", [False, True])
def test_an_error_waits_for_what_was_queued(lost: bool, trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments, **options):  # type: ignore[no-untyped-def]
        assert any(stream.waiting for stream in device.streams)  # the timelines
        if lost:
            device.lost_status = 700
        raise BackendError("made up")

    monkeypatch.setattr("gmemgpu.engine.cupy.timelines.region_rows", fail)
    # The error holds the buffers for as long as it lives, and no longer.
    with pytest.raises(BackendError, match="made up"):
        CupyEngine().evaluate([trace], POLICIES, Costs())
    assert lost or not any(stream.waiting for stream in device.streams)


def test_every_kernel_of_the_engine_is_launched(trace: Trace) -> None:
    # So that the tests above lose the device at each of them.
    device.launches.clear()
    CupyEngine().evaluate([trace], POLICIES, Costs())
    first = {device.launches.index(name) for name in set(device.launches)}
    assert first == set(LAUNCHES)


def test_memory_that_others_take_meanwhile(trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmemgpu.engine.cupy.batch.budget_bytes", lambda: 1 << 29)
    device.reset(1 << 30, reserved_bytes=(1 << 30) - (1 << 20))
    with pytest.raises(BackendError, match=r"ran out of memory .*does something else use it"):
        CupyEngine().evaluate([trace], POLICIES, Costs())
