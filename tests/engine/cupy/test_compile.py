"""Every kernel compiles for the devices in use, without a spill, in the registers that are noted here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from emulator import kernels_of
from nvrtc import compile_kernels, nvrtc_missing

import gmemgpu.engine.cupy
from gmemgpu.engine.cupy.defines import compiler_options
from gmemgpu.engine.cupy.kernel import KERNELS, kernel_source

FILES = Path(gmemgpu.engine.cupy.__file__).with_name("kernels").glob("*.cu")
ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")

REGISTERS_OF_A_MULTIPROCESSOR = 65536
MOST_REGISTERS = 168
"""Of a thread: 12 warps still fit a multiprocessor, three for each of its schedulers."""
STATIC_SHARED_BYTES = 48 * 1024

REGISTERS = {
    "attempt_costs": (22, 22, 22, 20, 20, 20),
    "attempt_rows": (29, 36, 36, 28, 30, 28),
    "attempt_visits": (29, 34, 34, 28, 30, 30),
    "begun_passes": (32, 38, 38, 32, 32, 34),
    "boot_passes": (37, 37, 37, 32, 32, 34),
    "cleared_keys": (19, 20, 20, 20, 24, 18),
    "come_later": (12, 12, 12, 12, 16, 14),
    "cut_events": (32, 34, 34, 32, 30, 30),
    "describe_pieces": (28, 27, 27, 26, 26, 30),
    "dominance_sums": (30, 30, 30, 30, 32, 44),
    "dominance_table": (26, 20, 20, 20, 22, 22),
    "dominance_tiles": (20, 20, 20, 22, 24, 22),
    "merge_boots": (24, 23, 23, 24, 23, 26),
    "met_passes": (29, 29, 29, 29, 23, 22),
    "region_timeline": (56, 56, 56, 60, 62, 64),
    "requested_keys": (19, 19, 19, 19, 20, 22),
    "request_due": (38, 38, 38, 38, 40, 40),
    "rmp_image": (42, 42, 42, 38, 28, 32),
    "rmp_scan": (40, 40, 40, 40, 35, 40),
    "rows_at": (26, 26, 26, 26, 24, 26),
    "segment_chain": (40, 48, 48, 40, 40, 42),
    "segment_expand": (17, 17, 17, 19, 17, 16),
    "segment_max": (32, 40, 40, 38, 32, 40),
    "segment_push": (32, 40, 40, 32, 32, 40),
    "segment_search": (23, 23, 23, 21, 23, 20),
    "some_requests": (30, 30, 30, 22, 26, 26),
    "span_points": (23, 23, 23, 24, 22, 22),
    "sum_at": (24, 24, 24, 24, 26, 22),
    "timeline_rows": (32, 34, 34, 31, 32, 36),
    "used_between": (28, 27, 27, 27, 28, 28),
}
"""By architecture, as NVRTC 13.0 compiles them. Change them on purpose: more registers are fewer threads at a time."""
SLACK = 4
"""Versions of the compiler differ by so many."""


@pytest.fixture(autouse=True)
def nvrtc() -> None:
    missing = nvrtc_missing()
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)


def test_every_kernel_is_noted() -> None:
    assert {path.stem for path in FILES} == set(KERNELS) == set(REGISTERS)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_fit(kernel: str, architecture: str) -> None:
    code = kernel_source(kernel)
    found, log = compile_kernels(code, architecture, compiler_options(), f"{kernel}.cu")
    threads = kernels_of(code, compiler_options())[kernel].max_threads
    assert list(found) == [kernel]
    assert "warning" not in log
    used = found[kernel]
    assert (used.spill_bytes, used.stack_bytes) == (0, 0)
    assert used.registers <= min(MOST_REGISTERS, REGISTERS_OF_A_MULTIPROCESSOR // threads)
    assert used.shared_bytes <= STATIC_SHARED_BYTES
    assert used.registers == pytest.approx(REGISTERS[kernel][ARCHITECTURES.index(architecture)], abs=SLACK)


def test_a_spill_and_a_stack_are_seen() -> None:
    code = """extern "C" __global__ void __launch_bounds__(1024) full(int* a) {
        int v[96];
        #pragma unroll
        for (int i = 0; i < 96; i++) v[i] = a[i * threadIdx.x];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < 96; i++) a[i + threadIdx.x] = v[i] * v[95 - i] + v[(7 * i + 3) % 96];
    }
    extern "C" __global__ void stack(int* a, int n) { int v[64]; for (int i = 0; i < n; i++) v[a[i]] = i; a[0] = v[n]; }
    """
    found, _ = compile_kernels(code, "sm_90", ())
    assert found["full"].spill_bytes > 0
    assert found["full"].registers == 64
    assert found["stack"].stack_bytes == 256


def test_a_mistake_is_reported() -> None:
    with pytest.raises(ValueError, match=r"(?s)k\.cu does not compile for sm_80.*k\.cu\(2\).*nonsense"):
        compile_kernels('\nextern "C" __global__ void k() { nonsense; }', "sm_80", (), "k.cu")
